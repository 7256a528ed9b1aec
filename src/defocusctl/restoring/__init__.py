"""From blurred pixels to restored ones: tiles, backends, stitching."""
