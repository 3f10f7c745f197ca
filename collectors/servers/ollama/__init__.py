"""Ollama: its API, its processes, and the lines that its users type."""
