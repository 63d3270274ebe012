"""Projects that are not as they should be: what kept us from looking is named, with the place and the way out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Silent
from converger.proof.secrecy import Secrets
from converger.report.json import outcome_json, to_bytes
from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p", url="sqlite:///never.db"))


def unevaluated(project: AlembicProject, **changes: object) -> tuple[str, str, str]:
    """The code, the message and the hint of a run that could not look."""
    outcome = converge(Options(cwd=project.root, **changes), Silent())  # type: ignore[arg-type]
    assert (outcome.status, outcome.exit_code) == ("unevaluated", 3), outcome.proof
    assert outcome.reason is not None
    return outcome.reason.code, outcome.reason.message, outcome.reason.hint or ""


def write(project: AlembicProject, name: str, text: str) -> None:
    (project.root / name).write_text(text)


def place_of(text: str, path: Path) -> str:
    """Where the text stands in the file, as our messages begin: `name:line: `."""
    lines = [number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line]
    assert len(lines) == 1, lines
    return f"{path.name}:{lines[0]}: "


# -- a dependency that is missing


IN_APP = "from flask import current_app\ncurrent_app.config\n"


@pytest.mark.parametrize(
    ("files", "options", "place"),
    [
        ({"migrations/env.py": "import acme.settings\n"}, {}, "migrations/env.py:1"),
        ({"migrations/env.py": "import shop\n", "shop.py": "\nimport acme.settings\n"}, {}, "shop.py:2"),
        ({"migrations/env.py": IN_APP, "app.py": "\nimport acme.settings\n"}, {}, "app.py:2"),
        (
            {"migrations/env.py": IN_APP, "shop.py": "def make():\n    import acme.settings\n"},
            {"flask_app": "shop:make"},
            "shop.py:2",
        ),
        ({"up.py": "import acme.settings\n"}, {"command": "python up.py {revision}"}, "up.py:1"),
        ({"up.py": "import acme.settings\n"}, {"prepare": "python up.py"}, "up.py:1"),
    ],
    ids=["env", "imported", "flask", "factory", "command", "prepare"],
)
def test_a_missing_dependency(
    project: AlembicProject, files: dict[str, str], options: dict[str, object], place: str
) -> None:
    for name, text in files.items():
        write(project, name, text)
    code, message, hint = unevaluated(project, **options)
    assert code == "missing-dependency"
    assert message.startswith(f"{place}: No module named 'acme'")
    assert sys.executable in message
    assert hint.startswith("install acme there")
    assert "--python" in hint
    assert "`install`" in hint


def test_a_missing_dependency_of_a_revision(project: AlembicProject) -> None:
    path = project.revision("bbbb0001", "base0001", header="import acme.models")
    code, message, hint = unevaluated(project)
    assert code == "missing-dependency"
    assert message.startswith(f"migrations/versions/{place_of('acme.models', path)}No module named 'acme'")
    assert hint.startswith("install acme there")


def test_a_module_that_python_itself_no_longer_has(project: AlembicProject) -> None:
    write(project, "migrations/env.py", "import formatter\n")
    code, _, hint = unevaluated(project)
    assert code == "missing-dependency"
    assert hint.startswith("Python 3.10 took formatter out: run the project with an older one")
    assert "`python-version`" in hint


def test_a_dependency_of_another_version(project: AlembicProject) -> None:
    write(project, "migrations/env.py", "from sqlalchemy import of_another_version\n")
    code, message, hint = unevaluated(project)
    assert code == "missing-dependency"
    assert "cannot import name 'of_another_version'" in message
    assert hint.startswith("another version of sqlalchemy")


# -- a factory that raises


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('SECRET_KEY is not set')", "shop.py:4: RuntimeError: SECRET_KEY is not set"),
        ("read()", "shop.py:2: KeyError: 'SHOP_KEY'"),
        ("json.loads('{')", "shop.py:4: JSONDecodeError: Expecting property name"),
    ],
    ids=["itself", "what_it_calls", "a_library"],
)
def test_a_factory_that_raises_shows_the_last_line_of_the_projects_own(
    project: AlembicProject, body: str, said: str
) -> None:
    write(project, "migrations/env.py", IN_APP)
    write(
        project,
        "shop.py",
        f"import json, os\ndef read(): return os.environ['SHOP_KEY']\ndef make():\n    {body}\n",
    )
    code, message, hint = unevaluated(project, flask_app="shop:make")
    assert code == "env-failed"
    assert message.startswith(said)
    assert "--env NAME=VALUE" in hint


# -- what hangs


SLEEP = "import time\ntime.sleep(600)\n"


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        (
            {"migrations/env.py": "while True:\n    pass\n"},
            {},
            ("migrations/env.py:", "before the first migration"),
        ),
        (
            {"migrations/env.py": IN_APP, "shop.py": "import time\ndef make():\n    time.sleep(600)\n"},
            {"flask_app": "shop:make"},
            ("shop.py:3: ", "before the first migration"),
        ),
        (
            {"up.py": SLEEP},
            {"command": "python up.py {revision}"},
            ("up.py:2: ", "before the first migration"),
        ),
        ({}, {"command": "sleep 600"}, ("nothing happened", "before the first migration")),
        ({"up.py": SLEEP}, {"prepare": "python up.py"}, ("up.py:2: ", "while --prepare ran")),
    ],
    ids=["env", "factory", "command", "program", "prepare"],
)
def test_what_hangs_before_a_migration(
    project: AlembicProject, files: dict[str, str], options: dict[str, object], said: tuple[str, str]
) -> None:
    for name, text in files.items():
        write(project, name, text)
    code, message, hint = unevaluated(project, timeout=1.5, **options)
    assert code == "worker-timeout"
    assert message.startswith(said[0])
    assert "nothing happened for 1.5 seconds" in message
    assert message.endswith(said[1])
    assert "--timeout" in hint


@pytest.mark.parametrize(
    "body",
    [
        "op.execute('SELECT 1')\nimport time\ntime.sleep(600)",
        "import helpers\nhelpers.wait()",
        "import ctypes\nctypes.CDLL(None).sleep(600)",
        "import subprocess\nsubprocess.run(['sleep', '600'])",
    ],
    ids=["sleeps", "in_a_helper", "in_C", "in_a_child"],
)
def test_a_migration_that_hangs(project: AlembicProject, body: str) -> None:
    write(project, "helpers.py", "import time\ndef wait():\n    time.sleep(600)\n")
    path = project.revision("bbbb0001", "base0001", body)
    place = place_of("600", path if "600" in body else project.root / "helpers.py")
    code, message, _ = unevaluated(project, timeout=1.5)
    assert code == "worker-timeout"
    assert place in message
    assert message.endswith("while revision bbbb0001 ran")


def test_a_migration_that_waits_for_a_lock(project: AlembicProject, postgres_url: str) -> None:
    path = project.revision(
        "bbbb0001",
        "base0001",
        "other = op.get_bind().engine.connect()\n"
        "other.execute(sa.text('LOCK TABLE orders IN ACCESS SHARE MODE'))\n"
        "op.execute('ALTER TABLE orders\\n  ADD COLUMN late INTEGER')",
    )
    project.sql("base0001", None, "CREATE TABLE accounts (id INTEGER)", "CREATE TABLE orders (id INTEGER)")
    code, message, hint = unevaluated(project, timeout=2.0, database_url=postgres_url)
    assert code == "worker-timeout"
    assert place_of("ADD COLUMN", path) in message
    assert "in the statement ALTER TABLE orders ADD COLUMN late INTEGER" in message
    assert "waits for a lock" in hint


# -- what is killed, or runs out of something


KILLED: dict[str, tuple[str, str]] = {
    "killed": ("import os\nos.kill(os.getpid(), 9)", "killed by signal 9"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "killed by signal 11"),
    "cpu": (
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (0, 0))\nwhile True: pass",
        "killed by signal ",
    ),
    "leaves": ("import os\nos._exit(0)", "ended without a word"),
}


@pytest.mark.parametrize("way", KILLED)
def test_a_process_that_is_killed(project: AlembicProject, way: str) -> None:
    project.revision("bbbb0001", "base0001", KILLED[way][0])
    code, message, hint = unevaluated(project)
    assert code == "worker-ended"
    assert f"{KILLED[way][1]}" in message
    assert "while revision bbbb0001 ran" in message
    if way == "killed":
        assert "memory" in hint


def test_what_ran_when_it_was_killed(project: AlembicProject) -> None:
    project.revision(
        "bbbb0001",
        "base0001",
        "import os\nraw = op.get_bind().connection.dbapi_connection\n"
        "raw.create_function('die', 0, lambda: os.kill(os.getpid(), 9))\nop.execute('SELECT die()')",
    )
    code, message, _ = unevaluated(project)
    assert code == "worker-ended"
    assert "while revision bbbb0001 ran, in the statement SELECT die()" in message


@pytest.mark.parametrize(
    "body",
    [
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2)\n"
        "kept = [bytearray(10 << 20) for _ in range(1000)]",
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "kept = [open('/dev/null') for _ in range(100)]",
        "raise OSError(28, 'No space left on device')",
        "op.execute('PRAGMA max_page_count = 1')\nop.execute('CREATE TABLE big AS SELECT zeroblob(1000000) AS x')",
    ],
    ids=["memory", "files", "disk", "sqlite"],
)
def test_what_runs_out(project: AlembicProject, body: str) -> None:
    project.revision("bbbb0001", "base0001", body)
    code, message, _ = unevaluated(project)
    assert code == "out-of-resources"
    assert "bbbb0001_rev.py" in message


# -- the network


WANTS_THE_NETWORK = {
    "address": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')",
    "name": "import socket\nsocket.create_connection(('shop.invalid', 80))",
    "child": "import subprocess, sys\nsubprocess.run([sys.executable, '-c',"
    " 'import socket; socket.create_connection((\"127.0.0.1\", 9))'], check=True)",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can cut the network off")
@pytest.mark.parametrize(
    ("way", "where"), [("address", "revision"), ("name", "revision"), ("child", "revision"), ("child", "env")]
)
def test_who_wants_the_network_is_no_conflict(project: AlembicProject, way: str, where: str) -> None:
    work = WANTS_THE_NETWORK[way]
    if where == "env":
        write(project, "migrations/env.py", f"{work}\n{ENV_PY}")
    else:
        project.revision("bbbb0001", "base0001", work)
    code, message, hint = unevaluated(project)
    assert code == "no-network"
    assert ("env.py:" if where == "env" else "bbbb0001_rev.py:") in message
    assert "--allow-network" in hint


def test_another_database_of_the_scratch_server_is_no_conflict(
    project: AlembicProject, postgres_url: str
) -> None:
    project.revision(
        "bbbb0001",
        "base0001",
        "import subprocess\ninfo = op.get_bind().connection.dbapi_connection.info\n"
        "done = subprocess.run(['psql', '-h', info.host, '-U', info.user, 'production'], capture_output=True, text=True)\n"
        "if done.returncode: raise RuntimeError(done.stderr)",
    )
    code, message, _ = unevaluated(project, database_url=postgres_url)
    assert code == "foreign-connection"
    assert 'database "production"' in message


# -- what it prints


def test_much_is_printed_and_little_is_kept(project: AlembicProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be in memory: after 200 MB there is a tenth of it at most, with the last words."""
    sizes: list[int] = []
    tail: Callable[..., str] = __import__("converger.proof.process", fromlist=["_tail"])._tail

    def watched(path: Path, limit: int = 4000) -> str:
        sizes.append(path.stat().st_size if path.exists() else 0)
        return tail(path, limit)

    monkeypatch.setattr("converger.proof.process._tail", watched)
    project.revision(
        "bbbb0001",
        "base0001",
        "import sys, time\nfor _ in range(200):\n    sys.stdout.write('x' * 1_000_000 + '\\n')\n"
        "sys.stdout.flush()\ntime.sleep(1)\nprint('last words', flush=True)\nimport os\nos.kill(os.getpid(), 9)",
    )
    _, message, _ = unevaluated(project)
    assert "last words" in message
    assert max(sizes) < 20_000_000


