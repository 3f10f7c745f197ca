"""What would help: each is reckoned by the same arithmetic, with the line to type."""
