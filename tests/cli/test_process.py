"""What only a real process shows: imports, pipes, terminals, encodings."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.alembic_project import AlembicProject, two_harmless_heads
from tests.cli.running import command, environment, run


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["check", "--format", "json"],
        ["check", "--static"],
        ["graph"],
        ["graph", "--all", "--format", "mermaid"],
        ["explain"],
        ["explain", "duplicate-column"],
        ["--help"],
    ],
)
def test_reading_imports_nothing_slow(project: AlembicProject, arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from converger.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "print(sorted(name for name in sys.modules if '.' not in name), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    imported = set(eval(done.stderr))
    assert imported.isdisjoint({"alembic", "sqlalchemy", "psycopg", "rich", "mako", "asyncio", "tempfile"})
    assert "click" in imported


def test_a_reader_that_leaves_early_changes_no_exit_code(tmp_path: Path) -> None:
    project = AlembicProject(tmp_path / "p")
    project.revision("r0000", None)
    for number in range(1, 1500):
        project.revision(f"r{number:04d}", f"r{number - 1:04d}")
    project.revision("side", "r1490")
    for arguments, code in ((["graph", "--all"], 0), (["check", "--format", "json"], 1)):
        process = subprocess.Popen(
            command(*arguments),
            cwd=project.root,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == code
        process.stderr.close()


def test_plain_ascii_where_the_encoding_has_no_more(project: AlembicProject) -> None:
    env = {**environment(PYTHONIOENCODING="ascii"), "PYTHONUTF8": "0", "LC_ALL": "C"}
    drawn = run("graph", cwd=project.root, env=env)
    assert drawn.returncode == 0
    assert drawn.stdout.isascii()
    assert drawn.stdout.splitlines()[1].startswith("| *")
    project.revision("über", "base0001")
    shown = run("check", cwd=project.root, env=env)
    assert shown.returncode == 1
    assert "\\xfcber" in shown.stdout
    # JSON is UTF-8 whatever the terminal is.
    assert '"über"' in run("check", "--format", "json", cwd=project.root, env=env).stdout


def on_a_terminal(*arguments: str, cwd: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run with a pseudo-terminal as standard output and error."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), cwd=cwd, env=env, stdout=theirs, stderr=theirs, stdin=theirs
    )
    os.close(theirs)
    data = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not chunk:
            break
        data += chunk
    os.close(ours)
    return process.wait(), data.decode()


def test_colour_on_a_terminal_and_only_there(project: AlembicProject) -> None:
    with_colour = environment(TERM="xterm-256color")
    code, text = on_a_terminal("graph", cwd=project.root, env=with_colour)
    assert code == 0 and "\x1b[1;36m" in text
    code, text = on_a_terminal("graph", cwd=project.root, env={**with_colour, "NO_COLOR": "1"})
    assert code == 0 and "\x1b" not in text
    code, text = on_a_terminal("graph", cwd=project.root, env={**with_colour, "TERM": "dumb"})
    assert code == 0 and "\x1b" not in text
    assert "\x1b" not in run("graph", cwd=project.root, env=with_colour).stdout


def test_modules_in_the_current_folder_are_not_ours(project: AlembicProject) -> None:
    for name in ("click", "json", "dataclasses", "typing", "subprocess", "tomllib", "textwrap"):
        (project.root / f"{name}.py").write_text("raise SystemExit('the repository was run')\n")
    for arguments in (
        ["check"],
        ["graph", "--format", "json"],
        ["converge", "--dry-run", "--skip-validation"],
    ):
        done = run(*arguments, cwd=project.root)
        assert "the repository was run" not in done.stdout + done.stderr
        assert done.returncode in (0, 1)


def test_version(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("alembic-converger ")


def test_no_command_is_wrong_usage_and_shows_the_help(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "check" in done.stderr and "Exit codes" in done.stderr
