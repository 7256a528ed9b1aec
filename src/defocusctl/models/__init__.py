"""The networks and their parts. No files, no devices, no printing."""
