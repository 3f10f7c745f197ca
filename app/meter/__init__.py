"""The optional pass-through meter: forwards requests to a server and counts tokens on the way."""
