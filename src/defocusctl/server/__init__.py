"""``defocusctl serve``: a page in the browser for photos on this machine, through the Python API."""
