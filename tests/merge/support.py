"""A project with two or three heads and a template of one's choice, planned and rendered by the real parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from converger.history import Graph, History, Revision, WorkingTree, read_history
from converger.hooks import run_hooks
from converger.mergefile import RenderedMerges, render_merges
from converger.plan import LinePlan, Strategy, make_plan
from converger.project import Project
from tests.alembic_project import AlembicProject

TEMPLATES = Path(__file__).parent / "templates"


def graph_of(*revisions: Revision) -> Graph:
    return Graph(History({revision.id: revision for revision in revisions}))


def rev(id: str, *parents: str, **kwargs: object) -> Revision:
    return Revision(id=id, down_revisions=parents, **kwargs)  # type: ignore[arg-type]


def project_at(root: Path, **settings: object) -> Project:
    """The Project of an AlembicProject, spelled out, so that a test can change one setting."""
    migrations = root / "migrations"
    project = Project(
        root=root,
        cwd=root,
        ini_path=root / "alembic.ini",
        toml_path=None,
        section="alembic",
        script_location=migrations,
        version_locations=(migrations / "versions",),
        recursive_version_locations=False,
        sourceless=False,
        file_template="%(rev)s_%(slug)s",
        truncate_slug_length=40,
        output_encoding="utf-8",
        timezone=None,
        sqlalchemy_url=None,
        revision_environment=False,
        hooks=(),
    )
    return replace(project, **settings)  # type: ignore[arg-type]


class Case:
    """A history `root <- aaaa, bbbb, …` on disk. `template` is the name of a file in tests/merge/templates."""

    def __init__(
        self, root: Path, *, template: str | None = None, heads: Iterable[str] = ("aaaa", "bbbb")
    ) -> None:
        root.mkdir(exist_ok=True)
        self.files = AlembicProject(root)
        self.heads = tuple(heads)
        self.files.revision("root", None)
        for head in self.heads:
            self.files.revision(head, "root")
        if template:
            self.template.write_bytes((TEMPLATES / template).read_bytes())
        self.project = project_at(root)

    @property
    def template(self) -> Path:
        return self.files.root / "migrations" / "script.py.mako"

    def settings(self, **settings: object) -> Case:
        self.project = replace(self.project, **settings)  # type: ignore[arg-type]
        return self

    def graph(self) -> Graph:
        history = read_history(WorkingTree(self.project.root), self.project)
        assert not history.problems, history.problems
        return Graph(history)

    def plans(self, strategy: Strategy = "pairwise") -> tuple[LinePlan, ...]:
        return make_plan(self.graph(), strategy=strategy)

    def render(self, *, strategy: Strategy = "pairwise", python: str | None = None) -> RenderedMerges:
        rendered = render_merges(self.project, self.graph(), self.plans(strategy))
        return rendered if python is None else run_hooks(self.project, rendered, python)

    def alembic_heads(self) -> tuple[str, ...]:
        """What real Alembic says: it imports every revision, the merges too."""
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config(str(self.files.ini))
        config.set_main_option("version_locations", ":".join(map(str, self.project.version_locations)))
        config.set_main_option("path_separator", ":")
        if self.project.recursive_version_locations:
            config.set_main_option("recursive_version_locations", "true")
        script = ScriptDirectory.from_config(config)
        list(script.walk_revisions())
        return tuple(sorted(script.get_heads()))
