"""`--command`: the project's own way to upgrade, which knows nothing of us."""

from __future__ import annotations

import os
import sys
import sysconfig
import venv
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads

from .conftest import Production
from .running import commutes, refused, unevaluated

UPGRADE = """\
import os, sys
import click
from alembic import command
from alembic.config import Config

@click.group()
def cli():
    pass

@cli.group()
def db():
    pass

@db.command()
@click.argument("revision")
def upgrade(revision):
    click.echo("upgrading to " + revision)
    command.upgrade(Config(os.path.join(os.path.dirname(__file__), os.pardir, "alembic.ini")), revision)

if __name__ == "__main__":
    cli()
"""


@pytest.fixture
def project(tmp_path: Path, production: Production) -> AlembicProject:
    """It has its database written down in alembic.ini, and `python -m shop db upgrade REVISION`."""
    project = two_harmless_heads(AlembicProject(tmp_path / "p", url=production.url()))
    write(project, "shop/__init__.py", "")
    write(project, "shop/__main__.py", UPGRADE)
    return project


def write(project: AlembicProject, name: str, text: str) -> Path:
    path = project.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def clash(project: AlembicProject) -> None:
    """bbbb0001 works only before aaaa0001."""
    project.sql("bbbb0001", "base0001", "ALTER TABLE accounts ADD COLUMN email TEXT")


CLICK = "python -m shop db upgrade {revision}"


# -- ways to say it


def test_a_clash_in_a_child_that_inherits_nothing(project: AlembicProject, postgres_url: str) -> None:
    clash(project)
    write(project, "migrate.py", CAPTURED)
    proof = refused(project.root, database_url=postgres_url, command="python migrate.py {revision}")
    assert proof.verdict == "neither-order"
    conflict = proof.conflicts[0]
    assert "aaaa0001" in conflict.revisions
    assert 'column "email" of relation "accounts" already exists' in (conflict.error or "")
    assert conflict.statement is not None
    assert conflict.location is not None


def test_an_async_env_py_behind_a_placeholder(project: AlembicProject, postgres_url: str) -> None:
    write(
        project,
        "migrations/env.py",
        "import asyncio, os\nfrom alembic import context\n"
        "from sqlalchemy.ext.asyncio import create_async_engine\n"
        "def run(connection):\n    context.configure(connection=connection)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n"
        "async def main():\n    engine = create_async_engine(os.environ['DATABASE_URL'])\n"
        "    async with engine.begin() as connection:\n        await connection.run_sync(run)\n"
        "    await engine.dispose()\nasyncio.run(main())\n",
    )
    proof = commutes(project.root, database_url=postgres_url, command=CLICK)
    assert proof.downgrade.result == "not-run"
    assert "--command" in (proof.downgrade.detail or "")
    empty = next(path for path in proof.paths if path.start == ())
    assert len(empty.order) == 4, "every step was seen"


WAYS = {
    "alembic": "exec alembic -c alembic.ini upgrade $1 --tag x",
    "talkative": 'set -eu\necho "upgrading"\npython -c "import sys; print(sys.version)"\npython -m shop db upgrade $1',
    # What failed on the way is no failure, if the database is where it should be.
    "tries again": "python -c \"raise RuntimeError('the first try')\"\npython -m shop db upgrade $1",
    "captured": "exec python captured.py $1",
    "closes": "exec python closes.py $1",
    "multiprocessing": "exec python processes.py $1",
}
CAPTURED = """\
import subprocess, sys
done = subprocess.run([sys.executable, '-m', 'shop', 'db', 'upgrade', sys.argv[1]], capture_output=True)
sys.exit(done.returncode)
"""
CLOSES = """\
import os, sys
os.closerange(3, 256)
os.execv(sys.executable, [sys.executable, '-m', 'shop', 'db', 'upgrade', sys.argv[1]])
"""
PROCESSES = """\
import multiprocessing, runpy, sys
def work(revision):
    sys.argv = ['shop', 'db', 'upgrade', revision]
    runpy.run_module('shop', run_name='__main__')
if __name__ == '__main__':
    process = multiprocessing.get_context('spawn').Process(target=work, args=(sys.argv[1],))
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def take_turns(project: AlembicProject, turns: Path, ways: Collection[str]) -> None:
    """Write `upgrade.sh`, which goes another of these ways each time that it is run: `turns` tells how often."""
    turns.mkdir()
    cases = "".join(f"{number}) {way}\n;;\n" for number, way in enumerate(ways))
    write(
        project,
        "upgrade.sh",
        f"#!/bin/bash\nn=0\nwhile ! mkdir {turns}/$n 2> /dev/null; do n=$((n + 1)); done\n"
        f"case $((n % {len(ways)})) in\n{cases}esac\n",
    )


def test_ways_to_upgrade(project: AlembicProject, postgres_url: str, tmp_path: Path) -> None:
    """A shell that does other things, too, and children that inherit nothing; every step of each is seen."""
    write(project, "captured.py", CAPTURED)
    write(project, "closes.py", CLOSES)
    write(project, "processes.py", PROCESSES)
    take_turns(project, tmp_path / "turns", WAYS.values())
    proof = commutes(project.root, database_url=postgres_url, command="./upgrade.sh {revision}")
    assert len(list((tmp_path / "turns").iterdir())) >= len(WAYS)
    empty = next(path for path in proof.paths if path.start == ())
    assert len(empty.order) == 4


# -- a sitecustomize of the project's own


def environment(folder: Path) -> Path:
    """Another environment, which has the packages of this one; its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site_packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site_packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_a_sitecustomize_on_the_path(project: AlembicProject) -> None:
    """It imports one itself, as a tool that measures coverage does. On SQLite, to see that, too."""
    project.ini.write_text(project.ini.read_text().replace("postgresql", "sqlite:///production.db #"))
    write(
        project,
        "tools/sitecustomize.py",
        "import os, sys\nsys.FROM_THE_PATH = sys.modules['sitecustomize'].__file__\n"
        "import sqlalchemy\nassert os.environ['PYTHONPATH']\n",
    )
    check = f"import sys\nassert sys.FROM_THE_PATH == {str(project.root / 'tools/sitecustomize.py')!r}\n"
    write(project, "migrations/env.py", check + ENV_PY)
    commutes(project.root, database_url="sqlite://", command=CLICK, env={"PYTHONPATH": "tools"})
    assert not list(project.root.rglob("*.db"))


