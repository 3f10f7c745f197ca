"""A llama-server asked by its URL, on this machine or another: one model, or a router with many."""
