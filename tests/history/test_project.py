"""Configuration: what Alembic's own Config and ScriptDirectory make of the same files, and our discovery."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from converger.errors import ConfigurationError
from converger.history import GitTree, WorkingTree
from converger.project import Project, load_project


def _load(
    root: Path, config: str | None = None, section: str = "alembic", cwd: Path | None = None
) -> Project:
    return load_project(
        WorkingTree(root), config=Path(config) if config else None, section=section, cwd=cwd if cwd else root
    )


def _alembic(root: Path, section: str = "alembic") -> tuple[Config, ScriptDirectory]:
    """As the `alembic` command does in this folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = Config("alembic.ini", toml_file="pyproject.toml", ini_section=section)
        return config, ScriptDirectory.from_config(config)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with script folders `a`, `b c` and `d/e`, and the current folder for Alembic's sake."""
    for name in ("a/versions", "a/two", "b c/versions", "d/e/versions", "package/sub/migrations/versions"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("package", "package/sub"):
        (tmp_path / name / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "package"]:
        del sys.modules[name]
    sys.path_importer_cache.pop(".", None)  # Python remembers what "." was


INIS = {
    "plain": "script_location = a\n",
    "here": "script_location = %(here)s/a\n",
    "spaced": "script_location = b c\n",
    "package": "script_location = package.sub:migrations\nprepend_sys_path = .\n",
    "package, two parts": "script_location = package:sub:migrations\nprepend_sys_path = .\n",
    "other option": "folder = a\nscript_location = %(folder)s\n",
    "os": "script_location = a\npath_separator = os\nversion_locations = %(here)s/a/versions:d/e/versions\n",
    "colon": "script_location = a\npath_separator = :\nversion_locations = a/versions : d/e/versions\n",
    "semicolon": "script_location = a\npath_separator = ;\nversion_locations = a/versions;b c/versions\n",
    "space": "script_location = a\npath_separator = space\nversion_locations = a/versions  d/e/versions\n",
    "newline": "script_location = a\npath_separator = newline\nversion_locations =\n    a/versions\n    b c/versions\n",
    "old option": "script_location = a\nversion_path_separator = os\nversion_locations = a/versions:d/e/versions\n",
    "legacy": "script_location = a\nversion_locations = a/versions, d/e/versions a/two\n",
    "both separators": (
        "script_location = a\npath_separator = ;\nversion_path_separator = :\nversion_locations = a/versions;a/two\n"
    ),
    "package versions": (
        "script_location = a\nprepend_sys_path = .\npath_separator = ;\nversion_locations = package.sub:migrations/versions\n"
    ),
    "missing location": "script_location = a\npath_separator = os\nversion_locations = a/versions:nowhere\n",
    "flags": "script_location = a\nrecursive_version_locations = true\nsourceless = true\nrevision_environment = true\n",
    "other words": "script_location = a\nrecursive_version_locations = True\nsourceless = 1\nrevision_environment = yes\n",
    "names": (
        "script_location = a\nfile_template = %%(year)d/%%(rev)s\ntruncate_slug_length = 10\n"
        "output_encoding = latin-1\ntimezone = UTC\nsqlalchemy.url = sqlite:///%(here)s/x.db\n"
    ),
    "zero": "script_location = a\ntruncate_slug_length = 0\n",
    "hooks": (
        "script_location = a\n[post_write_hooks]\nhooks = one, two\none.type = exec\none.executable = %(here)s/x\n"
        "one.options = -q REVISION_SCRIPT_FILENAME\ntwo.type=console_scripts\n"
    ),
    "unrelated percent": "script_location = a\n[formatter_generic]\nformat = %(levelname)-5.5s %(nothing)s\n",
    "crlf": "script_location = a\r\nversion_locations = a/versions\r\npath_separator = os\r\n",
}


def _compare(project: Project, config: Config, scripts: ScriptDirectory) -> None:
    assert project.script_location == Path(os.path.abspath(scripts.dir))
    assert project.version_locations == tuple(
        Path(os.path.normpath(path)) for path in scripts._version_locations
    )
    assert project.recursive_version_locations == scripts.recursive_version_locations
    assert project.sourceless == scripts.sourceless
    assert project.file_template == scripts.file_template
    assert project.truncate_slug_length == scripts.truncate_slug_length
    assert project.output_encoding == scripts.output_encoding
    assert project.timezone == scripts.timezone
    assert [dict(hook) for hook in project.hooks] == [dict(hook) for hook in scripts.hooks]
    assert project.sqlalchemy_url == config.get_alembic_option("sqlalchemy.url")
    from sqlalchemy.util import asbool

    assert project.revision_environment == bool(asbool(config.get_alembic_option("revision_environment")))


@pytest.mark.parametrize("name", INIS)
def test_an_ini_file_is_read_as_alembic_reads_it(root: Path, name: str) -> None:
    (root / "alembic.ini").write_bytes(b"[alembic]\n" + INIS[name].encode())
    project = _load(root)
    _compare(project, *_alembic(root))
    assert (project.root, project.cwd, project.ini_path, project.toml_path) == (
        root,
        root,
        root / "alembic.ini",
        None,
    )
    assert project.problems == ()


TOMLS = {
    "plain": 'script_location = "a"\n',
    "here": 'script_location = "%(here)s/a"\nversion_locations = ["%(here)s/a/versions", "d/e/versions"]\n',
    "flags": 'script_location = "a"\nrecursive_version_locations = true\nsourceless = true\ntruncate_slug_length = 9\n',
    "names": 'script_location = "a"\nfile_template = "%%(rev)s"\noutput_encoding = "latin-1"\ntimezone = "UTC"\n',
    "package": 'script_location = "package.sub:migrations"\nprepend_sys_path = ["."]\n',
    "hooks": 'script_location = "a"\n[[tool.alembic.post_write_hooks]]\nname = "x"\ntype = "exec"\nexecutable = "%(here)s/y"\n',
}


@pytest.mark.parametrize(
    "ini", ["", "[alembic]\n", "[alembic]\nscript_location = d/e\ntimezone = CET\n", "[other]\nx = 1\n"]
)
@pytest.mark.parametrize("name", TOMLS)
def test_pyproject_is_read_as_alembic_reads_it(root: Path, name: str, ini: str) -> None:
    (root / "pyproject.toml").write_text(f"[tool.alembic]\n{TOMLS[name]}")
    if ini:
        (root / "alembic.ini").write_text(ini)
    project = _load(root)
    _compare(project, *_alembic(root))
    assert project.toml_path == root / "pyproject.toml"
    assert project.ini_path == (root / "alembic.ini" if ini else None)


def test_another_section(root: Path) -> None:
    (root / "alembic.ini").write_text("[alembic]\nscript_location = a\n[second]\nscript_location = d/e\n")
    project = _load(root, section="second")
    _compare(project, *_alembic(root, "second"))
    with pytest.raises(ConfigurationError, match=r"\[third\]") as raised:
        _load(root, section="third")
    assert raised.value.exit_code == 2 and "--name" in (raised.value.hint or "")


@pytest.mark.parametrize(
    "line", ["version_path_separator = os  # Use os.pathsep.", "path_separator = os ; comment"]
)
def test_a_comment_behind_the_separator(root: Path, line: str) -> None:
    """Templates of older Alembic versions have just that line; Alembic 1.20 refuses it once locations are set."""
    (root / "alembic.ini").write_text(
        f"[alembic]\nscript_location = a\nversion_locations = a/versions:a/two\n{line}\n"
    )
    assert _load(root).version_locations == (root / "a/versions", root / "a/two")


@pytest.mark.parametrize("text", ["%(nothing)s/x", "postgresql://u:p%40ss@h/d", "sqlite:///%(here"])
def test_a_url_that_cannot_be_interpolated_is_none(root: Path, text: str) -> None:
    (root / "alembic.ini").write_text(f"[alembic]\nscript_location = a\nsqlalchemy.url = {text}\n")
    project = _load(root)
    assert project.sqlalchemy_url is None and project.problems == ()


def test_hooks_that_cannot_be_read_are_a_warning(root: Path) -> None:
    (root / "alembic.ini").write_text(
        "[alembic]\nscript_location = a\n[post_write_hooks]\nhooks = x\nx.options = %(nothing)s\n"
    )
    project = _load(root)
    assert project.hooks == () and [problem.code for problem in project.problems] == ["unreadable-option"]


# -- discovery --------------------------------------------------------------------------------------


def _flask_migrate(folder: Path) -> None:
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text("raise SystemExit('never run')\n")
    (folder / "alembic.ini").write_text(
        "[alembic]\n# template used to generate migration files\n[loggers]\nkeys = root\n"
    )


def test_flask_migrate_is_found(root: Path) -> None:
    _flask_migrate(root / "migrations")
    project = _load(root)
    assert project.script_location == root / "migrations" and project.cwd == root
    assert project.version_locations == (root / "migrations" / "versions",)


def test_flask_migrate_in_another_folder(root: Path) -> None:
    _flask_migrate(root / "app" / "db")
    project = _load(root, config="app/db/alembic.ini")
    assert project.script_location == root / "app" / "db" and project.cwd == root / "app"


def test_flask_migrate_in_a_package_is_run_from_the_folder_that_holds_it(root: Path) -> None:
    """superset/migrations, flexmeasures/data/migrations: in between, the package has another name."""
    _flask_migrate(root / "backend" / "shop" / "data" / "migrations")
    for package in (root / "backend" / "shop", root / "backend" / "shop" / "data"):
        (package / "__init__.py").touch()
    assert _load(root, config="backend/shop/data/migrations/alembic.ini").cwd == root / "backend"
    (root / "backend" / "__init__.py").touch()
    (root / "__init__.py").touch()
    (root.parent / "__init__.py").touch()
    assert _load(root, config="backend/shop/data/migrations/alembic.ini").cwd == root


def test_flask_migrate_without_the_section_that_was_asked_for(root: Path) -> None:
    _flask_migrate(root / "migrations")
    with pytest.raises(ConfigurationError, match=r"\[second\]"):
        _load(root, section="second")


def test_alembic_ini_comes_before_flask_migrate(root: Path) -> None:
    _flask_migrate(root / "migrations")
    (root / "alembic.ini").write_text("[alembic]\nscript_location = a\n")
    assert _load(root).script_location == root / "a"


def test_a_pyproject_without_alembic_does_not_count(root: Path) -> None:
    (root / "pyproject.toml").write_text('[project]\ndependencies = ["alembic"]\n')
    _flask_migrate(root / "migrations")
    project = _load(root)
    assert project.toml_path is None and project.script_location == root / "migrations"


def test_a_configuration_in_a_subfolder(root: Path) -> None:
    (root / "d" / "alembic.ini").write_text(
        "[alembic]\nscript_location = e\nversion_locations = e/versions\n"
    )
    project = _load(root, config="d/alembic.ini")
    assert (project.script_location, project.cwd) == (root / "d/e", root / "d")
    assert project.version_locations == (root / "d/e/versions",) and project.problems == ()


def test_a_script_location_that_exists_twice(root: Path) -> None:
    (root / "d" / "a").mkdir()
    (root / "d" / "alembic.ini").write_text("[alembic]\nscript_location = a\n")
    project = _load(root, config="d/alembic.ini")
    assert (project.script_location, project.cwd) == (root / "a", root)  # Alembic's choice
    [problem] = project.problems
    assert (problem.code, problem.severity) == ("ambiguous-script-location", "warning")
    from converger.history import read_history

    assert problem in read_history(WorkingTree(root), project).problems


def test_absolute_scripts_with_relative_versions(root: Path) -> None:
    (root / "d" / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/e\nversion_locations = e/versions\n"
    )
    project = _load(root, config="d/alembic.ini")
    assert project.version_locations == (root / "d/e/versions",) and project.cwd == root / "d"


def test_a_given_pyproject_with_an_ini_beside_it(root: Path) -> None:
    (root / "d" / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "e"\ntimezone = "UTC"\n')
    (root / "d" / "alembic.ini").write_text("[alembic]\ntimezone = CET\n")
    project = _load(root, config="d/pyproject.toml")
    assert project.script_location == root / "d/e" and project.timezone == "CET"
    assert (project.ini_path, project.toml_path) == (root / "d/alembic.ini", root / "d/pyproject.toml")


def test_a_package_is_found_without_importing_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("src/lonely", "lib/lonely_too"):
        (root / name / "migrations").mkdir(parents=True)
        (root / name / "__init__.py").write_text("raise SystemExit('imported')\n")
    (root / "alembic.ini").write_text("[alembic]\nscript_location = lonely:migrations\n")
    assert _load(root).script_location == root / "src/lonely/migrations"
    (root / "alembic.ini").write_text(
        "[alembic]\nscript_location = lonely_too:migrations\nprepend_sys_path = lib\n"
    )
    assert _load(root).script_location == root / "lib/lonely_too/migrations"
    (root / "alembic.ini").write_text("[alembic]\nscript_location = lonely_too:migrations\n")
    with pytest.raises(ConfigurationError, match="lonely_too:migrations"):
        _load(root)
    monkeypatch.syspath_prepend(root / "lib")
    assert _load(root).script_location == root / "lib/lonely_too/migrations"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "neither alembic.ini"),
        ({"alembic.ini": "[alembic]\nscript_location = nowhere\n"}, "nowhere"),
        ({"alembic.ini": "[alembic]\n"}, "No script_location"),
        ({"alembic.ini": "script_location = a\n"}, "no valid ini file"),
        ({"alembic.ini": "[alembic]\nscript_location = a\nscript_location = b\n"}, "already exists"),
        ({"alembic.ini": "[alembic]\nscript_location = %(nothing)s\n"}, "nothing"),
        ({"alembic.ini": "[alembic]\nscript_location = a\ntruncate_slug_length = x\n"}, "not a number"),
        (
            {"alembic.ini": "[alembic]\nscript_location = a\npath_separator = x\nversion_locations = y\n"},
            "none of",
        ),
        ({"pyproject.toml": "[tool.alembic\n"}, "no valid TOML"),
        ({"pyproject.toml": "[tool]\nalembic = 1\n"}, "no table"),
        ({"pyproject.toml": "[tool.alembic]\nscript_location = ['a']\n"}, "not a text"),
        (
            {"pyproject.toml": "[tool.alembic]\nscript_location = 'a'\nversion_locations = 'a'\n"},
            "list of texts",
        ),
        ({"pyproject.toml": "[tool.alembic]\nscript_location = '%(x)s'\n"}, "interpolated"),
        ({"pyproject.toml": "[tool.alembic]\nscript_location = 'a'\nsourceless = 'yes'\n"}, "boolean"),
    ],
)
def test_what_cannot_be_used_is_said(root: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (root / name).write_text(text)
    with pytest.raises(ConfigurationError, match=said) as raised:
        _load(root)
    assert raised.value.exit_code == 2
    assert str(root) in raised.value.message  # where was looked


@pytest.mark.parametrize(
    "files",
    [
        {"alembic.ini": "[alembic]\nscript_location = a\npath_separator = x\nversion_locations = y\n"},
        {"alembic.ini": "no ini file"},
        {"pyproject.toml": "[tool.alembic\n"},
        {"pyproject.toml": "[tool]\nalembic = 1\n"},
        {"alembic.ini": "[alembic]\nscript_location = nowhere\n"},
        {},
    ],
)
def test_what_to_do_is_said_too(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        _load(root)
    assert raised.value.hint


def test_a_missing_given_file(root: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nope\.ini"):
        _load(root, config="nope.ini")


def test_a_folder_is_no_configuration_file(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder") as raised:
        _load(root, config="a")
    assert raised.value.hint is not None and "alembic.ini" in raised.value.hint


def test_the_sections_that_there_are_are_named(root: Path) -> None:
    (root / "alembic.ini").write_text(
        "[DEFAULT]\nprepend_sys_path = .\n[one]\nscript_location = a\n[loggers]\nkeys = root\n"
        "[two]\nscript_location = %(here)s/d/e\n"
    )
    for section in ("alembic", "three"):
        with pytest.raises(ConfigurationError, match=rf"\[{section}\]") as raised:
            _load(root, section=section)
        assert raised.value.hint is not None
        assert "--name one" in raised.value.hint and "--name two" in raised.value.hint
        assert "loggers" not in raised.value.hint


def test_configurations_elsewhere_in_the_repository_are_named(root: Path) -> None:
    """A monorepo: run at its root, or in a folder of the project that is not its first."""
    for name in ("a/alembic.ini", "package/migrations/alembic.ini", "d/.venv/lib/alembic.ini"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("[alembic]\nscript_location = %(here)s\n")
    (root / "d" / "pyproject.toml").write_text("[tool.alembic]\nscript_location = 'e'\n")
    (root / "b c" / "pyproject.toml").write_text("[project]\nname = 'b'\n")
    with pytest.raises(ConfigurationError, match="No Alembic configuration") as raised:
        _load(root)
    assert raised.value.hint == (
        "pass -c a/alembic.ini, -c d/pyproject.toml or -c package/migrations/alembic.ini"
    )
    with pytest.raises(ConfigurationError, match="No Alembic configuration") as raised:
        _load(root, cwd=root / "a" / "versions")
    assert raised.value.hint == "pass -c ../alembic.ini"


def test_the_same_configuration_from_a_commit(root: Path) -> None:
    from tests.history.gits import commit_all, git

    (root / "alembic.ini").write_text("[alembic]\n" + INIS["os"])
    (root / "a" / "versions" / "x.py").write_text("revision = 'x'\ndown_revision = None\n")
    (root / "d" / "e" / "versions" / "y.py").write_text("revision = 'y'\ndown_revision = 'x'\n")
    git(root, "init", "-q")
    commit = commit_all(root)
    (root / "alembic.ini").unlink()
    project: Any = load_project(GitTree(root, commit), config=None, cwd=root)
    assert project.version_locations == (root / "a/versions", root / "d/e/versions")
