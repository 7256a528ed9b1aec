"""What every room stands on: files that appear whole, journals, Ctrl-C, devices, limits, paths."""
