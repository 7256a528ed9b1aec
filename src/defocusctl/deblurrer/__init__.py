"""The Python API, which the command line uses too: load a network once, deblur any number of images."""

from defocusctl.deblurrer.deblurrer import Deblurrer
from defocusctl.deblurrer.result import DeblurResult

__all__ = ["DeblurResult", "Deblurrer"]