# -- another interpreter


def test_the_interpreter_of_an_environment(
    project: AlembicProject, postgres_url: str, tmp_path: Path
) -> None:
    """It is the first on the PATH, and has a sitecustomize."""
    python = environment(tmp_path / "venv")
    (site_packages,) = (tmp_path / "venv").glob("lib/*/site-packages")
    (site_packages / "sitecustomize.py").write_text("import builtins\nbuiltins.FROM_THE_ENVIRONMENT = 1\n")
    write(project, "migrations/env.py", "assert FROM_THE_ENVIRONMENT == 1\n" + ENV_PY)
    seen = tmp_path / "seen"
    write(
        project,
        "upgrade.sh",
        f'#!/bin/bash\ncommand -v python > {seen}\nexec python -m shop db upgrade "$1"\n',
    )
    write(project, "decoy/python", "#!/bin/sh\nexit 9\n")
    path = f"{project.root / 'decoy'}{os.pathsep}{os.environ['PATH']}"
    commutes(
        project.root,
        database_url=postgres_url,
        command="./upgrade.sh {revision}",
        python=str(python),
        environment={**os.environ, "PATH": path},
    )
    assert seen.read_text().strip() == str(python)


# -- what goes wrong


def test_it_fails_before_the_first_migration(project: AlembicProject, postgres_url: str) -> None:
    write(project, "shop/__main__.py", "import os\nprint('reading settings')\nos.environ['SHOP_SECRET']\n")
    reason = unevaluated(project.root, database_url=postgres_url, command=CLICK)
    assert reason.code == "env-failed"
    assert "shop/__main__.py:3: KeyError: 'SHOP_SECRET'" in reason.message
    assert "--env NAME=VALUE" in (reason.hint or "")


def test_it_says_why_only_on_its_output(project: AlembicProject, postgres_url: str) -> None:
    write(project, "upgrade.sh", "#!/bin/sh\necho no licence for you >&2\nexit 3\n")
    reason = unevaluated(project.root, database_url=postgres_url, command="./upgrade.sh {revision}")
    assert reason.code == "env-failed"
    assert "exit status 3 before the first migration; its last words: no licence for you" in reason.message


def test_a_missing_dependency(project: AlembicProject, postgres_url: str) -> None:
    write(project, "shop/__main__.py", "import acme_payments\n" + UPGRADE)
    reason = unevaluated(project.root, database_url=postgres_url, command=CLICK)
    assert reason.code == "missing-dependency"
    assert "acme_payments" in reason.message


def test_it_fails_in_a_migration(project: AlembicProject, postgres_url: str) -> None:
    project.revision("bbbb0001", "base0001", "raise RuntimeError('not today')")
    proof = refused(project.root, database_url=postgres_url, command=CLICK)
    assert proof.verdict == "broken"
    assert proof.conflicts[0].revisions == ("bbbb0001", "bbbb0001")
    assert proof.conflicts[0].error == "not today"
    assert proof.conflicts[0].location is not None
    assert proof.conflicts[0].location.path.endswith("bbbb0001_rev.py")


