"""Project's code that looks at the command line, or at the program that runs it, sees what it would see."""

from __future__ import annotations

from pathlib import Path

from converger.converge import converge
from converger.outcome import Options, Silent
from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads


def test_env_py_sees_the_command_line_that_alembic_has(tmp_path: Path) -> None:
    """argparse in a settings module; strawberry, which asks whether a module's file is the program's."""
    project = two_harmless_heads(AlembicProject(tmp_path / "p"))
    (project.root / "migrations" / "env.py").write_text(
        "import argparse, os, sys\nfrom pathlib import Path\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('-c')\nparser.add_argument('command', choices=['upgrade'])\n"
        "parser.add_argument('target')\n"
        "given = parser.parse_args()\n"
        "from alembic import context\n"
        "assert given.target == context.get_revision_argument(), given\n"
        "assert Path(given.c).samefile(context.config.config_file_name)\n"
        "assert Path(sys.argv[0]).name == 'alembic'\n"
        "assert not Path(sys.modules['__main__'].__file__).samefile(os.__file__)\n" + ENV_PY
    )

    outcome = converge(Options(cwd=project.root, database_url="sqlite://"), Silent())

    assert outcome.status == "merged", outcome.reason or outcome.proof
    assert outcome.proof is not None
    assert outcome.proof.verdict == "commute"
