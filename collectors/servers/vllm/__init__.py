"""vLLM: one model in an engine of its own, which takes its memory when it starts."""
