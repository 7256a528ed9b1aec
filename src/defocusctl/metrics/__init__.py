"""Image quality against a reference: PSNR, SSIM, MAE and LPIPS, plain and as papers measure them."""

from defocusctl.metrics.fidelity import Quality, quality
from defocusctl.metrics.lpips import Lpips, load_lpips
from defocusctl.metrics.protocols import PROTOCOLS, Protocol, Scores

__all__ = ["PROTOCOLS", "Lpips", "Protocol", "Quality", "Scores", "load_lpips", "quality"]
