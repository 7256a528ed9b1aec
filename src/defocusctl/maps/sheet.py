"""A page on which panels, texts and colour bars are placed exactly. All measures are in pixels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from defocusctl import __version__
from defocusctl.maps.extent import Array, FloatArray
from defocusctl.maps.reduction import Rgb
from defocusctl.maps.scales import ColourScale
from defocusctl.system.atomic import atomic_write

DPI = 200
INK = "0.15"
FRAME = "0.35"
HEADING, LABEL, SMALL = 11.0, 9.0, 7.0  # points
LABEL_GAP = 10.0  # between a panel and the text above it


class Area(NamedTuple):
    """A rectangle of the page; (0, 0) is the top left corner."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def snapped(self) -> "Area":
        """The same rectangle with its edges on whole pixels."""
        left, top = round(self.left), round(self.top)
        return Area(left, top, round(self.right) - left, round(self.bottom) - top)


class Sheet:
    """A white page of ``width`` x ``height`` pixels to draw on and save as a PNG."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.page = self.figure.add_axes((0, 0, 1, 1))
        self.page.set(xlim=(0, self.width), ylim=(self.height, 0), autoscale_on=False)
        self.page.set_axis_off()

    def photo(self, area: Area, pixels: Rgb) -> None:
        """Draw an RGB picture that fills ``area``."""
        self._image(area, pixels, _interpolation(pixels, area), None)
        self.outline(area)

    def enlarged(self, area: Area, pixels: Rgb, colour: str) -> None:
        """Draw an RGB picture with each pixel as a plain square, in a coloured frame."""
        self._image(area, pixels, "nearest", None)
        self.outline(area, colour, 1.6)

    def map(self, area: Area, values: FloatArray, scale: ColourScale) -> None:
        """Draw a map that fills ``area``, in the colours of ``scale``."""
        self._image(area, values, _interpolation(values, area), scale)
        self.outline(area)

    def outline(self, area: Area, colour: str = FRAME, width: float = 0.5) -> None:
        """Draw the outline of ``area``, ``width`` points wide."""
        left, top, across, down = area.snapped
        self.page.add_patch(
            Rectangle((left, top), across, down, fill=False, edgecolor=colour, linewidth=width)
        )

    def block(self, area: Area, colour: str) -> None:
        """Fill ``area`` with a colour."""
        self.page.add_patch(Rectangle(area[:2], area.width, area.height, facecolor=colour, linewidth=0))

    def colour_bar(self, area: Area, scale: ColourScale, label: str) -> None:
        """Draw the colours of ``scale`` in ``area``, with values on its right and the label above it."""
        left, bottom = area.left / self.width, 1 - area.bottom / self.height
        place = self.figure.add_axes((left, bottom, area.width / self.width, area.height / self.height))
        colours = ScalarMappable(scale.norm, scale.colour_map)
        bar = self.figure.colorbar(colours, cax=place, extend=scale.extend, extendfrac=0.03)
        bar.ax.tick_params(labelsize=SMALL + 1, labelcolor=INK, color=FRAME, width=0.5, length=2.5)
        bar.outline.set(linewidth=0.5, edgecolor=FRAME)
        self.text(area.left + area.width / 2, area.top - LABEL_GAP, label)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = LABEL,
        horizontal: str = "center",
        vertical: str = "bottom",
    ) -> None:
        """Write text at a point of the page; ``$...$`` is set as mathematics."""
        self.page.text(
            x, y, text, size=size, color=INK, ha=horizontal, va=vertical, math_fontfamily="cm", clip_on=False
        )

    def heading(self, x: float, y: float, text: str) -> None:
        """Write the title of the page, starting at ``x``."""
        self.text(x, y, text, size=HEADING, horizontal="left", vertical="top")

    def save(self, path: Path, *, force: bool, icc_profile: bytes | None = None) -> None:
        """Write the page as a PNG, whole or not at all; ``force`` replaces an existing file.

        Raises:
            OutputError: if it cannot be written.
        """
        with atomic_write(path, force=force) as file:
            self.figure.savefig(
                file,
                format="png",
                dpi=DPI,
                metadata={"Software": f"defocusctl {__version__}"},
                pil_kwargs={"icc_profile": icc_profile} if icc_profile else None,
            )

    def _image(self, area: Area, image: Array, interpolation: str, scale: ColourScale | None) -> None:
        place = area.snapped
        self.page.imshow(
            image,
            extent=(place.left, place.right, place.bottom, place.top),
            aspect="auto",
            interpolation=interpolation,
            cmap=scale.colour_map if scale else None,
            norm=scale.norm if scale else None,
        )


def _interpolation(image: Array, area: Area) -> str:
    """Smooth if the picture shrinks or grows a little; if it grows a lot, single pixels stay visible."""
    enlargement = area.width / image.shape[1]
    if enlargement < 1:
        return "hanning"
    return "bilinear" if enlargement < 3 else "nearest"


def panel_size(height: int, width: int, *, area: float) -> tuple[float, float]:
    """Width and height of a panel of about ``area`` square pixels for a photo of this shape.

    The photo's aspect ratio is kept up to 12 : 1; beyond that, the panel does not get narrower.
    """
    aspect = min(max(width / height, 1 / 12), 12.0)
    return float(np.sqrt(area * aspect)), float(np.sqrt(area / aspect))


def grid(
    left: float, top: float, columns: int, count: int, panel: tuple[float, float], pitch: tuple[float, float]
) -> list[Area]:
    """``count`` panels, row by row, their top left corners ``pitch`` apart, centred in their columns."""
    width, height = panel
    inset = max(0.0, (pitch[0] - width) / 2)
    return [
        Area(left + inset + (i % columns) * pitch[0], top + (i // columns) * pitch[1], width, height)
        for i in range(count)
    ]
