"""What is known, as series for Prometheus: which there are, what each says now, and who hands them over."""
