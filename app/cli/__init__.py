"""The command line: what can be asked, and the one place that wires the parts together."""