# -- secrets


def test_known_passwords_are_not_told(project: AlembicProject) -> None:
    ini = project.ini.read_text()
    project.ini.write_text(ini.replace("sqlite:///never.db", "postgresql://app:in1-hush@prod/db"))
    project.revision(
        "bbbb0001",
        "base0001",
        "import os\nprint('printed env-hush', flush=True)\n"
        "raise RuntimeError('no postgresql://app:in1-hush@prod/db nor %s; %s' %"
        " (os.environ['SHOP_DB'], os.environ['MAIL_PASSWORD']))",
    )
    env = {"SHOP_DB": "mysql://me:env-hush@h/d", "MAIL_PASSWORD": "word-hush", "MODE": "nor"}
    outcome = converge(Options(cwd=project.root, env=env, database_url="sqlite://"), Silent())
    assert outcome.proof is not None
    assert outcome.proof.conflicts[0].error == "no postgresql://app:***@prod/db nor mysql://me:***@h/d; ***"
    assert "hush" not in repr(outcome.proof)
    assert b"hush" not in to_bytes(outcome_json(outcome))


def test_what_is_no_secret_stays() -> None:
    secrets = Secrets(
        [None, "driver://", "postgresql://u@h/d", "postgresql://u:p%40ss@h/d"],
        {"PATH": "/bin", "SHOP_TOKEN": "x", "API_KEY": "abcdef", "URL": "redis://:sesame@h"},
    )
    text = "/bin driver:// x p%40ss p@ss abcdef sesame u@h"
    assert secrets.hide(text) == "/bin driver:// x *** *** *** *** u@h"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has /proc")
