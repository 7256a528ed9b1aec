"""The two networks, and nothing else: no files, no devices, no printing."""
