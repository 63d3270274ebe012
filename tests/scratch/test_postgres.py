"""PostgreSQL: what is ours is dropped, whoever is connected; what is not ours is never touched."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from converger.errors import CouldNotEvaluate
from converger.proof import postgres
from converger.proof.embedded import start_postgres
from converger.proof.scratch import Scratch, new_mark

from .conftest import Site, Write

Others = Callable[..., psycopg.Connection[Any]]


@pytest.fixture
def own_site() -> Iterator[Site]:
    """A server that no other test of this process looks at: leftovers are counted here."""
    embedded = start_postgres(lambda text: None)
    yield Site(embedded.url)
    embedded.stop()


def now(site: Site) -> int:
    return int(site.run("SELECT extract(epoch FROM now())::bigint")[0][0])


def test_closing_drops_everything_that_was_made(site: Site) -> None:
    before = site.databases()
    with site.open() as server:
        server.clone(server.create())
        server.create()
        assert len(site.databases() - before) == 3
    assert site.databases() == before


def test_a_database_can_be_dropped_while_somebody_is_connected(site: Site, others: Others) -> None:
    with site.open(user="maker", password="m@k:e/r%") as server:
        scratch = server.create()
        others(scratch.name, user="maker", password="m@k:e/r%")
        server.drop(scratch)
        assert scratch.name not in site.databases()


def test_a_server_without_drop_force(site: Site, others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL 12 has no DROP DATABASE … WITH (FORCE), nor STRATEGY."""
    with site.open(user="maker", password="m@k:e/r%") as server:
        monkeypatch.setattr(server, "_major", 12)
        scratch = server.create()
        left = others(scratch.name, user="maker", password="m@k:e/r%")
        server.clone(scratch)
        again = others(scratch.name, user="maker", password="m@k:e/r%")
        server.drop(scratch)
        assert scratch.name not in site.databases()
        for connection in (left, again):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")


def test_a_drop_that_is_refused_fails_nothing_and_is_said(site: Site, others: Others) -> None:
    said: list[str] = []
    server = site.open(said.append, user="maker", password="m@k:e/r%")
    scratch = server.create()
    # A superuser's connection, which the owner of the database may not end.
    blocking = others(scratch.name)
    server.drop(scratch)
    assert scratch.name in site.databases()
    assert len(said) == 1 and scratch.name in said[0] and "next run" in said[0]
    blocking.close()
    server.close()
    deadline = time.monotonic() + 10
    while scratch.name in site.databases() and time.monotonic() < deadline:
        site.run(f'DROP DATABASE "{scratch.name}" WITH (FORCE)')
    assert scratch.name not in site.databases()


def test_before_a_clone_our_leftover_connections_are_ended(site: Site, others: Others) -> None:
    with site.open(user="maker", password="m@k:e/r%") as server:
        source = server.create()
        left = others(source.name, user="maker", password="m@k:e/r%")
        server.clone(source)
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")


def test_a_connection_of_another_user_is_not_ended(
    site: Site, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "DISCONNECT_SECONDS", 0.5)
    with site.open(user="maker", password="m@k:e/r%") as server:
        source = server.create()
        foreign = others(source.name, user="plain", password="plain")
        with pytest.raises(CouldNotEvaluate) as caught:
            server.clone(source)
        assert caught.value.code == "scratch-in-use"
        assert foreign.execute("SELECT 1").fetchone() == (1,)


def test_a_clone_has_the_settings_of_its_source(site: Site, write: Write) -> None:
    with site.open() as server:
        source = server.create()
        write(
            server,
            source,
            'CREATE SCHEMA "Odd, one"',
            f'ALTER DATABASE {source.name} SET search_path = "Odd, one", public',
            f"ALTER DATABASE {source.name} SET app.mode = 'it''s = a \"test\"'",
            f"ALTER ROLE maker IN DATABASE {source.name} SET work_mem = '5MB'",
        )
        copy = server.clone(server.clone(source))
        assert server.query(copy, "SHOW search_path") == [('"Odd, one", public',)]
        assert server.query(copy, "SELECT current_setting('app.mode')") == [('it\'s = a "test"',)]
        configured = (
            "SELECT d.datname, r.rolname, s.setconfig FROM pg_db_role_setting s"
            " JOIN pg_database d ON d.oid = s.setdatabase JOIN pg_roles r ON r.oid = s.setrole"
            f" WHERE d.datname = '{copy.name}'"
        )
        assert site.run(configured) == [(copy.name, "maker", ["work_mem=5MB"])]


def test_a_new_database_has_nothing_of_the_sites_template(site: Site) -> None:
    site.run("CREATE TABLE IF NOT EXISTS from_the_site (id integer)", "template1")
    with site.open() as server:
        scratch = server.create()
        assert server.query(scratch, "SELECT to_regclass('from_the_site')") == [(None,)]
        assert server.query(scratch, "SHOW server_encoding") == [("UTF8",)]


