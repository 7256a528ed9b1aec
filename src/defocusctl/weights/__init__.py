"""From the name of weights to a loaded network."""
