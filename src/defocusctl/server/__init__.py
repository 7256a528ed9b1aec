"""``defocusctl serve``: a page in the browser for photos on this machine, through the Python API."""

from dataclasses import dataclass

from defocusctl.restoring.settings import RestoreSettings


@dataclass(frozen=True)
class ServeSettings:
    """``restoring`` applies to all photos but for scale, strength and max_blur.

    ``weights`` are used for ``model``; other networks get the first weights available. ``port`` 0 is a free
    one; ``max_bytes`` is the size of the largest file, ``max_photos`` their number. A page that has been
    closed for ``forget_after`` seconds is forgotten with its photos.
    """

    host: str
    port: int
    model: str
    weights: str | None
    offline: bool
    restoring: RestoreSettings
    white: float | None
    max_megapixels: float
    max_bytes: int
    max_photos: int
    forget_after: float
