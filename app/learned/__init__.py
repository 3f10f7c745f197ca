"""What the state has learned, kept across runs in the state directory."""
