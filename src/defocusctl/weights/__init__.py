"""From the name of a set of weights to a loaded network."""
