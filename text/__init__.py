"""How quantities and names from outside are written."""
