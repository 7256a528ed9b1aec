"""spandrel, with which ComfyUI and chaiNNer load models, finds our networks and gives our pixels."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import safetensors.torch
import torch

from defocusctl import Deblurrer
from defocusctl.models.catalogue import NETWORKS
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint
from defocusctl.weights.metadata import WeightsMetadata
from defocusctl.weights.resolve import resolve_weights
from tests.export.test_export import photo_pixels
from tests.golden_weights import released_state

MODELS = list(NETWORKS)
UNUSED = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")


@pytest.fixture(scope="module", autouse=True)
def spandrel() -> Iterator[ModuleType]:
    """The real package, with our networks; torchvision, which other architectures need, may be missing."""
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("torchvision") is None:
            for name in UNUSED:
                patch.setitem(sys.modules, name, ModuleType(name))
            for function in ("InterpolationMode", "rotate", "normalize"):
                patch.setattr(sys.modules[UNUSED[-1]], function, None, raising=False)
        found = pytest.importorskip("spandrel", reason="no spandrel here: see the Makefile")
        import defocusctl.export.spandrel

    defocusctl.export.spandrel.install()
    defocusctl.export.spandrel.install()
    yield found


def small(model: str, feature_scale: int) -> Network:
    """An untrained network of unusual sizes, whose pixels differ from its input."""
    torch.manual_seed(1)
    network: Network
    if model == "iniknet":
        sizes = {"width": 4, "blocks_per_stage": 1, "atoms": 3, "kernel_sizes": 4, "atom_width": 8}
        network = INIKNet(INIKNetConfig(**sizes, feature_scale=feature_scale))
    else:
        network = NRKNet(NRKNetConfig(width=6, atoms=4, feature_scale=feature_scale))
    network.initialise()
    return network.eval()


def saved(path: Path, network: Network) -> Path:
    metadata = WeightsMetadata.of_network(network, source="a test", licence="MIT", trained_on="nothing")
    save_checkpoint(path, network, metadata, dtype=torch.float32)
    return path


def weights_of(kind: str, model: str, folder: Path) -> Path:
    """A file with weights: ours as bundled or of other sizes, or the authors'."""
    if kind == "bundled":
        return resolve_weights(model, "bundled", offline=True).path
    if kind == "released":
        state = {f"module.{key}": tensor for key, tensor in released_state(model).items()}
        torch.save({"params": state}, folder / "released.pth")
        return folder / "released.pth"
    return saved(folder / "small.safetensors", small(model, int(kind)))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["bundled", "1", "2"])
def test_its_call_gives_our_pixels(spandrel: ModuleType, tmp_path: Path, model: str, kind: str) -> None:
    path = weights_of(kind, model, tmp_path)
    found = spandrel.ModelLoader().load_from_file(path)
    assert isinstance(found, spandrel.ImageModelDescriptor)
    assert found.architecture.id == {"iniknet": "INIKNet", "nrknet": "NRKNet"}[model]
    assert not found.model.training
    ours = Deblurrer.from_pretrained(model, path, scale="1", precision="fp32", tile=0, device="cpu")
    assert found.model.config == ours.network.config
    for height, width in ((32, 48), (53, 35), (40, 5)):
        photo = torch.from_numpy(photo_pixels(height, width))
        theirs = found(photo)
        expected = ours.deblur(photo).image
        assert theirs.shape == photo.shape
        assert (theirs - expected).abs().max() < 2e-5
        assert (theirs - photo).abs().max() > 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_the_authors_weights_are_for_bgr(spandrel: ModuleType, tmp_path: Path, model: str) -> None:
    """In their order of colours, the network sees the photo with its colours reversed."""
    path = weights_of("released", model, tmp_path)
    photo = torch.rand(1, 3, 32, 32)
    network = load_checkpoint(path).model
    found = spandrel.ModelLoader().load_from_file(path)
    with torch.inference_mode():
        restored = found.model(photo).image
        assert torch.equal(restored, network(photo).image)
        network.reverse_colours()
        assert (restored - network(photo.flip(1)).image.flip(1)).abs().max() < 2e-5


@pytest.mark.parametrize("model", MODELS)
def test_what_a_program_asks_before_it_cuts_tiles(spandrel: ModuleType, tmp_path: Path, model: str) -> None:
    found = spandrel.ModelLoader().load_from_file(weights_of("2", model, tmp_path))
    assert (found.scale, found.input_channels, found.output_channels) == (1, 3, 3)
    assert (found.purpose, found.tiling) == ("Restoration", spandrel.ModelTiling.SUPPORTED)
    assert found.size_requirements.none
    assert found.tags == [{"iniknet": "4w", "nrknet": "6w"}[model], "1/2 features"]
    for dtype in (torch.float16, torch.bfloat16):
        with pytest.raises(spandrel.UnsupportedDtypeError):
            found.to(dtype)


def test_other_files_are_left_to_others(spandrel: ModuleType, tmp_path: Path) -> None:
    blur_radius = resolve_weights("blur-radius", "bundled", offline=True).path
    safetensors.torch.save_file({"body.0.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    for path in (blur_radius, tmp_path / "other.safetensors"):
        with pytest.raises(spandrel.UnsupportedModelError):
            spandrel.ModelLoader().load_from_file(path)
