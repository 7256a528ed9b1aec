"""A photo beside its restored pixels: what every result is made of and written from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from defocusctl import __version__
from defocusctl.geometry import Box
from defocusctl.photo import Photo, Provenance, write_photo
from defocusctl.restoring.output import Halves, Pixels
from defocusctl.restoring.settings import RestoreReport, RestoreSettings
from defocusctl.weights.resolve import ResolvedWeights


@dataclass(frozen=True, eq=False)
class RestoredPhoto:
    """``before`` is the photo, or the part of it that ``region`` cut; ``pixels`` have its shape and type.

    ``coefficients`` maps the papers' names to (K, H/s, W/s) float16 maps (s = 1, 2 or 4, sizes rounded up);
    None where they were not asked for.
    """

    before: Photo
    pixels: Pixels
    coefficients: Mapping[str, Halves] | None
    report: RestoreReport
    weights: ResolvedWeights
    settings: RestoreSettings
    region: Box | None

    @property
    def after(self) -> Photo:
        """The photo with its restored pixels, and everything that it came with."""
        return replace(self.before, pixels=self.pixels)

    def write(self, target: Path | BinaryIO, *, quality: int | None, force: bool) -> None:
        """Write the restored photo whole or not at all, with its metadata and what made it.

        Raises:
            OutputError: as ``photo.write_photo`` does.
        """
        write_photo(
            self.before, self.pixels, target, quality=quality, provenance=self._provenance(), force=force
        )

    def _provenance(self) -> Provenance:
        values: dict[str, str | int | float] = {
            "model": self.weights.model,
            "weights": self.weights.name,
            "weightsHash": str(self.weights.checksum),
            "strength": self.settings.strength,
            "backend": self.report.backend,
            "precision": self.report.precision,
            "tile": self.report.tile,
            "overlap": self.report.overlap,
        }
        if self.region is not None:
            values["region"] = self.region.text
        if self.before.white is not None:
            values["white"] = self.before.white
        return Provenance(software=f"defocusctl {__version__}", settings=values)
