"""defocusctl takes the out-of-focus blur out of single photographs."""

__version__ = "0.1.0"
