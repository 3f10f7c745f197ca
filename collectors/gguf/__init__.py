"""Facts of a model straight from its file (GGUF: ggml/docs/gguf.md), without a server."""
