"""The doctor: every source, whether it works, what it gives, and how to get what is missing."""
