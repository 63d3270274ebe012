"""Real projects cut open again: what a developer had on disk with two heads in the history.

Either just before a merge revision that the maintainers wrote, or with one revision more: a small harmless
one beside the last revision, on the same parent, as another branch would have brought it. The project is
the package's own script folder, or a checkout: the package's whole folder, as in the maintainers'
repository, which then hides the installed one. env.py and script.py.mako are unedited unless a recipe says
otherwise.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .dumps import Dump, dumped
from .environments import environment, site_packages
from .packages import RealHistory, RealMerge, expected_histories, unpacked
from .reading import proper_ancestors, read_folders, revision_path

INI = """\
[alembic]
script_location = %(here)s/{folder}
path_separator = os
sqlalchemy.url = postgresql+psycopg://nobody@nowhere.invalid/replaced_by_the_proof
"""

# For a package whose env.py needs its application: the body of Alembic's generic template.
GENERIC_ENV = """\
from alembic import context
from sqlalchemy import engine_from_config, pool

connectable = engine_from_config(
    context.config.get_section(context.config.config_ini_section, {}),
    prefix="sqlalchemy.",
    poolclass=pool.NullPool,
)
with connectable.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""

SIBLING = "5eb1a9c0ffee"
SIBLING_TABLE = "converger_sibling"
SIBLING_FILE = """\
\"\"\"What another branch added.\"\"\"

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {parents!r}
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "{table}",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("note", sa.String(50), nullable=True),
    )


def downgrade():
    op.drop_table("{table}")
"""


@dataclass(frozen=True)
class Recipe:
    """How one package's history is cut open and run.

    `merge` is the maintainers' merge revision to be written anew; without it a sibling is put beside
    `beside`, which is the last revision unless said. `version` and `versions` (its versions folder) are
    those of tests/histories/expected.json unless said.

    No `requirements`: our own interpreter is enough; `overrides` are requirements that go before what
    other packages ask for, `alone` are installed without what they ask for. `checkout` names the top
    package of a project that is run as from the maintainers' repository; `leave_out` are its folders and
    files that no migration needs (glob patterns relative to it). `own_env` False replaces env.py.

    `dialect` is that of the proof, `name_server` says that a server of it has to be named because the
    configured URL is of another one. `config`, `env`, `options` are arguments of the command line, `files`
    is written into the project folder. In them, `{folder}` is that folder, `{bin}` the one of the
    interpreter, `{dump}` the file that `dump` makes. `quick` projects are run by `.ci/run`, the others by
    `pytest -m heavy`.
    """

    package: str
    merge: str | None = None
    beside: str | None = None
    version: str | None = None
    versions: str | None = None
    requirements: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    checkout: str | None = None
    leave_out: tuple[str, ...] = ()
    own_env: bool = True
    dialect: str = "postgresql"
    name_server: bool = False
    config: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    dump: Dump | None = None
    quick: bool = False
    label: str = ""

    def __str__(self) -> str:
        parts = (self.package, self.merge or self.beside or "last", self.dialect, self.label)
        return "-".join(part for part in parts if part and part != "postgresql")

    @property
    def history(self) -> RealHistory:
        """The package's facts: the one history that holds the merge, or the named versions folder."""
        (found,) = (
            h
            for h in expected_histories()
            if h.package == self.package
            and (self.merge is None or any(m.revision == self.merge for m in h.merges))
            and (self.versions is None or self.versions in h.versions_folders)
        )
        return found

    @property
    def real_merge(self) -> RealMerge | None:
        """What the maintainers merged; None where a sibling makes the second head."""
        if self.merge is None:
            return None
        (found,) = (m for m in self.history.merges if m.revision == self.merge)
        return found


@dataclass(frozen=True)
class CutOpen:
    """A project folder, the interpreter that runs it, and how it is run; `heads` are those to be merged."""

    folder: Path
    versions: tuple[Path, ...]
    python: Path
    heads: tuple[str, ...]
    env: Mapping[str, str]
    options: tuple[str, ...]


