"""Ollama's HTTP API: what is loaded (``/api/ps``), its geometry (``/api/show``), what is installed."""
