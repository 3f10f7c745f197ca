"""Servers of models: one file or folder for each kind, which says all that gpumon knows of it.

``kind.py`` has the base class and says how to add a kind; ``registry.py`` finds the kinds.
"""
