"""Project's code that misbehaves: what it does is told as it was, nothing is left, and nothing hangs."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from converger.proof import prove
from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads

from .conftest import Production

SWALLOWING = ENV_PY.replace(
    "    run_migrations_online()",
    "    try:\n        run_migrations_online()\n    except BaseException:\n        pass",
)


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p", url="sqlite:///never.db"))


def run(project: AlembicProject, status: str, **changes: object) -> Outcome:
    before = project.digest()
    outcome = converge(Options(cwd=project.root, **changes), Silent())  # type: ignore[arg-type]
    assert outcome.status == status, outcome.reason or outcome.proof
    after = project.digest()
    assert {name: after.get(name) for name in before} == before
    assert len(after) - len(before) == (1 if status == "merged" else 0), set(after) - set(before)
    return outcome


def reason(outcome: Outcome) -> tuple[str, str]:
    assert outcome.reason is not None
    return outcome.reason.code, outcome.reason.message


def verdict(outcome: Outcome) -> str:
    assert outcome.proof is not None
    return outcome.proof.verdict


def set_env(project: AlembicProject, text: str) -> None:
    (project.root / "migrations" / "env.py").write_text(text)


# -- the guard


def test_a_revision_that_connects_when_it_is_loaded(project: AlembicProject, tmp_path: Path) -> None:
    """Revision files are loaded early, before there is a scratch database: nothing may be opened then."""
    production = tmp_path / "production.db"
    production.touch()
    project.revision(
        "bbbb0001",
        "base0001",
        "assert names == ['t'], names",
        header=f"engine = sa.create_engine('sqlite:///{production}')\n"
        "with engine.begin() as connection:\n"
        "    connection.execute(sa.text('CREATE TABLE IF NOT EXISTS t (id INTEGER)'))\n"
        "names = [name for name in sa.inspect(engine).get_table_names() if name == 't']",
    )
    outcome = run(project, "merged")
    assert outcome.proof is not None
    assert outcome.proof.verdict == "commute"
    assert production.read_bytes() == b""


def test_what_a_revision_does_when_it_is_loaded_is_done_each_time(project: AlembicProject) -> None:
    """The second upgrade of a database fails here as it would in a deployment."""
    project.revision(
        "bbbb0001",
        "base0001",
        header="with sa.create_engine('sqlite:///of_the_project.db').begin() as connection:\n"
        "    connection.execute(sa.text('CREATE TABLE t (id INTEGER)'))",
    )
    code, message = reason(run(project, "unevaluated"))
    assert code == "env-failed"
    assert "table t already exists" in message


def test_a_sqlite_file_of_the_project_is_not_even_made(project: AlembicProject) -> None:
    """`run` sees that there is no such file afterwards; the listener's table is in the scratch database."""
    set_env(
        project,
        "import sqlalchemy\n"
        "engine = sqlalchemy.create_engine('sqlite:///of_the_project.db')\n"
        "sqlalchemy.event.listen(\n"
        "    engine, 'connect', lambda raw, _: raw.execute('CREATE TABLE IF NOT EXISTS t (id INTEGER)'))\n"
        "engine.connect().close()\n" + ENV_PY,
    )
    project.sql("bbbb0001", "base0001", "INSERT INTO t VALUES (1)")
    assert verdict(run(project, "merged")) == "commute"


@pytest.mark.parametrize("name", ["pymysql", "psycopg"])
def test_another_dialect_is_refused_though_env_py_swallows_it(project: AlembicProject, name: str) -> None:
    dialect = {"pymysql": "mysql", "psycopg": "postgresql"}[name]
    set_env(
        project,
        "import sqlalchemy\n"
        f"engine = sqlalchemy.create_engine('{dialect}+{name}://root:hush@production.invalid/shop')\n"
        "try:\n    engine.connect()\nexcept BaseException:\n    pass\n" + ENV_PY,
    )
    outcome = run(project, "unevaluated")
    code, message = reason(outcome)
    assert code == "foreign-connection"
    assert f"a {dialect} database, 'shop'," in message
    assert outcome.reason is not None
    assert f"--database-url {dialect}://" in (outcome.reason.hint or "")
    assert "hush" not in message


NOBODY_WAITS = {
    "thread": "import threading\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()",
    "fork": "import os\npid = os.fork()\nif pid == 0:\n    try:\n        work()\n    finally:\n        os._exit(0)\n"
    "os.waitpid(pid, 0)",
}


class TestWhatNobodyWaitsFor:
    """A connection of a thread's or a child's, whose exceptions reach nobody."""

    def test_elsewhere(self, project: AlembicProject, postgres_url: str, production: Production) -> None:
        """It is taken to the scratch database, too, where its table is found."""
        project.revision(
            "bbbb0001",
            "base0001",
            "\n".join(
                f"def work():\n    with sa.create_engine({production.url()!r}).begin() as c:\n"
                f"        c.execute(sa.text('CREATE TABLE by_{name} (id INTEGER)'))\n"
                f"{start}\nop.execute('INSERT INTO by_{name} VALUES (1)')"
                for name, start in NOBODY_WAITS.items()
            ),
        )
        assert verdict(run(project, "merged", database_url=postgres_url)) == "commute"

    @pytest.mark.parametrize("start", NOBODY_WAITS.values(), ids=NOBODY_WAITS)
    def test_of_another_dialect(self, project: AlembicProject, start: str) -> None:
        """The guard itself has to tell."""
        project.revision(
            "bbbb0001",
            "base0001",
            "def work():\n    sa.create_engine('postgresql+psycopg://u@production.invalid/shop').connect()\n"
            + start,
        )
        assert reason(run(project, "unevaluated"))[0] == "foreign-connection"