def cut_open(recipe: Recipe, folder: Path) -> CutOpen:
    """Build the project of `recipe` in the new folder `folder`, with several heads."""
    python = _interpreter(recipe)
    versions = _check_out(recipe, folder, python) if recipe.checkout else _copy_script_folder(recipe, folder)
    heads = _cut(recipe, versions)
    if not recipe.own_env:
        (versions[0].parent / "env.py").write_text(GENERIC_ENV)

    dump = str(dumped(recipe.dump)) if recipe.dump else ""

    def placed(text: str) -> str:
        text = text.replace("{folder}", str(folder)).replace("{bin}", str(python.parent))
        return text.replace("{dump}", dump)

    for name, text in recipe.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(placed(text))
    env = {name: placed(value) for name, value in recipe.env.items()}
    if recipe.checkout:
        env.setdefault("PYTHONPATH", str(folder))
    options = ["--alembic-config", recipe.config] if recipe.config else []
    for name, value in env.items():
        options += ["--env", f"{name}={value}"]
    options += [placed(text) for text in recipe.options]
    return CutOpen(folder, versions, python, heads, env, tuple(options))


def _copy_script_folder(recipe: Recipe, folder: Path) -> tuple[Path, ...]:
    """The package's script folder alone, with an alembic.ini beside it; gives its versions folders."""
    sources = [unpacked(recipe.history) / name for name in recipe.history.versions_folders]
    (source,) = {source.parent for source in sources}
    script = folder / source.name
    shutil.copytree(source, script)
    shipped = source.parent / "alembic.ini"
    if shipped.exists():
        shutil.copy(shipped, folder)
    else:
        (folder / "alembic.ini").write_text(INI.format(folder=script.name))
    return tuple(script / source.name for source in sources)


def _check_out(recipe: Recipe, folder: Path, python: Path) -> tuple[Path, ...]:
    """The package's whole folder as it is installed, as a checkout has it; gives its versions folders.

    Bytecode comes along: an interpreter that may write none would compile a large application each time.
    """
    assert recipe.checkout
    top = site_packages(python) / recipe.checkout
    left_out = {path for pattern in recipe.leave_out for path in top.glob(pattern)}

    def leave_out(parent: str, names: list[str]) -> set[str]:
        return {name for name in names if Path(parent, name) in left_out}

    shutil.copytree(top, folder / recipe.checkout, ignore=leave_out)
    names = (recipe.versions,) if recipe.versions else recipe.history.versions_folders
    return tuple(folder / name for name in names)


def _cut(recipe: Recipe, versions: tuple[Path, ...]) -> tuple[str, ...]:
    """Take revisions out of the folders `versions`, or put one in, so that a line of history has several heads.

    Of a line that is cut at a merge only what the merge builds on is left; lines with other bases stay. Gives
    the heads that are to be merged.
    """
    with tempfile.TemporaryDirectory() as scratch:
        graph = read_folders(Path(scratch), versions, recursive=recipe.history.recursive)
        if recipe.merge and recipe.real_merge:
            kept = proper_ancestors(graph, recipe.merge)
            line = graph.descendants([id for id in graph.bases if id in kept])
            for revision in line - kept:
                revision_path(graph, Path(scratch), revision).unlink()
            return recipe.real_merge.heads_before
    assert recipe.beside or len(graph.heads) == 1, graph.heads
    beside = recipe.beside or graph.heads[0]
    parents = graph.revisions[beside].down_revisions
    down = parents[0] if len(parents) == 1 else parents or None
    text = SIBLING_FILE.format(revision=SIBLING, parents=down, table=SIBLING_TABLE)
    (versions[0] / f"{SIBLING}_sibling.py").write_text(text)
    return tuple(sorted((beside, SIBLING)))


def _interpreter(recipe: Recipe) -> Path:
    """The interpreter of the recipe's own environment, or ours where it needs none."""
    if not recipe.requirements:
        return Path(sys.executable)
    name = f"{recipe.package}-{recipe.version or recipe.history.version}"
    return environment(name, recipe.requirements, overrides=recipe.overrides, alone=recipe.alone)
