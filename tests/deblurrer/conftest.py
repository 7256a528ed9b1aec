"""A deblurrer with a real network of few channels."""

import pytest

from defocusctl import Deblurrer
from tests.cli.command import small_weights


@pytest.fixture(scope="module")
def deblurrer(tmp_path_factory: pytest.TempPathFactory) -> Deblurrer:
    weights = small_weights(tmp_path_factory.mktemp("weights"), "iniknet")
    return Deblurrer.from_pretrained("iniknet", weights, precision="fp32", device="cpu")
