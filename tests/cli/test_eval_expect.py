"""``eval --expect``: an earlier summary or the papers' figures, and differences to them in the table."""

import json
from pathlib import Path

import pytest
import torch

from defocusctl.errors import ExitCode
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.weights.checkpoint import save_checkpoint
from defocusctl.weights.metadata import WeightsMetadata
from tests.cli.command import Answer, defocusctl, small_weights
from tests.cli.eval_data import classical, make_realdof
from tests.machine import make_fresh_machine

INIKNET, INPUT = 25.231, 22.333  # PSNR of the papers on RealDOF


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A fresh machine with two pairs of RealDOF."""
    make_fresh_machine(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("COLUMNS", "100")
    make_realdof(tmp_path, 2, 40, 48)
    return tmp_path


def evaluate(root: Path, *arguments: object, trained_on: str = "DPDD") -> Answer:
    weights = small_weights(root, "iniknet", trained_on)
    return defocusctl(
        "eval", "-d", "realdof", "--root", root, "-m", "iniknet", "--weights", weights, "--offline",
        "--allow-partial", "--no-lpips", *arguments,
    )  # fmt: skip


def psnr(answer: Answer, method: int) -> float:
    return float(json.loads(answer.out)["methods"][method]["means"]["iniknet"]["psnr"])


def test_the_table_shows_the_difference_to_published_rows(root: Path) -> None:
    means = evaluate(root, "--json", "-q")
    lines = [line.split() for line in evaluate(root).out.splitlines()]
    for name, label, method, published in (
        ("INIKNet", "iniknet/iniknet.safetensors", 1, INIKNET),
        ("Input", "input", 0, INPUT),
    ):
        place = lines.index(next(line for line in lines if line[:2] == [name, f"{published:.3f}"]))
        assert lines[place + 1][:3] == ["Δ", label, f"{psnr(means, method) - published:+.3f}"]
    assert ["published", "(DPDD)"] in lines


def test_published_figures_within_and_beyond_the_tolerance(root: Path) -> None:
    answer = evaluate(root, "--expect", "published", "--json", "-q")
    assert answer.code == ExitCode.EXPECTATION
    lines = answer.err.splitlines()
    measured = psnr(answer, 1)
    difference = f"psnr is {measured:.4f} instead of {INIKNET:.4f} ({measured - INIKNET:+.4f})"
    assert any(difference in line for line in lines)
    assert not any("lpips" in line for line in lines)  # was not wanted
    assert lines[-1].startswith("error: 2 of 2 figures differ from published")
    wide = evaluate(root, "--expect", "published", "--tolerance", "100")
    assert wide.code == ExitCode.OK, wide.err
    assert "all 2 figures agree with published" in wide.err


@pytest.mark.slow
def test_published_figures_count_under_their_papers_protocol(root: Path) -> None:
    every = evaluate(root, "--expect", "published", "--protocol", "all", "--limit", 1, "-q")
    assert {line.split("(")[1].split(")")[0] for line in every.err.splitlines() if " is " in line} == {
        "iniknet"
    }
    other = evaluate(root, "--expect", "published", "--protocol", "ifan", "-q")
    assert "(ifan): psnr is" in other.err


def test_lpips_that_was_wanted_and_not_had_is_a_deviation(root: Path) -> None:
    answer = evaluate(root, "--expect", "published", "--lpips", "--tolerance", 100, "-q")
    assert answer.code == ExitCode.EXPECTATION
    assert "lpips was not scored, but 0.2870 was expected" in answer.err


def test_weights_that_no_paper_reports_are_refused_before_anything_is_scored(root: Path) -> None:
    out = root / "run"
    answer = evaluate(root, "--expect", "published", "--out", out, trained_on="rendered defocus")
    assert answer.code == ExitCode.DATA
    assert "no paper reports these weights" in answer.err.splitlines()[-1]
    assert not out.exists()


def test_an_earlier_summary(root: Path) -> None:
    assert classical(root, "--out", root / "run").code == ExitCode.OK
    path = root / "run" / "summary.json"
    assert classical(root, "--expect", path, "--tolerance", 0).code == ExitCode.OK
    summary = json.loads(path.read_text())
    summary["methods"][1]["means"]["iniknet"]["psnr"] += 0.06
    summary["methods"][1]["means"]["iniknet"]["ssim"] -= 0.0009
    other = root / "other.json"
    other.write_text(json.dumps(summary))
    differing = classical(root, "--expect", other)
    assert differing.code == ExitCode.EXPECTATION
    assert "(-0.0600)" in differing.err
    assert "ssim" not in differing.err
    assert "ssim" in classical(root, "--expect", other, "--tolerance", 0.04).err
    assert classical(root, "--expect", other, "--tolerance", 0.061).code == ExitCode.OK


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read"),
        ("{", "is not the summary of a run"),
        ('{"methods": [{"label": "input"}]}', "is not the summary of a run"),
        ('{"methods": [{"label": "other", "means": {}}]}', "has no figures of"),
        (
            '{"methods": [{"label": "input", "means": {"iniknet": {"psnr": 20.0}}}]}',
            "has no figures of unsharp (2 px)",
        ),
    ],
)
def test_files_that_cannot_be_expected_are_refused_at_once(
    root: Path, content: str | None, said: str
) -> None:
    path = root / "expected.json"
    if content is not None:
        path.write_text(content)
    answer = classical(root, "--expect", path, "--out", root / "run")
    assert answer.code == ExitCode.DATA
    assert said in answer.err
    assert not (root / "run").exists()


def test_weights_of_an_ablation_stand_beside_the_papers_row(root: Path) -> None:
    weights = root / "weights.safetensors"
    network = NRKNet(NRKNetConfig(width=4, atoms=4))
    metadata = WeightsMetadata.of_network(
        network, source="a test", licence="MIT", trained_on="DPDD", variant="w/o FDR"
    )
    save_checkpoint(weights, network, metadata, dtype=torch.float32)
    call = (
        "eval", "-d", "realdof", "--root", root, "-m", "nrknet", "--weights", weights, "--offline",
        "--protocol", "nrknet", "--allow-partial", "--no-lpips",
    )  # fmt: skip
    lines = [line.split() for line in defocusctl(*call).out.splitlines()]
    assert ["published", "ablations", "of", "nrknet", "(DPDD)"] in lines
    place = lines.index(next(line for line in lines if line[:4] == ["NRKNet", "w/o", "FDR", "24.972"]))
    assert lines[place + 1][:4] == ["Δ", "nrknet/weights.safetensors", "(w/o", "FDR)"]
    assert not any(line[:3] == ["INIKNet", "Non-MS", "Dict"] for line in lines)
    expected = defocusctl(*call, "--expect", "published", "-q")
    assert expected.code == ExitCode.EXPECTATION
    assert "instead of 24.9720" in expected.err
    assert "2 of 2 figures differ" in expected.err  # not those of the whole NRKNet
