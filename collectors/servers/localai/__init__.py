"""LocalAI."""
