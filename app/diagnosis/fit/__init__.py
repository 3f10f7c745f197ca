"""Whether a model would fit, before it is loaded: what it takes, where it would lie, how fast it would be."""
