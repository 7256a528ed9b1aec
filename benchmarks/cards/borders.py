"""How well a uniform colour is preserved: the largest error overall and inside, in grey levels (of 255).

    python benchmarks/cards/borders.py [--size 128x96] [--models iniknet nrknet]

The bundled weights in float32 on the CPU. "Inside" is at least 32 pixels away from every border.
"""

import argparse

import numpy as np

from defocusctl.deblurrer import Deblurrer
from defocusctl.models.catalogue import NETWORKS
from defocusctl.restoring.settings import RestoreSettings

COLOURS = (89, 89, 89), (153, 153, 153), (204, 51, 128), (26, 230, 102), (255, 0, 0), (0, 255, 0), (0, 0, 255)
INSIDE = 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="128x96", metavar="WxH")
    parser.add_argument("--models", nargs="+", default=list(NETWORKS))
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    print(
        "| colour | " + " | ".join(f"{model}, whole | {model}, inside" for model in arguments.models) + " |"
    )
    print("|---" + "|---:|---:" * len(arguments.models) + "|")
    settings = RestoreSettings(device="cpu", precision="fp32")
    deblurrers = [Deblurrer.load(model, "bundled", settings, offline=True) for model in arguments.models]
    for colour in COLOURS:
        image = np.full((height, width, 3), colour, np.float32) / 255
        cells = []
        for deblurrer in deblurrers:
            error = 255 * np.abs(deblurrer.deblur(image).image - image)
            cells += [error.max(), error[INSIDE:-INSIDE, INSIDE:-INSIDE].max()]
        print(f"| {colour} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
