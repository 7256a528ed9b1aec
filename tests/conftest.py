"""What holds for all tests."""

import signal

# A shell ignores Ctrl-C on behalf of what it runs in the background, perhaps these tests and their children.
signal.signal(signal.SIGINT, signal.default_int_handler)
