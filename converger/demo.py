"""A small Alembic project with three heads, converged for real in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from converger.inspection import inspect
from converger.outcome import Options, Progress
from converger.report.graph_text import graph_text
from converger.report.look import Look
from converger.report.outcome_text import outcome_text
from converger.report.selection import select
from converger.report.visible import one_line

_INI = """\
[alembic]
script_location = %(here)s/migrations
# On a server of your own this would be its address. For scratch databases only the dialect is used.
sqlalchemy.url = postgresql+psycopg://localhost/shop
"""

_ENV = """\
from alembic import context
from sqlalchemy import create_engine, pool


def run_migrations_offline():
    context.configure(url=context.config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online():
    engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
"""

_TEMPLATE = '''\
"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}

"""
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''

_REVISION = '''\
"""{message}

Revision ID: {id}
Revises: {revises}
Create Date: {date}

"""
from alembic import op
import sqlalchemy as sa

revision = {id!r}
down_revision = {parent!r}
branch_labels = None
depends_on = None


def upgrade():
{upgrade}

def downgrade():
{downgrade}'''

_BASE = "3b7e19c40d52"

# (id, parent, date, message, upgrade, downgrade)
_REVISIONS = (
    (
        _BASE,
        None,
        "2025-03-03 09:00:00",
        "create customers",
        """\
    customers = op.create_table(
        "customers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("email", sa.String(200), nullable=False),
    )
    op.bulk_insert(
        customers,
        [
            {"id": 1, "name": "Ada", "email": "Ada@Example.org"},
            {"id": 2, "name": "Grace", "email": "grace@example.org"},
        ],
    )
""",
        '    op.drop_table("customers")\n',
    ),
    (
        "5c20d8f1a6e3",
        _BASE,
        "2025-03-10 11:20:00",
        "add invoices",
        """\
    op.create_table(
        "invoices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("amount", sa.Numeric(10, 2), nullable=False),
    )
""",
        '    op.drop_table("invoices")\n',
    ),
    (
        "8e41f7b29a06",
        _BASE,
        "2025-03-11 15:45:00",
        "add a country to customers",
        """\
    op.add_column("customers", sa.Column("country", sa.String(2), nullable=False, server_default="XX"))
""",
        '    op.drop_column("customers", "country")\n',
    ),
    (
        "d916a3507c8b",
        _BASE,
        "2025-03-12 08:05:00",
        "write email addresses in lower case",
        '    op.execute("UPDATE customers SET email = lower(email)")\n',
        "    pass\n",
    ),
)


def write_project(folder: Path) -> None:
    """Write the project into an empty folder: configuration, env.py, template and four revisions."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / "alembic.ini").write_text(_INI)
    (folder / "migrations" / "env.py").write_text(_ENV)
    (folder / "migrations" / "script.py.mako").write_text(_TEMPLATE)
    for id, parent, date, message, upgrade, downgrade in _REVISIONS:
        text = _REVISION.format(
            id=id,
            parent=parent,
            revises=parent or "",
            date=date,
            message=message,
            upgrade=upgrade,
            downgrade=downgrade,
        )
        (versions / f"{id}_{message.replace(' ', '_')}.py").write_text(text)
    _commit_all(folder)


def run_demo(
    progress: Progress, emit: Callable[[list[str]], None], look: Look, *, keep: bool, verbose: bool
) -> int:
    """Show the graph, converge, show the graph again; the exit code is that of `converge`.

    Raises ConfigurationError as `converge` does. The folder is gone afterwards unless `keep`.
    """
    from converger.converge import converge

    began = time.monotonic()
    with _folder(keep) as folder:
        write_project(folder)
        # The demo's only dependency is Alembic, which our own interpreter has.
        options = Options(cwd=folder, python=sys.executable)
        emit(["Three pull requests, each with a migration on the same parent. All of them are merged:", ""])
        emit([*_indented(_graph(options, look)), ""])
        emit([f"{look.paint('bold', '$ alembic-converger converge')}"])
        outcome = converge(options, progress)
        emit([*_indented(outcome_text(outcome, look, verbose=verbose)), ""])
        emit([f"{look.paint('bold', '$ alembic-converger graph')}"])
        emit([*_indented(_graph(options, look)), ""])
        emit([f"Done in {time.monotonic() - began:.1f} s."])
        if keep:
            where = one_line(str(folder))
            emit([f"The project is in {where}", f"Look at it: cd {one_line(shlex.quote(str(folder)))}"])
    return outcome.exit_code


def _graph(options: Options, look: Look) -> list[str]:
    inspection = inspect(options)
    return graph_text(select(inspection.graph, inspection.lines), look)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" if line else "" for line in lines]


@contextlib.contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="alembic-converger-demo-")).resolve()
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _commit_all(folder: Path) -> None:
    """Make the folder a git repository with one commit, untouched by the user's own git settings."""
    if shutil.which("git") is None:
        return
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Demo",
        "GIT_AUTHOR_EMAIL": "demo@example.org",
        "GIT_COMMITTER_NAME": "Demo",
        "GIT_COMMITTER_EMAIL": "demo@example.org",
    }
    for arguments in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "Three pull requests"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)
