"""The command ``gpumon fit``."""
