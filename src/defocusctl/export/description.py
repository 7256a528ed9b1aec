"""The metadata of an exported file, as texts by name, the same in all formats."""

from defocusctl import __version__
from defocusctl.export.graph import SMALLEST, STEP
from defocusctl.weights.checkpoint import WeightsMetadata
from defocusctl.weights.resolve import ResolvedWeights

INPUT = "photo"
OUTPUT = "restored"

GRAPH_METADATA = {
    "layout": "NCHW, float32",
    "sizes": f"any batch; height and width of {SMALLEST} pixels or more",
    "padding": f"inside: by reflection at the bottom and on the right, to multiples of {STEP}",
}
"""Additional metadata of files that contain the computation."""


def describe(weights: ResolvedWeights, metadata: WeightsMetadata, precision: str) -> dict[str, str]:
    """The metadata common to all formats."""
    return {
        "model": metadata.model,
        "weights": weights.name,
        "weights_hash": str(weights.checksum),
        "licence": metadata.licence,
        "trained_on": metadata.trained_on,
        "channel_order": "RGB",
        "value_range": "0 to 1 in the photo's own encoding (sRGB, say); the result may leave it: clip it",
        "precision": precision,
        "software": f"defocusctl {__version__}",
    }
