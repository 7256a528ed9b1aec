"""Thousands of damaged files: each gives a photo or one clear error, quietly and in little memory."""

import contextlib
import gc
import logging
import signal
import tracemalloc
from collections.abc import Iterator

import pytest

from defocusctl.errors import InputError
from defocusctl.photo import read_photo
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

MUTANTS = 5000
MEGAPIXELS = 0.5
SECONDS_PER_FILE = 10.0
MEMORY_LIMIT = 40 * MEGAPIXELS * 1e6  # bytes that Python and NumPy hold at once for one file
MEASURED = 50  # one file in so many: measuring takes many times as long as reading


@contextlib.contextmanager
def within_time(name: str) -> Iterator[None]:
    """Fail if what is done takes more processor time than any small file may."""

    def fail(*_: object) -> None:
        raise AssertionError(f"a mutant of {name} takes longer than {SECONDS_PER_FILE} s")

    before = signal.signal(signal.SIGVTALRM, fail)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_PER_FILE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_a_file_without_end_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="a mutant of none takes longer"), within_time("none"):
        signal.raise_signal(signal.SIGVTALRM)


def objects_alive() -> int:
    gc.collect()
    return len(gc.get_objects())


def memory_for(data: bytes) -> int:
    """The most bytes that Python and NumPy hold while a file is read."""
    tracemalloc.start()
    try:
        read_photo(data, max_megapixels=MEGAPIXELS)
    except InputError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mutants_give_a_photo_or_an_input_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("tifffile"), "disabled", True)  # pytest keeps what is logged
    seeds = files.seeds()
    for data in seeds.values():
        read_photo(data)
    outcomes = {True: 0, False: 0}
    for index, (name, data) in enumerate(files.mutants(seeds, MUTANTS, seed=20)):
        if index == MUTANTS // 2:  # what is kept once and for all has been kept by now
            before = objects_alive()
        with within_time(name):
            if index % MEASURED == 0:
                assert memory_for(data) < MEMORY_LIMIT, name
            try:
                photo = read_photo(data, max_megapixels=MEGAPIXELS)
            except InputError as error:
                assert error.cause and error.remedy and "\n" not in str(error), name
                outcomes[False] += 1
                continue
            outcomes[True] += 1
            assert photo.size.pixels <= MEGAPIXELS * 1e6, name
            if index % 10 == 0:
                assert read_photo(rewritten(photo)).size == photo.size, name
    assert min(outcomes.values()) > MUTANTS // 10
    assert objects_alive() - before < MUTANTS // 2  # not one is kept of each
    assert "Traceback" not in capfd.readouterr().err
