"""A photo's change, kept, so that strength and max_blur can be chosen without running the network again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from threading import Lock
from weakref import finalize

import numpy as np

from defocusctl.models.level_shares import LevelShares
from defocusctl.photo import Mask
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.blur import BlurMap
from defocusctl.restoring.settings import RestoreReport, RestoreSettings
from defocusctl.restoring.tiles import Floats, TilePlan
from defocusctl.system.atomic import write_error


class KeptPieces:
    """The stitched changes of a photo's levels, piece by piece as they were finished, 4 bytes per value.

    They are in a temporary file, which the system removes together with this object or the process.
    """

    def __init__(self) -> None:
        self.plans: dict[int, TilePlan] = {}
        self._places: dict[int, list[tuple[Box, tuple[int, ...], int]]] = {}
        self._file = TemporaryFile(prefix="defocusctl-")  # noqa: SIM115 - closed with this object
        finalize(self, self._file.close)
        self._lock = Lock()

    def begin(self, scale: int, plan: TilePlan) -> None:
        """Expect the pieces of a level; those kept before are discarded."""
        self.plans[scale] = plan
        self._places[scale] = []

    def add(self, scale: int, box: Box, values: Floats) -> None:
        """Keep a piece (C, h, w) of a level.

        Raises:
            OutputError: if there is no room for it.
        """
        try:
            with self._lock:
                self._places[scale].append((box, values.shape, self._file.seek(0, 2)))
                self._file.write(np.ascontiguousarray(values).data)
                self._file.flush()
        except OSError as error:
            raise write_error(Path(gettempdir()), error) from error

    def of(self, scale: int) -> Iterator[tuple[Box, Floats]]:
        """The pieces of a level in the order in which they were added."""
        for box, shape, place in self._places[scale]:
            values = np.empty(shape, np.float32)
            with self._lock:
                self._file.seek(place)
                self._file.readinto(values.data)
            yield box, values


@dataclass(frozen=True, eq=False)
class Change:
    """All that ``restoring.restored.adjusted`` needs besides the photo, of ``size``, that was restored.

    ``settings`` and ``report`` are those of the restoration, ``region`` and ``mask`` what it was limited to;
    ``measured`` are the shares of levels by blur radius, ``blur`` is the blur map of the whole photo.
    """

    size: Size
    settings: RestoreSettings
    report: RestoreReport
    region: Box | None
    mask: Mask | None
    measured: LevelShares
    blur: BlurMap
    pieces: KeptPieces
