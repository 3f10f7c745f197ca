"""What is wrong with a model, why, what it costs and what cures it. Pure functions of the state."""
