"""The plug-in's part without GIMP, with the real command."""

import os
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile

from defocusctl import Deblurrer
from tests.cli.command import small_weights, textured
from tests.integration.loading import loaded

COMMAND = str(Path(sysconfig.get_path("scripts")) / "defocusctl")


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    return loaded("gimp/defocusctl-deblur/deblurring.py", "gimp_deblurring")


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A layer as GIMP writes it: floating point, with transparency, and with values beyond white."""
    colours = textured(48, 64).astype(np.float32) / 200
    alpha = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64, 1)
    path = tmp_path / "layer.tif"
    tifffile.imwrite(
        path, np.concatenate([colours, alpha], axis=2), photometric="rgb", extrasamples=["unassalpha"]
    )
    return path


def settings(plugin: ModuleType, tmp_path: Path, **values: Any) -> Any:
    weights = str(small_weights(tmp_path, "iniknet"))
    return plugin.Settings(**{"command": COMMAND, "weights": weights, **values})


@pytest.mark.slow
def test_the_result_is_that_of_the_python_api(plugin: ModuleType, layer: Path, tmp_path: Path) -> None:
    target = layer.with_name("out.tif")
    given = settings(plugin, tmp_path, strength=0.5, scale="1", max_blur=30.0)
    waited: list[None] = []
    plugin.deblur(given, layer, target, lambda: waited.append(None))
    assert waited  # starting it takes longer than one look
    deblurrer = Deblurrer.from_pretrained("iniknet", given.weights, strength=0.5, scale="1", max_blur=30.0)
    expected = deblurrer.deblur(layer, white=1.0).image
    result = tifffile.imread(target)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-4)  # its threads may round differently
    assert not np.allclose(result[..., :3], tifffile.imread(layer)[..., :3], atol=1e-3)


@pytest.mark.slow
def test_what_goes_wrong_is_one_line(plugin: ModuleType, layer: Path, tmp_path: Path) -> None:
    missing = tmp_path / "no such program"
    with pytest.raises(plugin.DeblurError, match=r"cannot find .*: give its path in the dialog"):
        plugin.deblur(settings(plugin, tmp_path, command=str(missing)), layer, tmp_path / "out.tif", list)
    layer.write_bytes(layer.read_bytes()[:500])
    with pytest.raises(plugin.DeblurError) as error:
        plugin.deblur(settings(plugin, tmp_path), layer, tmp_path / "out.tif", list)
    assert "layer.tif" in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_the_program_ends_with_the_plugin(plugin: ModuleType, layer: Path, tmp_path: Path) -> None:
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\necho $$ >'{tmp_path}/started'\nexec sleep 600\n")
    program.chmod(0o755)

    def cancelled() -> None:
        if (tmp_path / "started").exists() and (tmp_path / "started").read_text().strip():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plugin.deblur(
            settings(plugin, tmp_path, command=str(program)), layer, tmp_path / "out.tif", cancelled
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "started").read_text()), 0)
