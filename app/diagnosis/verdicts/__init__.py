"""What is so of a model: each rule finds one thing, and says it in a sentence with its evidence."""
