"""What the image runs: the Action, or with arguments the command line."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    # The first process of a container ignores signals that it does not ask for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if sys.argv[1:] or "GITHUB_EVENT_NAME" not in os.environ:
        from converger.cli import main as command_line

        command_line(sys.argv[1:] or ["--help"])
        return 0
    from converger.github.seclusion import adopt_orphans, end_children, take_environment

    environment = take_environment()
    adopt_orphans()

    from converger.github.certificates import trust
    from converger.github.run import Collaborators, run
    from converger.terminal import clean_stop

    trust(os.environ)
    with clean_stop():
        code = run(environment, Collaborators(end_children=end_children))
    # All is said and done; the second signal of a cancelled job must not change how we end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return code


if __name__ == "__main__":
    sys.exit(main())
