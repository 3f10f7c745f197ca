"""What finished loads and requests teach about this machine."""
