"""A real, small Alembic project in a folder, for tests that run it."""

from __future__ import annotations

import hashlib
import subprocess
import textwrap
from pathlib import Path

ENV_PY = """\
from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name)


def run_migrations_online():
    connectable = engine_from_config(
        config.get_section(config.config_ini_section, {}), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    with connectable.connect() as connection:
        context.configure(connection=connection, target_metadata=None)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    context.configure(url=config.get_main_option("sqlalchemy.url"))
    with context.begin_transaction():
        context.run_migrations()
else:
    run_migrations_online()
"""

INI = """\
[alembic]
script_location = %(here)s/migrations
path_separator = os
sqlalchemy.url = {url}

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = %(levelname)s %(message)s
"""

TEMPLATE = '''\
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

PLACEHOLDER_URL = "driver://user:pass@localhost/dbname"


class AlembicProject:
    """Writes revisions into a fresh project at `root`."""

    def __init__(self, root: Path, *, url: str = PLACEHOLDER_URL, env_py: str = ENV_PY) -> None:
        self.root = root
        self.versions = root / "migrations" / "versions"
        self.versions.mkdir(parents=True)
        self.ini = root / "alembic.ini"
        self.ini.write_text(INI.format(url=url.replace("%", "%%")))
        (root / "migrations" / "env.py").write_text(env_py)
        (root / "migrations" / "script.py.mako").write_text(TEMPLATE)
        self._count = 0

    def revision(
        self,
        name: str,
        parents: str | tuple[str, ...] | None,
        upgrade: str = "pass",
        downgrade: str = "pass",
        *,
        header: str = "",
        labels: str | tuple[str, ...] | None = None,
        depends_on: str | tuple[str, ...] | None = None,
    ) -> Path:
        """Write one revision; bodies are Python, the first line of each unindented like the others."""
        self._count += 1
        path = self.versions / f"{name}_rev.py"
        path.write_text(
            f'"""revision {name}\n\nRevision ID: {name}\nCreate Date: 2026-01-{self._count:02d} 10:00:00.000000\n\n"""\n'
            "from alembic import op\nimport sqlalchemy as sa\n"
            f"{header}\n"
            f"revision = {name!r}\ndown_revision = {parents!r}\n"
            f"branch_labels = {labels!r}\ndepends_on = {depends_on!r}\n\n\n"
            f"def upgrade():\n{textwrap.indent(textwrap.dedent(upgrade).strip(), '    ')}\n\n\n"
            f"def downgrade():\n{textwrap.indent(textwrap.dedent(downgrade).strip(), '    ')}\n"
        )
        return path

    def sql(
        self, name: str, parents: str | tuple[str, ...] | None, *statements: str, **kwargs: object
    ) -> Path:
        """Write one revision that runs these statements."""
        body = "\n".join(f"op.execute({statement!r})" for statement in statements) or "pass"
        return self.revision(name, parents, body, **kwargs)  # type: ignore[arg-type]

    def digest(self) -> dict[str, str]:
        """Every file below the project with its content's hash, to show that nothing changed."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and ".git/" not in str(path)
        }

    def git(self, *arguments: str) -> str:
        """Run git in the project's root."""
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str = "work") -> str:
        """Commit everything; make the repository first if there is none. Returns the commit's id."""
        if not (self.root / ".git").exists():
            self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def two_harmless_heads(project: AlembicProject) -> AlembicProject:
    """base -> a (table accounts gets a column), base -> b (another table)."""
    project.sql("base0001", None, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name VARCHAR(50))")
    project.sql("aaaa0001", "base0001", "ALTER TABLE accounts ADD COLUMN email VARCHAR(50)")
    project.sql("bbbb0001", "base0001", "CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    return project
