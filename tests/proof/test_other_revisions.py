"""The project's code reads its revisions from another folder than we did, as an installed copy does."""

from __future__ import annotations

import shutil
from pathlib import Path

from converger.converge import converge
from converger.outcome import Options, Silent
from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads


def test_a_command_that_upgrades_an_installed_copy(tmp_path: Path) -> None:
    project = AlembicProject(tmp_path / "p")
    project.sql("base0001", None, "CREATE TABLE accounts (id INTEGER PRIMARY KEY)")
    installed = tmp_path / "installed"
    shutil.copytree(project.root, installed)
    ini = installed / "alembic.ini"
    ini.write_text(ini.read_text().replace("driver://", "sqlite:///app.db"))
    two_harmless_heads(project)

    outcome = converge(
        Options(
            cwd=project.root,
            database_url="sqlite://",
            command=f"python -m alembic -c {ini} upgrade {{revision}}",
        ),
        Silent(),
    )

    assert outcome.status == "unevaluated"
    assert outcome.reason is not None
    assert outcome.reason.code == "env-failed"
    assert "Can't locate revision identified by" in outcome.reason.message
    assert "installed copy" in str(outcome.reason.hint)


def test_a_command_that_keeps_the_error_to_itself(tmp_path: Path) -> None:
    """Flask-Migrate logs what Alembic says and exits, and privacyidea's env.py has silenced that logger."""
    project = two_harmless_heads(AlembicProject(tmp_path / "p"))
    (project.root / "upgrade.py").write_text(
        "import sys\nfrom alembic import command\nfrom alembic.config import Config\n"
        "config = Config('alembic.ini')\nconfig.set_main_option('sqlalchemy.url', 'sqlite:///app.db')\n"
        "try:\n    command.upgrade(config, 'nosuch' + sys.argv[1])\n"
        "except Exception:\n    sys.exit(1)\n"
    )

    outcome = converge(
        Options(cwd=project.root, database_url="sqlite://", command="python upgrade.py {revision}"), Silent()
    )

    assert outcome.reason is not None
    assert "Can't locate revision identified by 'nosuchbase0001'" in outcome.reason.message


def test_another_script_folder_beside_ours(tmp_path: Path) -> None:
    """A library with a history of its own is none of ours: the merge revision does not belong there."""
    project = two_harmless_heads(AlembicProject(tmp_path / "p"))
    library = AlembicProject(tmp_path / "library")
    library.sql("lib00001", None, "CREATE TABLE of_the_library (id INTEGER PRIMARY KEY)")
    (project.root / "migrations" / "env.py").write_text(
        "from alembic.config import Config\nfrom alembic.script import ScriptDirectory\n"
        f"other = ScriptDirectory.from_config(Config({str(library.ini)!r}))\n"
        "assert other.get_heads() == ['lib00001']\n" + ENV_PY
    )

    outcome = converge(Options(cwd=project.root, database_url="sqlite://"), Silent())

    assert outcome.status == "merged", outcome.reason or outcome.proof
