"""A run that is killed at any moment leaves the tree as it was, and nothing running; the next run cleans up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from converger.proof.postgres import UNFINISHED_LIMIT
from tests.alembic_project import AlembicProject, two_harmless_heads

SLOW = """\
import os, time
if os.path.exists({flag!r}):
    open({here!r}, "w").write(str(os.getpid()))
    time.sleep(120)
"""


def start(project: AlembicProject, temp: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "converger.cli", "converge", *arguments],
        cwd=project.root,
        env={**os.environ, "TMPDIR": str(temp)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait(until: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def using(folder: Path) -> list[str]:
    """The command lines of processes that name this folder: servers, workers, supervisors."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and alive(int(entry.name)):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
    return found


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p"))


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder for temporary folders that the server's user can reach; pytest's own is for one user only."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_killed_while_a_migration_runs(project: AlembicProject, tmp_path: Path, temp: Path) -> None:
    flag, here = tmp_path / "slow", tmp_path / "pid"
    flag.touch()
    project.revision("bbbb0001", "base0001", SLOW.format(flag=str(flag), here=str(here)))
    before = project.digest()
    process = start(project, temp)
    wait(lambda: here.exists() and here.read_text() != "", "the migration did not start")
    worker = int(here.read_text())
    assert using(temp), "the embedded server does not show itself: this test would prove nothing"
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait(lambda: not alive(worker), "the worker outlived its parent", 15)
    wait(lambda: not using(temp), "the embedded server outlived its parent", 15)
    assert project.digest() == before

    flag.unlink()
    assert start(project, temp).wait(timeout=120) == 0
    added = set(project.digest()) - set(before)
    assert len(added) == 1
    assert not list(temp.iterdir()), "the next run did not clean up"


def test_killed_on_a_server_of_the_user(project: AlembicProject, tmp_path: Path, postgres_url: str) -> None:
    """Scratch databases of a killed run stay recognisable: nothing but our name and mark is on the server."""
    flag, here = tmp_path / "slow", tmp_path / "pid"
    flag.touch()
    project.revision("bbbb0001", "base0001", SLOW.format(flag=str(flag), here=str(here)))
    before = project.digest()
    process = start(project, tmp_path, "--database-url", postgres_url)
    wait(lambda: here.exists() and here.read_text() != "", "the migration did not start")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait(lambda: not alive(int(here.read_text())), "the worker outlived its parent", 15)
    assert project.digest() == before
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(
            "SELECT datname, shobj_description(oid, 'pg_database'), datallowconn, datconnlimit FROM pg_database"
            " WHERE NOT datistemplate AND datname <> 'postgres' AND datname NOT LIKE 'production%'"
        ).fetchall()
    assert rows
    for name, mark, opened, limit in rows:
        assert name.startswith("converger_")
        # The mark, or what CREATE DATABASE itself left when we were killed before we could set it.
        unfinished = mark is None and not opened and limit == UNFINISHED_LIMIT
        assert unfinished or '"converger": 1' in (mark or ""), name


def test_terminated_politely_it_drops_what_it_made(
    project: AlembicProject, tmp_path: Path, postgres_url: str
) -> None:
    flag, here = tmp_path / "slow", tmp_path / "pid"
    flag.touch()
    project.revision("bbbb0001", "base0001", SLOW.format(flag=str(flag), here=str(here)))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        names = "SELECT datname FROM pg_database"
        before = set(connection.execute(names).fetchall())
        process = start(project, tmp_path, "--database-url", postgres_url)
        wait(lambda: here.exists() and here.read_text() != "", "the migration did not start")
        mine = set(connection.execute(names).fetchall()) - before
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert mine
        assert not mine & set(connection.execute(names).fetchall())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("converger")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("moment", [0.1, 0.3, 0.5, 0.7])
def test_stopped_at_any_moment(tmp_path: Path, temp: Path, number: signal.Signals, moment: float) -> None:
    """From its own imports to the writing: nothing runs on, and the tree is as it was, or complete."""
    project = two_harmless_heads(AlembicProject(tmp_path / "p", url="sqlite:///never.db"))
    before = project.digest()
    process = start(project, temp)
    time.sleep(moment)
    process.send_signal(number)
    process.wait(timeout=30)
    wait(lambda: not at_work_in(project.root), "something runs on in the project's folder", 15)
    assert number == signal.SIGKILL or not list(temp.iterdir())
    after = project.digest()
    assert {name: after.get(name) for name in before} == before
    assert len(after) - len(before) in (0, 1)

    assert start(project, temp).wait(timeout=60) == 0
    assert len(project.digest()) - len(before) == 1
    assert not list(temp.iterdir()), "the next run did not clean up"


def at_work_in(folder: Path) -> list[str]:
    """Processes whose current folder this is: the command itself and its workers."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)):
            try:
                if (entry / "cwd").readlink() == folder:
                    found.append(entry.name)
            except OSError:
                continue
    return found
