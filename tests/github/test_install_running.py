"""How the commands that install are run: bounded in time and output, and never more than text to the runner."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from converger.github import installer
from converger.github.installer import Ended, Installer


def run(
    tmp_path: Path, script: str, *, seconds: float = 30, hidden: tuple[str, ...] = ()
) -> tuple[Ended, list[str], float]:
    said: list[str] = []
    began = time.monotonic()
    one = Installer({"PATH": os.defpath}, began + seconds, said.append, hidden)
    ended = one.run((sys.executable, "-I", "-u", "-c", script), tmp_path)
    return ended, said, time.monotonic() - began


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_output_is_text_and_nothing_else(tmp_path: Path) -> None:
    script = r"""
import sys
out = sys.stdout.buffer
out.write(b"::error::forged\n  ::add-mask::x\n##[error]forged\nin the ##[group]middle\n")
out.write(b"\x1b[31mred\x1b[0m \x1b]0;title\x07\n50%\r100%\r\nhidden s3cr3t\n\xff\tbytes\n")
sys.stderr.write("standard error\n" + "x" * 5000 + "\nno line end")
"""
    ended, said, _ = run(tmp_path, script, hidden=("s3cr3t", ""))
    assert ended.returncode == 0 and said == list(ended.lines)
    assert not [line for line in said if line.lstrip().startswith("::") or "##[" in line]
    assert said[0].endswith(":error::forged") and "100%" in said and "50%" not in "".join(said)
    assert said[4].startswith("red ") and all(line.isprintable() for line in said)
    assert "hidden ***" in said and "standard error" in said and said[-1] == "no line end"
    assert max(map(len, said)) < 2100


def test_an_exit_code_and_a_signal(tmp_path: Path) -> None:
    assert run(tmp_path, "raise SystemExit(7)")[0].returncode == 7
    assert run(tmp_path, "import os; os.kill(os.getpid(), 9)")[0].returncode == -signal.SIGKILL


def test_out_of_time_ends_all_that_was_started(tmp_path: Path) -> None:
    script = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid)
time.sleep(60)
"""
    ended, said, seconds = run(tmp_path, script, seconds=2)
    assert ended.returncode is None and 1.5 < seconds < 20
    deadline = time.monotonic() + 10
    while is_alive(int(said[0])) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(int(said[0]))


def test_what_is_left_behind_holds_nobody_up(tmp_path: Path) -> None:
    """A server that a build starts keeps our pipe open, and may go on writing."""
    script = """
import os, sys, time
if os.fork() == 0:
    while True:
        os.write(1, b"still here\\n")
        time.sleep(0.05)
os.write(1, b"done\\n")
"""
    ended, said, seconds = run(tmp_path, script)
    assert ended.returncode == 0 and "done" in said and seconds < 15


def test_a_flood_is_cut(tmp_path: Path) -> None:
    ended, said, _ = run(tmp_path, "print('line\\n' * 30000 + 'the last')")
    assert len(said) == installer.LINES_SHOWN + 1 and "more than" in said[-1]
    assert ended.lines[-1] == "the last" and len(ended.lines) == installer.LINES_KEPT
