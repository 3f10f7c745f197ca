"""The state: what the samples amount to. No clock, no I/O; the same samples give the same state."""
