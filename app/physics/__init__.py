"""What a model needs and how fast it can be, by its geometry and the hardware: pure arithmetic, no I/O."""
