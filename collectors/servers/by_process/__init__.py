"""Servers that are known by their process alone: a table of programs, and how a command line is read."""
