"""What our own process knows stays there, also from processes of the same user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The fork is what a migration could be: a process of the same user that looks at its parent.
PROGRAM = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
from converger.child import hide_from_children
if os.geteuid() == 0:  # root may read everybody's
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after a start under this user
if sys.argv[2] == "hide":
    hide_from_children()
if os.fork() == 0:
    try:
        print("s3cret" in open(f"/proc/{os.getppid()}/environ").read(), flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
    os._exit(0)
os.wait()
"""


def looked(how: str) -> str:
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM, str(ROOT), how],
        env={"TOKEN": "s3cret", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or done.stderr


def test_our_environment_cannot_be_read_by_a_child() -> None:
    assert looked("hide") == "PermissionError"


def test_it_could_be_otherwise() -> None:
    assert looked("do not") == "True"
