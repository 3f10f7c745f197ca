"""What CUDA itself takes of a GPU for each process that uses it, beside what the process asks for."""

from __future__ import annotations

CUDA_CONTEXT_BYTES = 152 * 2**20
"""Usual size of a context of one process on one GPU: what the driver counts for a runner of llama.cpp beyond
the buffers that its log names (gemma4-12B: 7512 MiB against 7358)."""
CUDA_CONTEXT_MAX_BYTES = 500 * 1000**2
"""Up to so much of a process's memory on one GPU may be its context alone: 0.3 to 0.5 GB, with the workspaces
of cuBLAS, which no server counts (ollama/ollama 6160)."""
