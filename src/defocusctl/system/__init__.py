"""The foundation of all other packages: atomic files, journals, Ctrl-C, devices, limits, paths."""
