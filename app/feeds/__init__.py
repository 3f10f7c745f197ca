"""Where samples come from: live collectors, a recording, a demonstration."""
