"""A network that is loaded once and deblurs any number of images: what programs and the command line use."""

from defocusctl.deblurrer.deblurrer import Deblurrer
from defocusctl.deblurrer.result import DeblurResult

__all__ = ["DeblurResult", "Deblurrer"]
