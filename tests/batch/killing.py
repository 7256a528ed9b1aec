"""Runs commands that are killed at a chosen moment, through ``tests.batch.starter``."""

import json
import os
import subprocess
import sys


class Starter:
    """Runs the command in a process that is ready for it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.batch.starter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def run(self, end: int | tuple[str, str] | None, *arguments: str) -> tuple[int, int]:
        """How many calls one run made, and its exit code; ``end`` is when it is killed (see the starter)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([end, *arguments]), file=self._process.stdin, flush=True)
        calls, code = json.loads(self._process.stdout.readline())
        return calls, code

    def close(self) -> None:
        self._process.communicate()
