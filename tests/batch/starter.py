"""A process that has imported the program and runs a copy of itself for each command line on stdin.

A line is a JSON list: seconds until the copy is killed (null for not at all), then the arguments. The
answer is a line with the seconds that it ran and its exit code, negative if it was killed.
"""

import json
import os
import signal
import sys
import time

import torch

from defocusctl.cli.app import run

torch.set_num_threads(2)  # two photos at once


def main() -> None:
    for line in sys.stdin:
        patience, *arguments = json.loads(line)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os._exit(run(arguments, debug=True))
        ended, status = os.waitpid(child, 0 if patience is None else os.WNOHANG)
        while not ended:
            time.sleep(0.002)
            if patience is not None and time.monotonic() > started + patience:
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
        print(json.dumps([time.monotonic() - started, os.waitstatus_to_exitcode(status)]), flush=True)


if __name__ == "__main__":
    main()
