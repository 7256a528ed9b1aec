"""docs/python-api.md: its blocks run, one after the other, as a reader would run them."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.machine import make_fresh_machine

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_blocks_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_fresh_machine(monkeypatch, tmp_path / "home")
    work = tmp_path / "work"
    (work / "holiday").mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("MPLBACKEND", "agg")
    with Image.open(ROOT / "samples" / "circuit-board.png") as sample:
        small = sample.convert("RGB").resize((96, 64))
    small.save("photo.jpg")
    small.save("holiday/one.jpg")
    Path("holiday/two.jpg").write_text("no photo")
    Path("notes.txt").write_text("no photo")
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python-api.md", "exec"), names)
    assert {path.name for path in work.iterdir()} >= {"sharper.jpg", "radius.png"}
    assert sorted(path.name for path in (work / "holiday").iterdir()) == ["one.jpg", "one.png", "two.jpg"]
    printed = capsys.readouterr().out
    assert "most blurred tenth" in printed
    assert "holiday/two.jpg: cannot use" in printed
