"""Where the Alembic configuration, the script folder and the revisions are. Nothing is executed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from converger.errors import ConfigurationError
from converger.history.model import Problem
from converger.history.settings import Settings, read_settings

if TYPE_CHECKING:
    from converger.history.trees import Tree


_SECTIONS_NAMED = 5
"""Sections of an ini file that a message names."""


@dataclass(frozen=True)
class Project:
    """What the configuration says, with every path absolute.

    `root` is the git work tree that holds the configuration, else the current folder: paths in all
    output are relative to it. `cwd` is the folder from which `alembic` finds this script location
    when it is run by hand (the worker starts there). `problems` are findings about the configuration;
    `read_history` hands them on.
    """

    root: Path
    cwd: Path
    ini_path: Path | None
    toml_path: Path | None
    section: str
    script_location: Path
    version_locations: tuple[Path, ...]
    recursive_version_locations: bool
    sourceless: bool
    file_template: str
    truncate_slug_length: int
    output_encoding: str
    timezone: str | None
    sqlalchemy_url: str | None
    revision_environment: bool
    hooks: tuple[Mapping[str, str], ...]
    """Post-write hooks as Alembic's `Config.get_hooks_list()` gives them: `_hook_name`, `type`, `options`, …"""
    databases: tuple[str, ...] = ()
    """The ini sections of a project with several databases (Alembic's multidb template); () for one."""
    database_urls: tuple[str | None, ...] = ()
    """The `sqlalchemy.url` of each of these sections."""
    problems: tuple[Problem, ...] = ()


def load_project(tree: Tree, *, config: Path | None, section: str = "alembic", cwd: Path) -> Project:
    """Read the configuration from a tree, as Alembic 1.20 does from the folder `cwd`.

    `config` is an ini file or a pyproject.toml (relative to `cwd`); without it: `alembic.ini` and
    `pyproject.toml` with `[tool.alembic]`, then Flask-Migrate's `migrations/alembic.ini`. Raises
    ConfigurationError, saying where was looked, if there is no usable configuration or script folder.
    """
    cwd = Path(os.path.abspath(cwd))
    ini, toml = _files(tree, config, cwd)
    settings = read_settings(tree, ini, toml, section)
    location = settings.text("script_location")
    beside = os.path.dirname(str(ini or toml))
    hooks = settings.hooks()
    problems = list(settings.problems)
    if location is None:
        script_location, base = _flask_migrate(tree, ini, settings)
    else:
        script_location, base = _script_location(tree, location, settings, str(cwd), beside, problems)
    databases = settings.databases()
    versions = settings.version_locations()
    if versions:
        if location is not None and os.path.isabs(location) and base != beside:
            base = _base_of_versions(tree, versions, base, beside)
        version_locations = tuple(_located(tree, text, settings, base, beside) for text in versions)
    else:
        version_locations = (os.path.join(script_location, "versions"),)
    return Project(
        root=tree.root,
        cwd=Path(base),
        ini_path=ini,
        toml_path=toml,
        section=section,
        script_location=Path(script_location),
        version_locations=tuple(Path(path) for path in version_locations),
        recursive_version_locations=settings.flag("recursive_version_locations"),
        sourceless=settings.flag("sourceless"),
        file_template=settings.text("file_template") or "%(rev)s_%(slug)s",
        truncate_slug_length=settings.number("truncate_slug_length") or 40,
        output_encoding=settings.text("output_encoding") or "utf-8",
        timezone=settings.text("timezone"),
        sqlalchemy_url=_url(settings, databases),
        databases=databases,
        database_urls=tuple(settings.optional_text_of(name, "sqlalchemy.url") for name in databases),
        revision_environment=settings.loose_flag("revision_environment"),
        hooks=hooks,
        problems=tuple(problems),
    )


# -- which files ------------------------------------------------------------------------------------


def _files(tree: Tree, config: Path | None, cwd: Path) -> tuple[Path | None, Path | None]:
    """The ini and the toml file in use; at least one of them."""
    if config is None:
        ini = _if_file(tree, cwd / "alembic.ini")
        toml = _if_alembic_toml(tree, cwd / "pyproject.toml")
        if ini is None and toml is None:
            ini = _if_file(tree, cwd / "migrations" / "alembic.ini")
        if ini is None and toml is None:
            raise ConfigurationError(
                f"No Alembic configuration in {cwd}: there is neither alembic.ini, nor a pyproject.toml with "
                "[tool.alembic], nor migrations/alembic.ini.",
                code="no-configuration",
                hint=_other_configurations(tree, cwd),
            )
        return ini, toml
    given = Path(os.path.abspath(cwd / config))
    kind = tree.kind(str(given))
    if kind == "folder":
        raise ConfigurationError(
            f"The configuration {given} is a folder.",
            code="no-configuration",
            hint="name the file in it: alembic.ini or pyproject.toml",
        )
    if kind != "file":
        raise ConfigurationError(
            f"There is no configuration file {given}.", code="no-configuration", hint="check --alembic-config"
        )
    if given.name == "pyproject.toml":
        return _if_file(tree, given.parent / "alembic.ini"), given
    toml = _if_alembic_toml(tree, cwd / "pyproject.toml")
    return given, toml or _if_alembic_toml(tree, given.parent / "pyproject.toml")


def _other_configurations(tree: Tree, cwd: Path) -> str:
    """What to do where there is no configuration: mostly the command was run in another folder of a repository."""
    import shlex

    from converger.nearby import configurations_near

    found = [f"-c {shlex.quote(path)}" for path in configurations_near(tree, str(cwd))]
    if not found:
        return "run it in the project's folder, or pass --alembic-config PATH"
    return "pass " + (f"{', '.join(found[:-1])} or {found[-1]}" if len(found) > 1 else found[0])


