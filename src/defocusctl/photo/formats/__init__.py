"""One module per file format: ``decode`` (bytes to pixels and metadata) and ``encode`` (the reverse).

``decode`` raises an InputError if the file is broken, truncated, of an unsupported kind or above the limit of
megapixels. Pixels are (H, W, C), alpha is (H, W).
"""
