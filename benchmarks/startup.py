"""Startup time of informational commands, relative to importing only the terminal libraries.

    python benchmarks/startup.py [--rounds 9]

Each round runs all of them one after the other, each in its own process; the table shows medians of the
wall-clock seconds and of each round's ratio to the bare import.
"""

import argparse
import statistics
import subprocess
import sys
import time

BARE = ["-c", "import typer, rich.console"]
COMMANDS = {
    "`--version`": ["-m", "defocusctl", "--version"],
    "`--help`": ["-m", "defocusctl", "--help"],
    "`deblur --help`": ["-m", "defocusctl", "deblur", "--help"],
    "`info`": ["-m", "defocusctl", "info"],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    calls = {"Typer and Rich alone": BARE, **COMMANDS}
    for call in calls.values():  # warm up: byte code and file cache
        seconds(call)
    timings = [{name: seconds(call) for name, call in calls.items()} for _ in range(rounds)]
    print("| command | s | times the bare import |")
    print("|---|---:|---:|")
    for name in calls:
        took = statistics.median(timing[name] for timing in timings)
        ratio = statistics.median(timing[name] / timing["Typer and Rich alone"] for timing in timings)
        print(f"| {name} | {took:.2f} | {ratio:.2f} |")


def seconds(call: list[str]) -> float:
    """The wall-clock time of Python with these arguments."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *call], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
