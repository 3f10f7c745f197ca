"""State, insight, alerts, recordings, command line and screens."""
