"""A deblurrer with a real network of few channels."""

from collections.abc import Iterator

import pytest

from defocusctl import Deblurrer
from defocusctl.system.threads import torch_threads
from tests.cli.command import small_weights


@pytest.fixture(scope="module")
def deblurrer(tmp_path_factory: pytest.TempPathFactory) -> Deblurrer:
    weights = small_weights(tmp_path_factory.mktemp("weights"), "iniknet")
    return Deblurrer.from_pretrained("iniknet", weights, precision="fp32", device="cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Results are compared to the bit, and the number of threads adapts to what else runs."""
    with torch_threads(1):
        yield
