"""The renderer obeys the thin-lens law and lets near things cover far ones."""

import pytest
import torch
from torch import Tensor

from defocusctl.data.defocus import defocus, margin, render, to_light
from defocusctl.data.scenes import circles_of_confusion, draw_disparity, draw_shapes
from defocusctl.data.settings import Aperture, Camera, Geometry, Rendering

SIZE = 64
CLEAN = Camera(highlights=0, noise=0, jpeg=0)
ROUND = Aperture(polygon=0, soft_edge=0, aberration=0, ellipticity=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blurred(light: Tensor, c: Tensor, levels: int = 8) -> Tensor:
    return defocus(light, c, draw_shapes(ROUND, len(light), generator()), levels)


def noise_picture() -> Tensor:
    return torch.rand(1, 3, SIZE, SIZE, generator=generator(5))


def left_half(near: float, far: float) -> Tensor:
    field = torch.full((1, SIZE, SIZE), far)
    field[..., : SIZE // 2] = near
    return field


def test_in_focus_everywhere_changes_nothing() -> None:
    light = noise_picture() * 3
    assert (blurred(light, torch.zeros(1, SIZE, SIZE)) - light).abs().max() < 1e-5


def test_constant_light_stays_constant() -> None:
    light = torch.tensor([0.2, 0.5, 1.5]).view(1, 3, 1, 1).expand(1, 3, SIZE, SIZE)
    ramp = torch.linspace(-6, 6, SIZE).expand(1, SIZE, SIZE)
    assert (blurred(light, ramp) - light).abs().max() < 1e-4


def test_uniform_defocus_is_a_convolution_with_the_disc() -> None:
    light = torch.zeros(1, 3, SIZE, SIZE)
    light[..., 32, 32] = 1
    spot = blurred(light, torch.full((1, SIZE, SIZE), 5.0))[0, 0]
    axis = torch.arange(SIZE) - 32
    distance = torch.hypot(axis.view(-1, 1).float(), axis.view(1, -1).float())
    assert spot[distance > 6].max() < 1e-6
    assert torch.allclose(spot[distance < 4], torch.tensor(1 / (torch.pi * 25)), rtol=0.03)


def test_sharp_near_object_keeps_its_edge_before_a_blurred_far_one() -> None:
    light = torch.zeros(1, 3, SIZE, SIZE)
    light[..., : SIZE // 2] = 1
    picture = blurred(light, left_half(near=0.0, far=-6.0))[0, 0]
    inner = slice(8, SIZE // 2)
    assert (picture[:, inner] - 1).abs().max() < 1e-4, "the near object is untouched up to its edge"
    assert picture[:, SIZE // 2 + 1 : SIZE - 8].max() < 0.01, "and does not bleed over the far one"


def test_blurred_near_object_spreads_over_a_sharp_far_one() -> None:
    light = torch.zeros(1, 3, SIZE, SIZE)
    light[..., : SIZE // 2] = 1
    picture = blurred(light, left_half(near=6.0, far=0.0))[0, 0]
    assert picture[32, SIZE // 2 + 2] > 0.15
    assert picture[32, SIZE // 2 + 2] > picture[32, SIZE // 2 + 5] > 0
    assert picture[:, SIZE // 2 + 8 : SIZE - 8].abs().max() < 1e-4
    texture = noise_picture()
    far = slice(SIZE // 2 + 8, SIZE - 8)
    kept = blurred(texture, left_half(near=6.0, far=0.0))
    assert (kept - texture)[..., far].abs().max() < 1e-4, "the far one is still in focus away from the edge"


def test_highlights_above_white_blur_into_bright_discs() -> None:
    pixels = torch.full((8, 3, SIZE, SIZE), 0.1)
    pixels[..., 30:34, 30:34] = 1.0
    rendering = Rendering(max_radius=(6, 6), sharp=0, off_focus=1, depth_of_field=0, scene_softness=0)
    peaks = {}
    for gain in (1.0, 10.0):
        camera = Camera(highlights=1, highlight_gain=gain, noise=0, jpeg=0)
        settings = rendering.model_copy(update={"camera": camera})
        peaks[gain] = float(render(settings, pixels, None, generator(3)).blurred.amax(dim=(1, 2, 3)).mean())
    assert peaks[10.0] > peaks[1.0] + 0.1


def test_circle_radius_is_linear_in_disparity_and_zero_at_the_focus() -> None:
    rendering = Rendering(max_radius=(5, 5), sharp=0, off_focus=0, depth_of_field=0)
    disparity = torch.linspace(0, 1, SIZE).expand(16, SIZE, SIZE)
    c = circles_of_confusion(rendering, disparity, generator())
    steps = c.diff(dim=2)
    assert torch.allclose(steps, steps[:, :, :1].expand_as(steps), atol=1e-4), "one factor A per scene"
    assert torch.allclose(c.abs().amax(dim=(1, 2)), torch.full((16,), 5.0))
    assert (c.abs().amin(dim=(1, 2)) <= steps[:, 0, 0] / 2 + 1e-4).all(), "the focus lies in the scene"
    assert (c[:, 0, -1] > c[:, 0, 0]).all(), "positive in front"


def test_depth_of_field_is_exactly_in_focus_and_sharp_scenes_are_wholly() -> None:
    disparity = torch.linspace(0, 1, SIZE).expand(32, SIZE, SIZE)
    rendering = Rendering(max_radius=(3, 3), sharp=0, off_focus=0, depth_of_field=1.0)
    c = circles_of_confusion(rendering, disparity, generator())
    assert (c == 0).any(dim=2).all(dim=1).float().mean() > 0.9
    all_sharp = circles_of_confusion(rendering.model_copy(update={"sharp": 1.0}), disparity, generator())
    assert (all_sharp == 0).all()


@pytest.mark.parametrize("kind", ["plane", "layers", "smooth"])
def test_every_crop_has_something_in_focus_unless_asked(kind: str) -> None:
    only = Geometry(**{name: float(name == kind) for name in ("depth", "plane", "layers", "smooth")})
    rendering = Rendering(max_radius=(6, 6), sharp=0, depth_of_field=0, geometry=only)
    random = generator()
    disparity = draw_disparity(only, None, (48, 64), 40, random)
    c = circles_of_confusion(rendering, disparity, random)
    assert (c.abs().amin(dim=(1, 2)) < 1e-5).all()
    assert torch.allclose(c.abs().amax(dim=(1, 2)), torch.tensor(6.0), atol=1e-4)


def test_off_focus_scenes_have_no_sharp_part() -> None:
    rendering = Rendering(max_radius=(4, 4), sharp=0, off_focus=1, depth_of_field=0)
    disparity = torch.linspace(0, 1, SIZE).expand(32, SIZE, SIZE)
    assert (circles_of_confusion(rendering, disparity, generator()).abs() > 0.05).all()


def test_every_kind_of_geometry_fills_the_unit_interval() -> None:
    depth = torch.rand(4, SIZE, SIZE, generator=generator(2))
    nothing = {"depth": 0.0, "plane": 0.0, "layers": 0.0, "smooth": 0.0}
    for kind in nothing:
        field = draw_disparity(Geometry(**nothing | {kind: 1.0}), depth, (SIZE, SIZE), 4, generator())
        assert field.shape == (4, SIZE, SIZE)
        assert field.amin() >= 0
        assert field.amax() <= 1 + 1e-6
    plane = draw_disparity(Geometry(**nothing | {"plane": 1.0}), None, (SIZE, SIZE), 4, generator())
    assert plane.diff(dim=1).diff(dim=1).abs().max() < 1e-5, "a plane is linear in disparity"
    layers = draw_disparity(Geometry(**nothing | {"layers": 1.0}), None, (SIZE, SIZE), 4, generator())
    assert layers.diff(dim=2).abs().max() > 0.1, "layers have edges"


def test_render_is_a_function_of_the_generator() -> None:
    rendering = Rendering(max_radius=(1, 4))
    photos = torch.rand(2, 3, 32 + 2 * margin(rendering), 32 + 2 * margin(rendering), generator=generator(9))
    first, again, other = (render(rendering, photos, None, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.blurred, again.blurred)
    assert torch.equal(first.sharp, again.sharp)
    assert not torch.equal(first.blurred, other.blurred)
    assert first.blurred.shape == first.sharp.shape == (2, 3, 32, 32)
    assert first.radius.shape == (2, 32, 32)
    assert first.radius.max() <= 4


def test_a_clean_sharp_scene_is_its_own_target() -> None:
    rendering = Rendering(sharp=1.0, camera=CLEAN, scene_softness=0)
    side = 32 + 2 * margin(rendering)
    photos = (torch.rand(1, 3, side, side, generator=generator(4)) * 255).round() / 255
    pair = render(rendering, photos, None, generator())
    assert (pair.blurred - pair.sharp).abs().max() <= 1 / 255 + 1e-6
    m = margin(rendering)
    assert torch.allclose(to_light(pair.sharp), to_light(photos[..., m:-m, m:-m]), atol=1e-5)
