"""Before and after details of photos outside the training set: the picture in the model cards.

python benchmarks/cards/details.py --data DIR -o docs/images/crops.jpg

Each row shows 300 x 220 pixels at 1:1, restored with 96 pixels around them: photo, INIKNet, NRKNet (bundled).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from defocusctl import Deblurrer

DETAILS = (
    ("samples/defocused/106_NIKON-D3400-35MM-blurred.png", 300, 140),
    ("samples/defocused/176_HONOR-7X-blurred.png", 280, 200),
    ("samples/defocused/180_HONOR-10-blurred.png", 280, 200),
    ("samples/defocused/petteri_pcb_00.png", 120, 60),
    ("samples/defocused/petteri_pcb_03.png", 300, 300),
    ("samples/defocused/petteri_pcb_06.png", 500, 420),
    ("sharp-val/kodak_1.jpg", 240, 150),
    ("sharp-val/kodak_15.jpg", 240, 150),
    ("sharp-val/kodak_23.jpg", 230, 40),
    ("sharp-val/kodak_19.jpg", 60, 160),
)
"""Photo, left, top."""

WIDTH, HEIGHT, AROUND, GAP, HEAD = 300, 220, 96, 4, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    deblurrers = [Deblurrer.from_pretrained(model, weights="bundled") for model in ("iniknet", "nrknet")]
    sheet = Image.new(
        "RGB", (3 * (WIDTH + GAP) + GAP, HEAD + len(DETAILS) * (HEIGHT + GAP)), color=(255, 255, 255)
    )
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(("photo, 1:1", "INIKNet", "NRKNet")):
        draw.text((GAP + column * (WIDTH + GAP), 6), title, fill=(0, 0, 0))
    for row, (name, left, top) in enumerate(DETAILS):
        with Image.open(given.data / name) as opened:
            photo = opened.convert("RGB")
        x, y = max(0, left - AROUND), max(0, top - AROUND)
        part = photo.crop(
            (x, y, min(photo.width, left + WIDTH + AROUND), min(photo.height, top + HEIGHT + AROUND))
        )
        pixels = np.asarray(part)
        images = [pixels, *(np.asarray(deblurrer.deblur(pixels).image) for deblurrer in deblurrers)]
        for column, image in enumerate(images):
            detail = image[top - y : top - y + HEIGHT, left - x : left - x + WIDTH]
            place = (GAP + column * (WIDTH + GAP), HEAD + row * (HEIGHT + GAP))
            sheet.paste(Image.fromarray(detail), place)
    sheet.save(given.out, quality=88)


if __name__ == "__main__":
    main()
