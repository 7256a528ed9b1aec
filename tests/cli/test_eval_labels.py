"""Indoor and outdoor photos of DPDD in what ``defocusctl eval`` tells."""

import json
from pathlib import Path

import pytest

from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl
from tests.cli.eval_data import classical, make_labelled_dpdd, make_realdof, scores
from tests.machine import make_fresh_machine


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_fresh_machine(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("COLUMNS", "80")


def test_means_of_every_label_survive_resuming(tmp_path: Path) -> None:
    make_labelled_dpdd(tmp_path, 5, indoor=2)
    out = tmp_path / "run"
    assert classical(tmp_path, "--out", out, "--limit", 3, dataset="dpdd").code == ExitCode.OK
    answer = classical(tmp_path, "--out", out, "--resume", "--json", dataset="dpdd")
    assert answer.code == ExitCode.OK, answer.err
    rows = [row for row in scores(out) if row["method"] == "unsharp (2 px)"]
    assert [row["labels"] for row in rows] == ["indoor"] * 2 + ["outdoor"] * 3
    method = json.loads(answer.out)["methods"][1]
    for label, own in (("indoor", rows[:2]), ("outdoor", rows[2:])):
        mean = sum(float(row["psnr"]) for row in own) / len(own)
        assert method["means_by_label"][label]["iniknet"]["psnr"] == pytest.approx(mean, abs=1e-9)
    assert method["means_by_label"]["indoor"] != method["means_by_label"]["outdoor"]
    page = (out / "report.html").read_text()
    assert page.count('scope="rowgroup"') == 2
    assert ">indoor</th>" in page


def test_the_table_has_a_part_for_every_label(tmp_path: Path) -> None:
    make_labelled_dpdd(tmp_path, 3, indoor=1)
    answer = classical(tmp_path, "--json", dataset="dpdd")
    means = json.loads(answer.out)["methods"][0]["means_by_label"]
    shown = defocusctl(
        "eval", "-d", "dpdd", "--root", tmp_path, "--baseline", "unsharp", "--no-lpips", "--allow-partial"
    ).out.splitlines()
    for label in ("indoor", "outdoor"):
        after = shown[next(i for i, line in enumerate(shown) if line.split() == [label]) + 1]
        assert after.split()[:2] == ["input", f"{means[label]['iniknet']['psnr']:.3f}"]


def test_data_without_labels_have_none(tmp_path: Path) -> None:
    make_realdof(tmp_path, 2)
    answer = classical(tmp_path, "--json", "--out", tmp_path / "run")
    assert json.loads(answer.out)["methods"][0]["means_by_label"] == {}
    assert {row["labels"] for row in scores(tmp_path / "run")} == {""}
    assert "rowgroup" not in (tmp_path / "run" / "report.html").read_text()
