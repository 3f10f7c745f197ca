"""Insights: what the state means, in words. Pure functions of the state."""
