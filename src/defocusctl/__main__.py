"""What ``defocusctl`` and ``python -m defocusctl`` run first: Ctrl-C is one line from the first import on."""

import os
import sys

from defocusctl.errors import InterruptedByUserError

SPINS = "10000"
"""How long one of GCC's OpenMP threads, which PyTorch uses on Linux, keeps its processor while it waits for
the others; by default it does 30 times as long (docs/restoring.md)."""


def edit() -> None:
    """``defocusctl deblur --in-place``, for programs that call an external editor without options."""
    sys.argv[1:1] = ["deblur", "--in-place"]
    main()


def main() -> None:
    """Import the program, which takes a moment, and run it; the console script."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when PyTorch is imported
    try:
        from defocusctl.cli.app import main as run

        run()
    except KeyboardInterrupt:
        interrupted = InterruptedByUserError()
        print(f"error: {interrupted}", file=sys.stderr)
        sys.exit(interrupted.exit_code)


if __name__ == "__main__":
    main()
