"""Loads: how far each is, how long it will take, how it ended, and what it teaches about the next."""
