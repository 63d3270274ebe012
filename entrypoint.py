"""What the image runs: the command line, with the arguments of the container."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    # The first process of a container ignores signals that it does not ask for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    from converger.cli import main as command_line

    command_line(sys.argv[1:] or ["--help"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