def _if_file(tree: Tree, path: Path) -> Path | None:
    return path if tree.kind(str(path)) == "file" else None


def _if_alembic_toml(tree: Tree, path: Path) -> Path | None:
    from converger.history.settings import has_alembic_table

    return path if _if_file(tree, path) and has_alembic_table(tree, path) else None


# -- which folders ----------------------------------------------------------------------------------


def _flask_migrate(tree: Tree, ini: Path | None, settings: Settings) -> tuple[str, str]:
    """Flask-Migrate sets the script location itself: it is the folder that holds the ini file."""
    if ini is not None and settings.has_section():
        folder = str(ini.parent)
        if tree.kind(os.path.join(folder, "env.py")) == "file" or ini.parent.name == "migrations":
            return folder, _above_packages(tree, ini.parent.parent)
    raise ConfigurationError(
        f"No script_location in {settings.described()}.",
        code="no-script-location",
        hint=_other_sections(settings),
    )


def _above_packages(tree: Tree, folder: Path) -> str:
    """The folder, or where it is inside a Python package the one that holds that: `flask` is run there."""
    while (
        folder != tree.root
        and tree.kind(str(folder / "__init__.py")) == "file"
        and tree.inside(str(folder.parent))
    ):
        folder = folder.parent
    return str(folder)


def _other_sections(settings: Settings) -> str:
    names = settings.sections_with("script_location")[:_SECTIONS_NAMED]
    if not names:
        return "pass the right file with --alembic-config PATH, or the right section with --name SECTION"
    import shlex

    return f"pass the section: {' or '.join(f'--name {shlex.quote(name)}' for name in names)}"


def _script_location(
    tree: Tree, text: str, settings: Settings, cwd: str, beside: str, problems: list[Problem]
) -> tuple[str, str]:
    """The script folder, and the folder from which Alembic finds it."""
    if _is_resource(text):
        return _resource(tree, text, settings, cwd, beside), cwd
    here = os.path.normpath(os.path.join(cwd, text))
    there = os.path.normpath(os.path.join(beside, text))
    if tree.kind(here) == "folder":
        if here != there and tree.kind(there) == "folder":
            problems.append(
                Problem(
                    "ambiguous-script-location",
                    "warning",
                    f"script_location {text!r} exists in {cwd} and in {beside}; as Alembic does, the first is "
                    "taken. Run in the folder that you mean, or write %(here)s into the configuration.",
                )
            )
        return here, cwd
    if tree.kind(there) == "folder":
        return there, beside
    if "submodule" in (tree.kind(here), tree.kind(there)):
        raise ConfigurationError(
            f"The script_location {text!r} of {settings.described()} is in a submodule, and only the repository itself "
            "was read.",
            code="no-script-location",
            hint="run it in the submodule's own repository",
        )
    looked = here if here == there else f"{here} or {there}"
    raise ConfigurationError(
        f"The script_location {text!r} of {settings.described()} does not exist: there is no folder {looked}.",
        code="no-script-location",
        hint="run in the project's folder, or pass --alembic-config PATH",
    )


def _url(settings: Settings, databases: tuple[str, ...]) -> str | None:
    """The database that is configured; of several, the first."""
    if databases:
        return settings.optional_text_of(databases[0], "sqlalchemy.url")
    return settings.optional_text("sqlalchemy.url")


def _base_of_versions(tree: Tree, versions: Iterable[str], cwd: str, beside: str) -> str:
    """Relative version locations beside an absolute script location: from which folder do they exist?"""
    relative = [text for text in versions if not os.path.isabs(text) and not _is_resource(text)]
    for base in (cwd, beside):
        if any(tree.kind(os.path.join(base, text)) == "folder" for text in relative):
            return base
    return cwd


def _located(tree: Tree, text: str, settings: Settings, base: str, beside: str) -> str:
    if _is_resource(text):
        return _resource(tree, text, settings, base, beside)
    return os.path.normpath(os.path.join(base, text))


def _is_resource(text: str) -> bool:
    """`package:path`, by the rule of Alembic's `coerce_resource_to_filename`."""
    return ":" in text and not os.path.isabs(text)


def _resource(tree: Tree, text: str, settings: Settings, cwd: str, beside: str) -> str:
    """The folder that `package:path` means. The package is looked for by name, not imported."""
    package, *path = text.split(":")
    folders = _search_folders(settings, cwd, beside)
    for folder in _package_folders(tree, package.split("."), folders):
        found = os.path.normpath(os.path.join(folder, *(part.lstrip("/") for part in path)))
        if tree.kind(found) == "folder":
            return found
    looked = ", ".join(folders)
    raise ConfigurationError(
        f"The folder {text!r} of {settings.described()} was not found: no such package in {looked}.",
        code="no-script-location",
        hint="run in the project's folder, or install the package beside this tool",
    )


def _search_folders(settings: Settings, cwd: str, beside: str) -> list[str]:
    import sys

    folders = [os.path.join(cwd, text) for text in settings.prepend_sys_path()]
    folders += [cwd, beside, os.path.join(cwd, "src"), os.path.join(beside, "src")]
    folders += [path for path in sys.path if path]
    return list(dict.fromkeys(os.path.normpath(folder) for folder in folders))


def _package_folders(tree: Tree, parts: list[str], folders: Iterable[str]) -> Iterable[str]:
    """All folders that the package may be, as Python would meet them; `__init__.py` is not needed."""
    for folder in folders:
        path = os.path.join(folder, *parts)
        if tree.kind(path) == "folder":
            yield path