def test_the_error_is_swallowed(project: AlembicProject, postgres_url: str, tmp_path: Path) -> None:
    """By the program or by the shell around it. Exit code 0 is not success: the version table tells."""
    how = "try:\n        {call}\n    except Exception:\n        pass"
    (line,) = (line for line in UPGRADE.splitlines() if "command.upgrade" in line)
    write(project, "swallowing/__init__.py", "")
    write(project, "swallowing/__main__.py", UPGRADE.replace(line.strip(), how.format(call=line.strip())))
    ways = ("python -m swallowing db upgrade $1", "python -m shop db upgrade $1 || true")
    take_turns(project, tmp_path / "turns", ways)
    clash(project)
    proof = refused(project.root, database_url=postgres_url, command="./upgrade.sh {revision}")
    assert len(list((tmp_path / "turns").iterdir())) >= 4
    assert proof.verdict == "neither-order"
    assert 'column "email" of relation "accounts" already exists' in (proof.conflicts[0].error or "")


def test_it_leaves_without_a_word(project: AlembicProject, postgres_url: str) -> None:
    (line,) = (line for line in UPGRADE.splitlines() if "command.upgrade" in line)
    how = f"try:\n        {line.strip()}\n    except BaseException:\n        os._exit(0)"
    write(project, "shop/__main__.py", UPGRADE.replace(line.strip(), how))
    clash(project)
    proof = refused(project.root, database_url=postgres_url, command=CLICK)
    assert proof.verdict == "neither-order"
    assert "aaaa0001" in proof.conflicts[0].revisions
    assert "it hides the error" in (proof.conflicts[0].error or "")


def test_it_ignores_the_revision(project: AlembicProject, postgres_url: str) -> None:
    """A command that always goes to the heads applies what it should not yet."""
    reason = unevaluated(project.root, database_url=postgres_url, command="alembic upgrade heads")
    assert reason.code == "cannot-start-from-empty"
    assert "base0001 was expected" in reason.message


def test_it_upgrades_nothing(project: AlembicProject, postgres_url: str) -> None:
    reason = unevaluated(project.root, database_url=postgres_url, command="python -c pass")
    assert "ran no migration on the database" in reason.message


@pytest.mark.parametrize("command", ["nothing-of-this-name db upgrade", "./nothing.sh", "shop"])
def test_it_is_not_there(project: AlembicProject, postgres_url: str, command: str) -> None:
    reason = unevaluated(project.root, database_url=postgres_url, command=command)
    assert reason.code == "command-not-found"
    assert repr(command.split()[0]) in reason.message


@pytest.mark.parametrize(
    "command", ["python -I -m shop db upgrade {revision}", "python -sE -m shop db upgrade {revision}"]
)
def test_a_python_that_ignores_its_environment(
    project: AlembicProject, postgres_url: str, command: str
) -> None:
    reason = unevaluated(project.root, database_url=postgres_url, command=command)
    assert reason.code == "command-not-guarded"


@pytest.mark.parametrize("line", ["env -i {python} -B -m alembic upgrade $1", "true"])
def test_a_python_that_we_are_kept_out_of(project: AlembicProject, postgres_url: str, line: str) -> None:
    """It has no network, so its connection to production fails; were it to succeed, it would not count."""
    line = line.format(python=sys.executable)
    write(project, "upgrade.sh", f"#!/bin/sh\n{line} || true\n")
    reason = unevaluated(project.root, database_url=postgres_url, command="./upgrade.sh {revision}")
    assert reason.code == "command-not-guarded"


def test_another_dialect(project: AlembicProject) -> None:
    reason = unevaluated(project.root, database_url="sqlite://", command=CLICK)
    assert reason.code == "foreign-connection"
    assert "a postgresql database" in reason.message


HANGING = {
    "bash upgrade.sh {revision}": ("upgrade.sh", "python wait.py\necho\n", "wait.py:3"),
    "python captured.py": (
        "captured.py",
        "import subprocess\nsubprocess.run(['python', 'wait.py'], capture_output=True)\n",
        "wait.py:3",
    ),
}


@pytest.mark.parametrize("command", HANGING)
def test_it_hangs(project: AlembicProject, postgres_url: str, command: str) -> None:
    name, text, where = HANGING[command]
    write(project, "wait.py", "import time\ndef wait():\n    time.sleep(600)\nwait()\n")
    write(project, name, text)
    reason = unevaluated(project.root, database_url=postgres_url, command=command, timeout=3.0)
    assert reason.code == "worker-timeout"
    assert f"{where}: nothing happened for 3 seconds" in reason.message


def test_it_hangs_in_a_migration(project: AlembicProject, postgres_url: str) -> None:
    path = project.revision("base0001", None, "import time\ntime.sleep(600)")
    line = path.read_text().splitlines().index("    time.sleep(600)") + 1
    write(project, "migrate.py", CAPTURED)
    reason = unevaluated(
        project.root, database_url=postgres_url, command="python migrate.py {revision}", timeout=8.0
    )
    assert reason.code == "worker-timeout"
    where = f"base0001_rev.py:{line}: nothing happened for 8 seconds while revision base0001 ran"
    assert where in reason.message
