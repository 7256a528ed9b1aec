"""Pixels in, pixels out: tiles, backends, stitching."""
