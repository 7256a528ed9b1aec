"""A page on which panels, texts and colour bars are placed exactly, in pixels, and its colour scales.

Matplotlib takes longer to import than all else that ``deblur`` needs beside PyTorch: only what draws does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from defocusctl import __version__
from defocusctl.maps.reduction import Array, FloatArray, Rgb
from defocusctl.system.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize

MISSING = "0.75"
Ends = Literal["neither", "min", "max", "both"]


@dataclass(frozen=True)
class ColourScale:
    """One scale for a family of maps; ``extend`` says at which ends values exceed it.

    With a ``linear_width`` the colours follow asinh(value / linear_width): linear up to about that magnitude,
    logarithmic beyond, so that small and large coefficients are visible on the same scale.
    """

    colours: str
    low: float
    high: float
    extend: Ends = "neither"
    linear_width: float | None = None

    @classmethod
    def sequential(
        cls, maps: Sequence[FloatArray], colours: str, *, least_span: float = 0.0
    ) -> "ColourScale":
        """From 0 to the 99.5th percentile of all values.

        A scale that would span less than ``least_span`` is widened around its middle.
        """
        values = _finite(maps)
        low, high = 0.0, float(np.percentile(values, 99.5))
        if high - low < least_span:
            middle = (low + high) / 2
            low, high = middle - least_span / 2, middle + least_span / 2
        if high - low < 1e-6 * max(1.0, abs(high)):  # all values are equal
            return cls(colours, low, high + 0.5)
        return cls(colours, low, high, _exceeded(values, low, high))

    @classmethod
    def symmetric(cls, maps: Sequence[FloatArray]) -> "ColourScale":
        """From minus to plus the 99.5th percentile of the magnitudes."""
        values = _finite(maps)
        high = float(np.percentile(np.abs(values), 99.5)) or 1.0
        return cls("RdBu_r", -high, high, _exceeded(values, -high, high))

    @classmethod
    def symmetric_asinh(cls, maps: Sequence[FloatArray]) -> "ColourScale":
        """Like ``symmetric``, but linear only up to the median magnitude."""
        linear = cls.symmetric(maps)
        median = float(np.median(np.abs(_finite(maps))))
        return replace(linear, linear_width=max(median, linear.high / 1000))

    @property
    def norm(self) -> "Normalize":
        from matplotlib.colors import AsinhNorm, Normalize

        if self.linear_width is None:
            return Normalize(self.low, self.high)
        return AsinhNorm(self.linear_width, self.low, self.high)

    @property
    def colour_map(self) -> "Colormap":
        """The colours; NaN is grey."""
        from matplotlib import colormaps

        return colormaps[self.colours].with_extremes(bad=MISSING)


def _exceeded(values: FloatArray, low: float, high: float) -> Ends:
    if values.min() < low:
        return "both" if values.max() > high else "min"
    return "max" if values.max() > high else "neither"


def _finite(maps: Sequence[FloatArray]) -> FloatArray:
    values = np.concatenate([values.ravel() for values in maps])
    finite = values[np.isfinite(values)]
    return finite if finite.size else np.zeros(1, dtype=np.float32)


DPI = 200
MARGIN = 36.0  # of the page
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
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

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
        self._rectangle(area.snapped, fill=False, edgecolor=colour, linewidth=width)

    def block(self, area: Area, colour: str) -> None:
        self._rectangle(area, facecolor=colour, linewidth=0)

    def colour_bar(self, area: Area, scale: ColourScale, label: str) -> None:
        """Draw the colours of ``scale`` in ``area``, with values on its right and the label above it."""
        from matplotlib.cm import ScalarMappable

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

    def heading(self, x: float, text: str) -> None:
        """Write a title at the top of the page, starting at ``x``."""
        self.text(x, MARGIN, text, size=HEADING, horizontal="left", vertical="top")

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

    def _rectangle(self, area: Area, **look: Any) -> None:
        from matplotlib.patches import Rectangle

        self.page.add_patch(Rectangle((area.left, area.top), area.width, area.height, **look))

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
