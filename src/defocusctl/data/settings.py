"""How a recipe describes rendered defocus; every number has a unit and a range that is checked."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, model_validator

from defocusctl.system.toml import Table

Range = TypeVar("Range", tuple[int, int], tuple[float, float])


def _rising(ends: Range) -> Range:
    if ends[0] > ends[1]:
        raise ValueError("the first number must not be above the second")
    return ends


Probability = Annotated[float, Field(strict=True, ge=0, le=1)]
Radius = Annotated[float, Field(strict=True, gt=0, le=100)]
Quality = Annotated[int, Field(strict=True, ge=1, le=100)]
Softness = Annotated[float, Field(strict=True, ge=0, le=1)]
Scale = Annotated[float, Field(strict=True, gt=0, le=1)]
Amount = Annotated[float, Field(strict=True, ge=0)]
Blades = Annotated[int, Field(strict=True, ge=3, le=100)]


class Geometry(Table):
    """Relative frequency of the kinds of scenes; those from depth maps need ``depth`` folders."""

    depth: Amount = 1.0
    plane: Amount = 1.0
    layers: Amount = 1.0
    smooth: Amount = 1.0

    @model_validator(mode="after")
    def _something_left(self) -> "Geometry":
        if self.depth + self.plane + self.layers + self.smooth <= 0:
            raise ValueError("at least one kind of geometry needs a frequency above 0")
        return self

    @property
    def is_depth_only(self) -> bool:
        return self.plane + self.layers + self.smooth <= 0


class Aperture(Table):
    """The shape of the blur: a disc, or a polygon of blades, soft-edged or aberrated by chance."""

    polygon: Probability = 0.3
    blades: Annotated[tuple[Blades, Blades], AfterValidator(_rising)] = (5, 9)
    soft_edge: Amount = 0.5  # largest width of the soft edge, relative to r
    # Sigma of a Gaussian that the whole disc is convolved with, relative to r.
    gaussian_edge: Annotated[tuple[Softness, Softness], AfterValidator(_rising)] = (0.0, 0.0)
    # Largest brightening of rim or centre.
    aberration: Annotated[float, Field(strict=True, ge=0, le=0.9)] = 0.4
    ellipticity: Annotated[float, Field(strict=True, ge=0, le=0.5)] = 0.12


class Camera(Table):
    """What the sensor and the file do to the light."""

    highlights: Probability = 0.3
    highlight_gain: Annotated[float, Field(strict=True, ge=1)] = 4.0
    noise: Probability = 0.6
    noise_sigma: Amount = 0.01  # largest shot noise at white, linear
    correlated_noise: Probability = 0.3
    jpeg: Probability = 0.3
    jpeg_quality: Annotated[tuple[Quality, Quality], AfterValidator(_rising)] = (70, 96)


class Rendering(Table):
    """Rendered defocus: thin lens, layered occlusion, then the camera."""

    # Radius in pixels at the depth farthest from focus, log-uniform per scene.
    max_radius: Annotated[tuple[Radius, Radius], AfterValidator(_rising)] = (0.5, 7.0)
    sharp: Probability = 0.08  # share of scenes that are entirely in focus
    off_focus: Probability = 0.0  # share of crops with nothing in focus; the others have something
    depth_of_field: Amount = 0.6  # largest radius in pixels that counts as in focus, drawn from zero up
    scene_softness: Amount = 0.7  # largest sigma in pixels of a blur of the sharp photo itself
    soft_scenes: Probability = 0.5  # share of scenes with such a blur: the camera is not crisp even in focus
    smallest_scale: Scale = 1.0  # photos are first shrunk to between this and 1 of their size, log-uniform
    levels: Annotated[int, Field(strict=True, ge=3, le=64)] = 8
    geometry: Geometry = Geometry()
    aperture: Aperture = Aperture()
    camera: Camera = Camera()
