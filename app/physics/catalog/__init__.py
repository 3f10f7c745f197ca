"""Well-known language models by their published configurations: what a file of theirs would hold."""
