"""The MariaDB of our own: started, closed to everybody else, and no trace of it afterwards."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest

from converger import folders
from converger.errors import CouldNotEvaluate
from converger.proof import embedded_mariadb, mysqlconnect
from converger.proof.embedded_mariadb import (
    PREFIX,
    EmbeddedMysql,
    MysqlBinaries,
    find_mysql_binaries,
    start_mariadb,
)
from converger.proof.servers import open_server

ALL = list(find_mysql_binaries())
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="runs MariaDB as another user, which only root can")
PARENT = """
import sys, time
from converger.proof.embedded_mariadb import start_mariadb
print("go", flush=True)
server = start_mariadb(lambda text: None)
print(server.folder, server.pid, server._process.pid, flush=True)
time.sleep(120)
"""


def silent(text: str) -> None:
    """Nobody listens."""


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def processes_with(text: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_text():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder that other users can enter; pytest's are private."""
    path = Path("/tmp") / f"reached-{os.getpid()}-{time.monotonic_ns()}"
    path.mkdir(mode=0o755)
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)


def start_parent(folder: Path) -> subprocess.Popen[str]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(embedded_mariadb.__file__).parents[2]),
            "TMPDIR": str(folder),
        },
        cwd="/",
        start_new_session=True,
    )
    assert parent.stdout is not None and parent.stdout.readline() == "go\n"
    return parent


def ready(parent: subprocess.Popen[str]) -> tuple[str, int, int]:
    assert parent.stdout is not None
    folder, pid, supervisor = parent.stdout.readline().split()
    return folder, int(pid), int(supervisor)


@pytest.mark.parametrize("binaries", ALL, ids=lambda binaries: f"{binaries.product} {binaries.version}")
def test_it_starts_and_leaves_nothing(binaries: MysqlBinaries) -> None:
    server = EmbeddedMysql(binaries, progress=silent)
    try:
        assert server.folder is not None and server.pid is not None
        connection = mysqlconnect.connect(server.url)
        version, log_bin = mysqlconnect.rows(connection, "SELECT VERSION(), @@log_bin")[0]
        assert binaries.version.startswith(version.split("-")[0]) and log_bin == 0
        accounts = {row[0] for row in mysqlconnect.rows(connection, "SELECT user FROM mysql.user")}
        assert {name for name in accounts if not name.startswith(("mysql.", "mariadb."))} == {"converger"}
        connection.close()
    finally:
        server.stop()
    assert not is_running(server.pid) and not os.path.exists(server.folder)
    server.stop()


def test_nobody_else_gets_in() -> None:
    server = start_mariadb(silent)
    try:
        for user, password in (("root", ""), ("", ""), ("mysql", ""), ("mariadb.sys", ""), ("converger", "")):
            with pytest.raises(pymysql.err.OperationalError) as caught:
                pymysql.connect(host="127.0.0.1", port=server.port, user=user, password=password)
            assert mysqlconnect.number_of(caught.value) in mysqlconnect.AUTHENTICATION
            with pytest.raises(pymysql.err.OperationalError) as caught:
                pymysql.connect(unix_socket=f"{server.folder}/data/server.sock", user=user, password=password)
            assert mysqlconnect.number_of(caught.value) in mysqlconnect.AUTHENTICATION
        listening = subprocess.run(["ss", "-Hltn", f"sport = :{server.port}"], capture_output=True, text=True)
        if listening.returncode == 0 and listening.stdout:
            assert {line.split()[3] for line in listening.stdout.splitlines()} == {f"127.0.0.1:{server.port}"}
        assert server.folder is not None and not os.path.exists(f"{server.folder}/init.sql")
        assert os.stat(f"{server.folder}/data").st_mode & 0o077 == 0
    finally:
        server.stop()


def test_when_we_are_killed_the_server_and_its_folder_go(reached: Path) -> None:
    with start_parent(reached) as parent:
        folder, pid, supervisor = ready(parent)
        assert is_running(pid) and os.path.isdir(folder)
        parent.kill()
    assert eventually(
        lambda: not is_running(pid) and not os.path.exists(folder) and not is_running(supervisor)
    )


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.35, 0.5, 0.7])
def test_killed_while_it_starts_nothing_is_left(reached: Path, delay: float) -> None:
    with start_parent(reached) as parent:
        time.sleep(delay)
        parent.kill()
    assert eventually(lambda: not list(reached.iterdir()) and not processes_with(str(reached)))


