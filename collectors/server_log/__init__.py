"""The log of Ollama or llama-server: how a load was placed, what went wrong, rates of finished requests."""
