"""Image quality against a reference: PSNR, SSIM, MAE and LPIPS, plain and under the papers' protocols."""

from defocusctl.evaluation.metrics.fidelity import Quality, quality
from defocusctl.evaluation.metrics.lpips import Lpips, load_lpips
from defocusctl.evaluation.metrics.protocols import PROTOCOLS, Protocol, Scores

__all__ = ["PROTOCOLS", "Lpips", "Protocol", "Quality", "Scores", "load_lpips", "quality"]