def test_the_next_run_cleans_up_after_a_killed_supervisor(reached: Path) -> None:
    with start_parent(reached) as parent:
        folder, pid, supervisor = ready(parent)
        os.kill(parent.pid, signal.SIGSTOP)
        os.kill(supervisor, signal.SIGKILL)
        assert eventually(lambda: not is_running(supervisor))
        assert is_running(pid), "the server outlives its supervisor: this is the case to be tested"
        start_mariadb(silent).stop()
        assert not is_running(pid) and not os.path.exists(folder)
        parent.kill()


@needs_root
def test_root_runs_it_as_somebody_else() -> None:
    server = start_mariadb(silent)
    try:
        assert pwd.getpwuid(os.stat(f"/proc/{server.pid}").st_uid).pw_name == "mysql"
    finally:
        server.stop()


@needs_root
def test_it_runs_where_there_is_no_user_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = pwd.getpwnam
    monkeypatch.setattr(pwd, "getpwnam", lambda name: known({"nobody": "nobody"}[name]))
    server = start_mariadb(silent)
    try:
        assert pwd.getpwuid(os.stat(f"/proc/{server.pid}").st_uid).pw_name == "nobody"
    finally:
        server.stop()


def test_a_very_long_path_is_no_obstacle(reached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = reached / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True, mode=0o755)
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setattr("tempfile.tempdir", None)
    server = start_mariadb(silent)
    try:
        assert server.folder is not None and server.folder.startswith(str(deep))
        mysqlconnect.connect(server.url).close()
    finally:
        server.stop()
    assert list(deep.iterdir()) == []


def test_settings_of_the_machine_do_not_matter(reached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/.my.cnf and MYSQL_… belong to a person; a server of ours must be the same everywhere."""
    (reached / ".my.cnf").write_text("[mysqld]\nnonsense = 1\n[client]\nuser = somebody\npassword = wrong\n")
    monkeypatch.setenv("HOME", str(reached))
    monkeypatch.setenv("MYSQL_HOME", str(reached))
    monkeypatch.setenv("MYSQL_UNIX_PORT", "/nowhere")
    with open_server(database_url=None, project_url="mysql://h/d", progress=silent) as server:
        assert server.query(server.create(), "SELECT @@character_set_server, @@default_storage_engine") == [
            ("utf8mb4", "InnoDB")
        ]


def test_one_that_does_not_start_is_said(reached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = reached / "program"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "[ERROR] no luck" >&2; exit 7; }\n')
    program.chmod(0o755)
    broken = MysqlBinaries(str(program), str(program), "99.1.0-MariaDB")
    said: list[str] = []
    monkeypatch.setattr(embedded_mariadb, "find_mysql_binaries", lambda: iter([broken, *ALL]))
    start_mariadb(said.append).stop()
    assert "MariaDB 99.1.0" in said[0] and not any("could not" in text for text in said[1:])
    monkeypatch.setattr(embedded_mariadb, "find_mysql_binaries", lambda: iter([broken]))
    with pytest.raises(CouldNotEvaluate) as caught:
        start_mariadb(silent)
    assert caught.value.code == "mariadb-failed"
    assert "program ended with status 7: [ERROR] no luck" in caught.value.message
    assert [path.name for path in reached.iterdir()] == ["program"]


def test_without_any_server_the_ways_to_get_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_mariadb, "find_mysql_binaries", lambda: iter([]))
    with pytest.raises(CouldNotEvaluate) as caught:
        open_server(database_url=None, project_url="mysql+pymysql://h/d", progress=silent)
    assert caught.value.code == "no-mariadb"
    for way in ("mariadb-server", "--database-url mysql://"):
        assert way in str(caught.value.hint)


def test_the_search_finds_what_path_does_not_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [binaries.version for binaries in find_mysql_binaries()] == [binaries.version for binaries in ALL]
    monkeypatch.setattr(embedded_mariadb, "FOLDERS", ())
    assert list(find_mysql_binaries()) == []


def test_a_stale_folder_of_ours_goes_and_others_stay(reached: Path) -> None:
    for name, text in {"dead": '{"converger": 1, "pid": 1}', "other": "{}"}.items():
        folder = reached / f"{PREFIX}{name}"
        folder.mkdir()
        (folder / folders.MARK_FILE).write_text(text)
    start_mariadb(silent).stop()
    assert [path.name for path in reached.iterdir()] == [f"{PREFIX}other"]