def test_a_role_is_not_made_on_the_users_server(project: AlembicProject, postgres_url: str) -> None:
    role = f"hardening_{os.getpid()}"
    project.sql("bbbb0001", "base0001", f"DO $$ BEGIN CREATE ROLE {role}; END $$")
    code, message = reason(run(project, "unevaluated", database_url=postgres_url))
    assert code == "server-refused"
    assert "belong to the whole server" in message
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        assert found == (0,)


def test_words_about_roles_are_no_change_of_roles(project: AlembicProject, postgres_url: str) -> None:
    project.sql(
        "bbbb0001",
        "base0001",
        "CREATE TABLE permissions (name TEXT)",
        "INSERT INTO permissions VALUES ('create user'), ('drop role')",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone TO ''UTC''', current_database()); END $$",
    )
    run(project, "merged", database_url=postgres_url)


# -- what is told


def test_an_error_that_env_py_hides_is_told(project: AlembicProject) -> None:
    set_env(project, SWALLOWING)
    project.sql("bbbb0001", "base0001", "CREATE TABLE accounts (id INTEGER)")
    outcome = run(project, "refused")
    assert outcome.proof is not None
    conflict = outcome.proof.conflicts[0]
    assert conflict.revisions == ("bbbb0001", "bbbb0001")
    assert conflict.error == "table accounts already exists"


def test_a_missing_module_that_env_py_hides_is_no_verdict(project: AlembicProject) -> None:
    set_env(project, SWALLOWING)
    project.revision("bbbb0001", "base0001", "import acme_models")
    assert reason(run(project, "unevaluated"))[0] == "missing-dependency"


def test_a_migration_that_leaves_with_success_did_not_succeed(project: AlembicProject) -> None:
    project.revision("bbbb0001", "base0001", "import sys\nsys.exit(0)")
    outcome = run(project, "refused")
    assert outcome.proof is not None
    assert outcome.proof.verdict == "broken"
    assert "sys.exit(0)" in (outcome.proof.conflicts[0].error or "")


def test_an_optional_import_does_not_hide_a_conflict(project: AlembicProject) -> None:
    project.revision(
        "bbbb0001",
        "base0001",
        "try:\n    import acme\nexcept ImportError:\n    op.execute('ALTER TABLE accounts ADD COLUMN email TEXT')",
    )
    outcome = run(project, "refused")
    assert outcome.proof is not None
    assert outcome.proof.conflicts[0].error == "duplicate column name: email"


TENANTS = ENV_PY.replace(
    """\
        context.configure(connection=connection, target_metadata=None)
        with context.begin_transaction():
            context.run_migrations()
""",
    """\
        for tenant in ("red", "blue"):
            context.configure(connection=connection, version_table=tenant + "_version")
            with context.begin_transaction():
                context.run_migrations(tenant=tenant)
            connection.commit()
""",
)


def tenants(project: AlembicProject, *clashes: str) -> None:
    """Each revision makes a table of its own for each tenant; those of the heads clash for the named ones."""
    assert TENANTS != ENV_PY
    set_env(project, TENANTS)
    template = project.root / "migrations" / "script.py.mako"
    template.write_text(template.read_text().replace("def upgrade():", "def upgrade(tenant):"))
    for path in list(project.versions.glob("*.py")):
        path.unlink()
    for name, parent in (("base0001", None), ("aaaa0001", "base0001"), ("bbbb0001", "base0001")):
        table = "'base0001'" if name == "base0001" else f"'same' if tenant in {clashes!r} else {name!r}"
        body = f"op.execute('CREATE TABLE ' + tenant + '_' + ({table}) + ' (id INTEGER)')"
        path = project.revision(name, parent, body)
        path.write_text(path.read_text().replace("def upgrade():", "def upgrade(tenant):"))


def test_env_py_that_upgrades_several_version_tables(project: AlembicProject) -> None:
    """Tenants: the second pass begins where the first began, which is no disagreement."""
    tenants(project)
    outcome = run(project, "merged")
    assert verdict(outcome) == "commute"
    assert outcome.proof is not None
    empty = next(path for path in outcome.proof.paths if path.start == ())
    assert len(empty.order) == len(set(empty.order)) == 4, "each revision once, though each ran twice"


@pytest.mark.parametrize("tenant", ["red", "blue"])
def test_a_clash_in_one_of_several_version_tables(project: AlembicProject, tenant: str) -> None:
    tenants(project, tenant)
    outcome = run(project, "refused")
    assert verdict(outcome) == "neither-order"
    assert outcome.proof is not None
    assert f"table {tenant}_same already exists" in {conflict.error for conflict in outcome.proof.conflicts}


def test_a_version_table_that_the_upgrade_does_not_reach(project: AlembicProject) -> None:
    """env.py leaves out one tenant as soon as there is a merge: its version table stays behind."""
    tenants(project)
    text = (project.root / "migrations" / "env.py").read_text()
    late = "if len(context.script.get_heads()) == 1 and context.get_revision_argument() not in OLD else"
    loop = 'for tenant in ("red", "blue"):'
    assert loop in text
    set_env(
        project,
        "OLD = ('base0001', 'aaaa0001', 'bbbb0001')\n"
        + text.replace(loop, f'for tenant in ("red",) {late} ("red", "blue"):'),
    )
    outcome = run(project, "refused")
    assert outcome.proof is not None
    error = outcome.proof.conflicts[0].error or ""
    assert re.search(r"the version table says \w+ where \w+ was expected", error)
    assert "env.py upgraded blue_version before, and left it out this time" in error


def test_an_extension_that_the_server_lacks_is_no_verdict(project: AlembicProject, postgres_url: str) -> None:
    project.sql("bbbb0001", "base0001", "CREATE EXTENSION nobody_has_this")
    code, message = reason(run(project, "unevaluated", database_url=postgres_url))
    assert code == "server-refused"
    assert "nobody_has_this" in message


def test_the_password_of_the_server_is_not_told(project: AlembicProject, postgres_url: str) -> None:
    password = psycopg.conninfo.conninfo_to_dict(postgres_url)["password"]
    assert password
    project.revision(
        "bbbb0001",
        "base0001",
        "raise RuntimeError(op.get_bind().engine.url.render_as_string(hide_password=False))",
    )
    outcome = run(project, "refused", database_url=postgres_url)
    assert str(password) not in repr(outcome)
    assert outcome.proof is not None
    assert "***" in (outcome.proof.conflicts[0].error or "")


HARD_TO_TELL = {
    "long0001": "raise RuntimeError('\\x01' * 1_000_000)",
    "surrogates0001": "raise RuntimeError('\\udcff\\ud800')",
    "unprintable0001": "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
    "deep0001": "def f(n): f(n + 1)\nf(0)",
    "statement0001": "op.execute('SELECT ' + '\\x02' * 1_000_000)",
}


def test_errors_that_are_hard_to_tell(project: AlembicProject) -> None:
    for name, code in HARD_TO_TELL.items():
        project.revision(name, "base0001", code)
    outcome = run(project, "refused")
    assert outcome.proof is not None
    assert outcome.proof.verdict == "broken"
    found = {conflict.revisions for conflict in outcome.proof.conflicts}
    assert found == {(name, name) for name in HARD_TO_TELL}


# -- processes


@pytest.mark.parametrize(
    "code",
    [
        "import os, threading, time\nif os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\nos.umask(0o777)\nos.chdir('/')",
        "import os\nos.close(1)\nos.close(2)",
        "import os, sys\nos.write(2, b'\\xff' * 3_000_000)\n"
        "sys.stdout = sys.stderr = None\nprint('x' * 10, file=open('/dev/null', 'w'))",
    ],
    ids=["forks_threads_umask", "closes", "prints_replaces"],
)
def test_nothing_waits_for_what_a_migration_leaves_behind(project: AlembicProject, code: str) -> None:
    project.revision("bbbb0001", "base0001", code)
    began = time.monotonic()
    run(project, "merged", timeout=30.0)
    assert time.monotonic() - began < 20


def test_a_daemon_of_a_migration_does_not_outlive_the_run(project: AlembicProject, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    project.revision(
        "bbbb0001",
        "base0001",
        "import subprocess\nchild = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
        f"with open({str(pids)!r}, 'a') as file:\n    file.write(f'{{child.pid}}\\n')",
    )
    run(project, "merged")
    started = [int(line) for line in pids.read_text().split()]
    assert len(started) >= 3  # each time that the revision was run
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


def test_an_edit_while_the_proof_runs_is_noticed(
    project: AlembicProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a body changes: the graph is the same, but what was proven is not what is there."""
    path = project.sql("bbbb0001", "base0001", "CREATE TABLE t (id INTEGER)")
    original = prove.prove

    def prove_and_edit(*args: Any) -> prove.Proven:
        proven = original(*args)
        assert proven.proof.verdict == "commute"
        path.write_text(path.read_text().replace("CREATE TABLE t ", "CREATE TABLE accounts "))
        return proven

    monkeypatch.setattr(prove, "prove", prove_and_edit)
    outcome = converge(Options(cwd=project.root), Silent())
    assert reason(outcome)[0] == "history-changed"
    assert "while the proof ran" in reason(outcome)[1]
    assert not list(project.versions.glob("*merge*"))


def test_without_a_folder_for_temporary_files(
    project: AlembicProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from converger import folders

    def no_room(prefix: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folders, "MarkedFolder", no_room)
    code, message = reason(run(project, "unevaluated"))
    assert code == "no-scratch-folder"
    assert "No space left" in message
