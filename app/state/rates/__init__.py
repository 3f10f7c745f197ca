"""The rates of one runner: metered from polls or log lines, kept as a pace. Pure; knows no state."""
