"""What others have measured and published: the rows, and what the product says of each."""
