"""Defocus rendered from sharp photos."""
