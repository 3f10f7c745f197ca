"""Alerts: what is wrong, since when, and who is told. Pure functions of the state, but for the sinks."""
