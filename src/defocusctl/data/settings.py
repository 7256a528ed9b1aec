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
Blades = Annotated[int, Field(strict=True, ge=3, le=100)]


class Geometry(Table):
    """Relative frequency of the kinds of scenes; those from depth maps need ``depth`` folders."""

    depth: Annotated[float, Field(strict=True, ge=0)] = 1.0
    plane: Annotated[float, Field(strict=True, ge=0)] = 1.0
    layers: Annotated[float, Field(strict=True, ge=0)] = 1.0
    smooth: Annotated[float, Field(strict=True, ge=0)] = 1.0

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
    soft_edge: Annotated[float, Field(strict=True, ge=0)] = 0.5
    """Largest width of the soft edge, relative to r."""
    gaussian_edge: Annotated[tuple[Softness, Softness], AfterValidator(_rising)] = (0.0, 0.0)
    """Sigma of a Gaussian that the whole disc is convolved with, relative to r."""
    aberration: Annotated[float, Field(strict=True, ge=0, le=0.9)] = 0.4
    """Largest brightening of rim or centre."""
    ellipticity: Annotated[float, Field(strict=True, ge=0, le=0.5)] = 0.12


class Camera(Table):
    """What the sensor and the file do to the light."""

    highlights: Probability = 0.3
    highlight_gain: Annotated[float, Field(strict=True, ge=1)] = 4.0
    noise: Probability = 0.6
    noise_sigma: Annotated[float, Field(strict=True, ge=0)] = 0.01
    """Largest shot noise at white, linear."""
    correlated_noise: Probability = 0.3
    jpeg: Probability = 0.3
    jpeg_quality: Annotated[tuple[Quality, Quality], AfterValidator(_rising)] = (70, 96)


class Rendering(Table):
    """Rendered defocus: thin lens, layered occlusion, then the camera."""

    max_radius: Annotated[tuple[Radius, Radius], AfterValidator(_rising)] = (0.5, 7.0)
    """Radius in pixels at the depth farthest from focus, log-uniform per scene."""
    sharp: Probability = 0.08
    """Share of scenes that are entirely in focus."""
    off_focus: Probability = 0.0
    """Share of crops that show only out-of-focus parts of their scene; the others have something in focus."""
    depth_of_field: Annotated[float, Field(strict=True, ge=0)] = 0.6
    """Largest circle radius in pixels that still counts as in focus, drawn per scene from zero up."""
    scene_softness: Annotated[float, Field(strict=True, ge=0)] = 0.7
    """Largest sigma in pixels of a blur of the sharp photo itself, for the scenes that get one."""
    soft_scenes: Probability = 0.5
    """Share of scenes that get one: those of a camera that is not crisp even in focus."""
    smallest_scale: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    """Photos are shrunk before they are rendered, to between this and 1 of their size, log-uniform."""
    levels: Annotated[int, Field(strict=True, ge=3, le=64)] = 8
    geometry: Geometry = Geometry()
    aperture: Aperture = Aperture()
    camera: Camera = Camera()
