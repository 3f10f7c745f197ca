"""The figures of a model's or GPU's page, each with where it comes from: a module for each origin."""
