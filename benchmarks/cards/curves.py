"""Plots the mean gain on the real sets over the steps of consecutive runs.

python benchmarks/cards/curves.py OUT.png --runs TITLE RUN [RUN...] [--runs TITLE RUN...] [--first-part 4]

Reads the scores from `log.jsonl` in every run folder. Each title gets a panel; dotted lines separate runs.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

SETS = {"lytro": "#0072b2", "stacks": "#d55e00", "handheld": "#009e73"}


def draw(axes: Axes, title: str, runs: list[Path], first_part: int) -> None:
    """Draw one panel."""
    curves = defaultdict(list)
    before = 0
    for part, run in enumerate(runs, first_part):
        if before:
            axes.axvline(before, color="grey", linestyle=":", linewidth=0.8)
            axes.text(before, 0.07, f" part {part}", color="grey", transform=axes.get_xaxis_transform())
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        for line in lines:
            for name in SETS:
                if f"{name}/psnr" in line:
                    gain = line[f"{name}/psnr"] - line[f"{name}/input_psnr"]
                    curves[name].append((before + line["step"], gain))
        before += max(line["step"] for line in lines)
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), "o-", markersize=4, color=SETS[name], label=name)
    axes.set_title(title)
    axes.set_xlabel(f"steps since part {first_part} began")
    axes.axhline(0, color="grey", linewidth=0.8)  # makes zero visible
    axes.grid(alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", action="append", nargs="+", required=True, metavar=("TITLE", "RUN"))
    parser.add_argument("--first-part", type=int, default=1)
    given = parser.parse_args()
    figure, panels = plt.subplots(
        1,
        len(given.runs),
        figsize=(5.5 * len(given.runs), 4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, (title, *runs) in zip(panels[0], given.runs, strict=True):
        draw(axes, title, [Path(run) for run in runs], given.first_part)
    panels[0][0].set_ylabel("mean gain (dB), central crops")
    panels[0][0].legend()
    figure.savefig(given.out, dpi=100)


if __name__ == "__main__":
    main()
