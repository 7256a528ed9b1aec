"""The papers' ablations: their sizes, what changes, and that weight files remember which one they are of."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from defocusctl.errors import ModelError, WeightsError
from defocusctl.maps.atoms import atom_arrays, atoms_sheet
from defocusctl.models.catalogue import NETWORKS
from defocusctl.models.fast_layers import for_inference
from defocusctl.models.iniknet import INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network
from defocusctl.models.variants import VARIANTS, Variant, find_variant, variant_of
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint
from defocusctl.weights.checksums import with_content_checksum
from defocusctl.weights.metadata import WeightsMetadata

SMALL = {
    "iniknet": INIKNetConfig(width=4, blocks_per_stage=1, atoms=2, kernel_sizes=3),
    "nrknet": NRKNetConfig(width=4, atoms=4),
}
PARTS = [variant for variant in VARIANTS if variant.network]
COUNTS = {
    "Non-MS Dict": 2_245_707,
    "Non-INR Dict": 1_932_127,
    "Unidirectional": 1_977_711,
    "NonAdaptive": 6_093_981,
    "NonRecursive": 6_095_430,
    "NonSeparable": 6_136_548,
    "FullExp": 6_094_107,
    "2Scales": 6_094_107,
    "4Scales": 6_094_107,
    "w/o LSTM": 6_114_717,
}
DOCS = Path(__file__).parents[2] / "docs" / "ablations.md"


def small(variant: Variant) -> Network:
    torch.manual_seed(0)
    network = NETWORKS[variant.model](replace(SMALL[variant.model], **variant.network))
    network.initialise()
    return network.eval()


@pytest.mark.parametrize("variant", PARTS, ids=lambda variant: variant.name)
def test_sizes_at_the_papers_widths(variant: Variant) -> None:
    kind = NETWORKS[variant.model]
    network = kind(replace(kind().config, **variant.network))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == COUNTS[variant.name]
    assert f"| {variant.name} | {count:,} |" in DOCS.read_text()


def test_kernels_of_one_colour_and_twenty_sizes_are_as_many_numbers_as_the_paper_counts() -> None:
    """Its Table 3 counts 440 and 12,340: 20 kernels of one colour; the release has 21 of three."""
    for kernels, numbers in (("independent", 440), ("free", 12_340)):
        blurring = NRKNet(NRKNetConfig(width=1, atoms=21, kernels=kernels)).blurring.kernels
        assert sum(parameter.numel() for parameter in blurring.parameters()) == 3 * numbers


@torch.inference_mode()
@pytest.mark.parametrize("variant", PARTS, ids=lambda variant: variant.name)
@pytest.mark.parametrize("size", [(32, 32), (48, 80)])
def test_any_size_is_restored_with_faster_layers_as_well(variant: Variant, size: tuple[int, int]) -> None:
    network = small(variant)
    x = torch.rand(1, 3, *size)
    image, coefficients = network(x)
    assert image.shape == x.shape
    assert tuple(coefficients) == network.coefficient_names
    assert coefficients[network.coefficient_names[0]].shape[-2:] == size
    assert 0 < (image - x).abs().mean() < 0.3
    torch.testing.assert_close(for_inference(small(variant), torch.device("cpu"))(x).image, image)


@torch.inference_mode()
@pytest.mark.parametrize("variant", PARTS, ids=lambda variant: variant.name)
def test_weights_for_bgr_images_do_the_same_to_bgr_images(variant: Variant) -> None:
    network = small(variant)
    for parameter in network.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))  # colours differ
    x = torch.rand(1, 3, 32, 32)
    expected = network(x).image
    assert not torch.allclose(network(x.flip(1)).image.flip(1), expected, atol=1e-4)
    network.reverse_colours()
    torch.testing.assert_close(network(x.flip(1)).image.flip(1), expected)


@torch.inference_mode()
@pytest.mark.parametrize("variant", PARTS, ids=lambda variant: variant.name)
def test_a_file_remembers_what_it_is_of(variant: Variant, tmp_path: Path) -> None:
    network = small(variant)
    path = tmp_path / "weights.safetensors"
    metadata = WeightsMetadata.of_network(network, source="test", licence="MIT", trained_on="nothing")
    save_checkpoint(path, network, metadata, dtype=torch.float32)
    loaded = load_checkpoint(path, model_name=variant.model)
    assert loaded.metadata.variant == variant.name
    assert loaded.model.config == network.config
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(loaded.model(x).image, network(x).image)


@torch.inference_mode()
def test_a_file_that_names_another_part_is_refused(tmp_path: Path) -> None:
    network = small(find_variant("nrknet", "NonRecursive"))
    path = tmp_path / "weights.safetensors"
    metadata = WeightsMetadata.of_network(network, source="test", licence="MIT", trained_on="nothing")
    for kernels, said in (("free", "is not nrknet"), ("square", "'square', not one of 'recursive'")):
        other = replace(metadata, configuration={**metadata.configuration, "kernels": kernels})
        save_checkpoint(path, network, other, dtype=torch.float32)
        with pytest.raises(WeightsError, match=said):
            load_checkpoint(path)


@torch.inference_mode()
def test_files_from_before_the_variants_are_of_the_network_as_published(tmp_path: Path) -> None:
    network = NRKNet(SMALL["nrknet"])
    texts = {
        "model": "nrknet",
        "configuration": json.dumps({"width": 4, "atoms": 4, "feature_scale": 1}),
        "channel_order": "RGB",
        **dict.fromkeys(("source", "licence", "trained_on", "digest"), ""),
    }
    path = tmp_path / "weights.safetensors"
    path.write_bytes(with_content_checksum(safetensors.torch.save(network.state_dict(), texts)))
    loaded = load_checkpoint(path)
    assert loaded.model.config == network.config
    assert loaded.metadata.variant == ""


def test_names() -> None:
    assert variant_of("nrknet", vars(NRKNetConfig(kernels="free"))) == "NonSeparable"
    assert variant_of("nrknet", vars(NRKNetConfig())) == ""
    assert variant_of("nrknet", vars(NRKNetConfig(kernels="free", scales=2))) == ""
    with pytest.raises(ModelError, match="no variant 'NonMagic': known for iniknet: 'Non-MS Dict'"):
        find_variant("iniknet", "NonMagic")


@torch.inference_mode()
def test_four_scales_see_what_three_do_not() -> None:
    """With the same weights, only the term of the fourth scale is added."""
    three, four = NRKNet(SMALL["nrknet"]).eval(), NRKNet(replace(SMALL["nrknet"], scales=4)).eval()
    four.load_state_dict(three.state_dict())
    x = torch.rand(1, 3, 64, 64)
    prediction = four(x)
    gamma = prediction.coefficients["gamma_4"]
    z = x[..., ::8, ::8]
    assert gamma.shape[-2:] == z.shape[-2:]
    for _ in range(4):
        z = z - four.reblur(z, gamma)
    gammas = [prediction.coefficients[f"gamma_{t}"] for t in (1, 2, 3)]
    expected = torch.nn.functional.interpolate(z, scale_factor=8.0, mode="bilinear", align_corners=False)
    for t, gamma in enumerate(gammas, start=1):
        term = x[..., :: 2 ** (t - 1), :: 2 ** (t - 1)]
        for _ in range(t):
            term = term - four.reblur(term, gamma)
        scale = float(2 ** (t - 1))
        expected = expected + torch.nn.functional.interpolate(term, scale_factor=scale, mode="bilinear")
    torch.testing.assert_close(prediction.image, x + expected)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["NonAdaptive", "NonRecursive", "NonSeparable"])
def test_responses_are_correlations_with_the_atoms(name: str) -> None:
    network = small(find_variant("nrknet", name))
    assert isinstance(network, NRKNet)
    for parameter in network.blurring.kernels.parameters():
        parameter.normal_()
    atoms = network.blurring.kernels.atoms()
    torch.testing.assert_close(atoms.sum(dim=(2, 3)), torch.ones(4, 3))
    image = torch.rand(1, 3, 32, 40)
    half = atoms.shape[-1] // 2
    for response, atom in zip(network.blurring.kernels.responses(image), atoms[1:], strict=True):
        whole = torch.nn.functional.conv2d(image, atom[:, None], groups=3)
        torch.testing.assert_close(response[..., half:-half, half:-half], whole)


@pytest.mark.parametrize("name", ["NonAdaptive", "NonRecursive", "NonSeparable"])
def test_other_blur_atoms_are_drawn(name: str, tmp_path: Path) -> None:
    network = small(find_variant("nrknet", name))
    assert atom_arrays(network).keys() == {"atoms"}
    atoms_sheet(network).save(tmp_path / "atoms.png", force=False)
    assert (tmp_path / "atoms.png").stat().st_size > 1000


def test_gaussians_widen_as_in_gkmnet() -> None:
    atoms = NRKNet(NRKNetConfig(width=1, kernels="gaussian")).blurring.kernels.atoms()
    assert atoms.shape == (22, 3, 21, 21)
    widths = [int((atom[0] > 0).any(dim=0).sum()) for atom in atoms]
    assert widths == [1, 3, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15, 17, 17, 19, 19, 21, 21]
    centre = atoms[8, 0, 10]  # sigma 2
    assert float(centre[11] / centre[10]) == pytest.approx(float(torch.exp(torch.tensor(-1 / 8))))