@pytest.mark.parametrize("hidden", [True, False])
def test_our_own_environment_is_not_read_by_what_we_start(hidden: bool, tmp_path: Path) -> None:
    """Not by an ordinary user, nor by root without the rights to trace and to measure others."""
    script = tmp_path / "ours.py"
    script.write_text(
        "import contextlib, os, subprocess, sys\n"
        f"sys.path[:0] = {[entry for entry in sys.path if entry] + [str(Path(__file__).parents[2])]!r}\n"
        "from converger.proof.secrecy import unreadable\n"
        f"with unreadable() if {hidden} else contextlib.nullcontext():\n"
        "    read = 'import sys; print(open(sys.argv[1]).read())'\n"
        "    done = subprocess.run([sys.executable, '-c', read, '/proc/%d/environ' % os.getpid()],"
        " capture_output=True, text=True, env={})\n"
        "print('GITHUB_TOKEN' in done.stdout, 'PermissionError' in done.stderr)\n"
        "print('GITHUB_TOKEN' in open('/proc/self/environ').read())\n"
    )
    command = [sys.executable, str(script)]
    if os.geteuid() == 0:
        # Docker's root has none of these either.
        without = "-sys_ptrace,-sys_admin,-perfmon"
        command = ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}", *command]
    environment = {"GITHUB_TOKEN": "t", "PATH": os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == (["False", "True", "True"] if hidden else ["True", "False", "True"]), (
        done.stderr
    )
