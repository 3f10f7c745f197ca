"""One picture of each model and GPU: every figure, level and sentence once, for whatever shows them."""
