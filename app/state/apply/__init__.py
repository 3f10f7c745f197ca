"""Takes the samples into the state: a module for each kind of source."""
