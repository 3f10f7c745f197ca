"""TabbyAPI."""
