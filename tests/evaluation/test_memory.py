"""Memory while a dataset is scored."""

import tracemalloc
from pathlib import Path

import pytest

from defocusctl.data.search import pairs_data
from defocusctl.evaluation.methods import untouched
from defocusctl.evaluation.protocols import PROTOCOLS
from defocusctl.evaluation.run import Run, evaluate, select_images
from tests.cli.eval_data import make_pair

SIDE = 128


@pytest.mark.slow
def test_it_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    for number in range(100):
        name = f"{number:03}.png"
        make_pair(tmp_path / "source" / name, tmp_path / "target" / name, number, SIDE, SIDE)
    found = pairs_data(tmp_path / "source", tmp_path / "target")

    def peak(count: int) -> int:
        """Bytes at the most while ``count`` pairs are scored."""
        tracemalloc.start()
        images = select_images(found, count, None, 0)
        run = Run(found, images, [untouched()], [PROTOCOLS["restormer"]], None)
        evaluation = evaluate(
            run,
            out=tmp_path / f"run{count}",
            resume=False,
            save_images=True,
            on_rows=lambda done, rows: None,
        )
        assert len(evaluation.rows) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)  # imports and caches
    few, many = peak(5), peak(100)
    assert many - few < 4 * SIDE * SIDE * 3  # one picture more in memory is as much, and these are 95
