"""Settings: what they are, where they come from, and which place set each one."""
