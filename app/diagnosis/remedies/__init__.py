"""What would help: each is computed by the same arithmetic, with the line to type."""
