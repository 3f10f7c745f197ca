"""What was, kept in one SQLite file: a row a minute of each model and GPU, a row for each request."""
