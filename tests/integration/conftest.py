"""An object store and a Ray cluster on this machine, for as long as the tests of this folder run."""

import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from defocusctl.batch.ray_workers import cluster_nodes


@pytest.fixture(autouse=True)
def _at_home(home: Path) -> None:
    """Every test here runs in a fresh home."""


@pytest.fixture(scope="package")
def store() -> Iterator[None]:
    """A server that speaks S3, to which this process and its children talk."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # of an earlier server, if there was one
        yield
    server.stop()


@pytest.fixture
def bucket(store: None) -> str:
    """The URL of an empty bucket of the test's own."""
    name = f"photos-{secrets.token_hex(4)}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}"


@pytest.fixture(scope="package")
def cluster(store: None) -> Iterator[str]:
    """The address of a Ray cluster here, to which this process is connected."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    with cluster_nodes(None):
        yield ray.get_runtime_context().gcs_address