def test_a_database_with_our_name_but_no_mark_is_never_touched(site: Site) -> None:
    decoys = {
        "converger_deadbeef00000001": None,
        "converger_deadbeef00000002": "the accounting department's",
        "converger_deadbeef00000003": json.dumps({"converger": 1, "created": 0}),
        "converger_deadbeef00000004": json.dumps({"converger": 1, "token": "x", "created": 0}),
        "converger_deadbeef0000000": new_mark(0),
        "converger_accounting": new_mark(0),
    }
    for name, comment in decoys.items():
        site.run(f"CREATE DATABASE {name}")
        if comment is not None:
            site.run(f"COMMENT ON DATABASE {name} IS '{comment.replace(chr(39), chr(39) * 2)}'")
    try:
        with site.open() as server:
            for name in decoys:
                server.drop(Scratch(name, server))
        assert decoys.keys() <= site.databases()
    finally:
        for name in decoys:
            site.run(f"DROP DATABASE IF EXISTS {name}")


def test_the_run_does_not_drop_what_another_run_made(site: Site) -> None:
    with site.open() as one, site.open() as other:
        scratch = one.create()
        other.drop(scratch)
        assert scratch.name in site.databases()


def test_leftovers_of_dead_runs_are_dropped_after_an_hour(own_site: Site) -> None:
    site = own_site
    old, young = new_mark(now(site) - 3700), new_mark(now(site) - 3500)
    for name, mark in {"0001": old, "0002": young, "0003": old}.items():
        site.run(f"CREATE DATABASE converger_0badcafe0000{name}")
        site.run(f"COMMENT ON DATABASE converger_0badcafe0000{name} IS '{mark}'")
    said: list[str] = []
    from converger.proof.pgconnect import connect

    with connect(site.url, "converger_0badcafe00000003"), site.open(said.append):
        assert site.scratch_databases() == {"converger_0badcafe00000002", "converger_0badcafe00000003"}
    assert [text for text in said if "converger_0badcafe00000001" in text]


@pytest.mark.parametrize("other_maintenance", [False, True])
def test_what_a_live_run_made_is_not_swept_however_old(own_site: Site, other_maintenance: bool) -> None:
    site = own_site
    with site.open() as live:
        scratch = live.create()
        site.run(f"COMMENT ON DATABASE {scratch.name} IS '{new_mark(0)}'")
        with site.open(database="template1" if other_maintenance else "postgres"):
            assert scratch.name in site.databases()
    # The mark was changed behind our back; the run still knows what it made.
    assert site.scratch_databases() == set()


def test_a_database_whose_making_was_interrupted_is_recognised(own_site: Site) -> None:
    site = own_site
    options = "ALLOW_CONNECTIONS = false CONNECTION LIMIT"
    site.run(f"CREATE DATABASE converger_0badcafe00000001 {options} = {postgres.UNFINISHED_LIMIT}")
    site.run(f"CREATE DATABASE converger_0badcafe00000002 {options} = 5")
    with site.open():
        assert site.scratch_databases() == {"converger_0badcafe00000002"}


MAKER = """
import sys, time
from converger.proof.servers import open_server
with open_server(database_url=sys.argv[1], project_url=None, progress=lambda text: None) as server:
    print("open", flush=True)
    while True:
        base = server.create()
        copy = server.clone(base)
        server.drop(base)
        server.drop(copy)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_killed_at_any_moment_everything_left_is_recognisable(own_site: Site, number: int) -> None:
    site = own_site
    random.seed(number)
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", MAKER, site.address()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert child.stdout is not None
        with child, child.stdout:
            assert child.stdout.readline() == b"open\n"
            time.sleep(random.uniform(0.0, 0.15))
            child.send_signal(number)
            child.wait(20)
    left = (
        "SELECT datname, shobj_description(oid, 'pg_database'), datallowconn, datconnlimit"
        " FROM pg_database WHERE datname LIKE 'converger\\_%'"
    )
    if number == signal.SIGINT:
        assert site.run(left) == []
        return
    # The server ends the killed runs' sessions within moments.
    deadline = time.monotonic() + 20
    while site.run("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") and time.monotonic() < deadline:
        time.sleep(0.05)
    for name, comment, _, _ in site.run(left):
        if comment is not None:
            site.run(f"COMMENT ON DATABASE {name} IS '{new_mark(0)}'")
    with site.open():
        assert site.scratch_databases() == set()


def test_a_broken_connection_is_opened_again_and_still_says_that_the_run_lives(site: Site) -> None:
    with site.open() as server:
        first = server.create()
        site.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'alembic-converger' AND datname = 'postgres' AND state = 'idle'"
        )
        with pytest.raises(CouldNotEvaluate) as caught:
            server.create()
        assert caught.value.code == "server-unreachable"
        second = server.create()
        run = int(second.name[10:18], 16)
        locked = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {run}"
        assert site.run(locked) == [(1,)]
        server.drop(second)
        assert second.name not in site.databases()
    assert first.name not in site.databases()


def test_nothing_of_the_environment_is_needed_by_the_project(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq fills in PGPASSWORD and PGPORT for us; the project's environment has neither."""
    assert site.url.password is not None
    monkeypatch.setenv("PGPASSWORD", site.url.password)
    monkeypatch.setenv("PGPORT", str(site.url.port))
    with site.open(password=None, port=None) as server:
        url = server.url(server.create(), None)
    assert f":{site.url.password}@127.0.0.1:{site.url.port}/" in url
