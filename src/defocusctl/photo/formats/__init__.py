"""One module per file format: ``decode`` (bytes to pixels and metadata) and ``encode`` (the reverse)."""
