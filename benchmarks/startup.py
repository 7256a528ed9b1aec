"""Startup time of commands, relative to importing only the terminal libraries, and the steps of small photos.

    python benchmarks/startup.py [--rounds 9]

Each round runs all of them one after the other, each in its own process; the first table shows medians of
the wall-clock seconds, of the processor's seconds, and of each round's ratio of the latter to the bare
import. On a busy machine, only processor time is meaningful, with OMP_NUM_THREADS=1.

The second table has the steps of one ``deblur`` of a photo of 0.1 megapixels at scale 1, with INIKNet's
bundled weights on the CPU: medians of the processor's seconds, and their shares.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

BARE = ["-c", "import typer, rich.console"]
COMMANDS = {
    "`--version`": ["-m", "defocusctl", "--version"],
    "`--help`": ["-m", "defocusctl", "--help"],
    "`deblur --help`": ["-m", "defocusctl", "deblur", "--help"],
    "`info`": ["-m", "defocusctl", "info"],
}
STEPS = """
import io, json, time
taken, before = {}, 0.0

def end(step):
    global before
    now = time.process_time()
    taken[step], before = now - before, now

import defocusctl.cli.app
end("Python and the command line")
import torch
end("importing PyTorch")
import numpy as np
from PIL import Image
from defocusctl.deblurrer import Deblurrer
from defocusctl.deblurrer.outputs import Outputs, deblur_photo
from defocusctl.restoring.settings import RestoreSettings
end("other imports")
deblurrer = Deblurrer.load("iniknet", "bundled", RestoreSettings(device="cpu", scale="1"), offline=True)
end("weights")
photo = io.BytesIO()
Image.fromarray(np.random.default_rng(0).integers(0, 256, (258, 387, 3), dtype=np.uint8)).save(photo, "PNG")
before = time.process_time()
for step in ("the photo", "the photo once more"):
    deblur_photo(deblurrer, photo.getvalue(), io.BytesIO(), outputs=Outputs(), max_megapixels=1.0)
    end(step)
print(json.dumps(taken))
"""
AGAIN = "the photo once more"
"""The step that a single photo does without; it shows what the first one needs to warm up."""


class Taken(NamedTuple):
    """Seconds by the clock, and of the processor."""

    clock: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    calls = {"Typer and Rich alone": BARE, **COMMANDS}
    for call in calls.values():  # warm up: byte code and file cache
        run(call)
    timings = [{name: run(call) for name, call in calls.items()} for _ in range(rounds)]
    print("| command | s | CPU s | times the bare import's |")
    print("|---|---:|---:|---:|")
    for name in calls:
        clock, processor = (statistics.median(timing[name][i] for timing in timings) for i in range(2))
        ratio = statistics.median(
            timing[name].processor / timing[next(iter(calls))].processor for timing in timings
        )
        print(f"| {name} | {clock:.2f} | {processor:.2f} | {ratio:.2f} |")
    print_steps([steps() for _ in range(rounds)])


def run(call: list[str]) -> Taken:
    """The time of Python with these arguments."""
    started, before = time.perf_counter(), children()
    subprocess.run([sys.executable, *call], stdout=subprocess.DEVNULL, check=True)
    return Taken(time.perf_counter() - started, children() - before)


def children() -> float:
    """Processor seconds of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def steps() -> dict[str, float]:
    """Processor seconds of each step, in a separate process."""
    answer = subprocess.run([sys.executable, "-c", STEPS], check=True, capture_output=True, text=True).stdout
    taken: dict[str, float] = json.loads(answer)
    return taken


def print_steps(rounds: list[dict[str, float]]) -> None:
    medians = {step: statistics.median(taken[step] for taken in rounds) for step in rounds[0]}
    whole = sum(seconds for step, seconds in medians.items() if step != AGAIN)
    print("\n| step | CPU s | share |")
    print("|---|---:|---:|")
    for step, seconds in medians.items():
        share = "" if step == AGAIN else f"{seconds / whole:.0%}"
        print(f"| {step} | {seconds:.2f} | {share} |")


if __name__ == "__main__":
    main()
