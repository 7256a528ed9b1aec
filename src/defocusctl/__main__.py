"""``python -m defocusctl``."""

from defocusctl.cli.app import main

main()
