"""The snapshot: what is known now as one JSON document, for scripts."""
