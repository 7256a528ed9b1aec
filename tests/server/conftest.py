"""One server for the tests of a file that do not end it."""

from collections.abc import Iterator

import pytest

from tests.server.serving import SESSION, Server, serving


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("server")
    with serving(home, "--max-upload", "0.2", "--max-photos", "6") as running:
        yield running


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The server without photos; those of the test are removed after it."""
    yield running
    for photo in running.state():
        assert running.ask("DELETE", f"{SESSION}/photos/{photo['id']}")[0] == 204
