"""Gauges, trends, rows and charts: each is handed a small view value and draws it."""
