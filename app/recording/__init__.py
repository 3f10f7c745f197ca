"""Recordings: the stream of samples as JSON lines, written while it runs and played again later."""
