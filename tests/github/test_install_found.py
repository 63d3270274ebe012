"""What says what a project depends on, and which Python it asks for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converger.errors import ConfigurationError
from converger.github.dependencies import find_dependencies, poetry_groups, poetry_python, wanted_python

BUILD = '[build-system]\nrequires = ["hatchling"]\n'
PROJECT = '[project]\nname = "shop"\n'


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def found(root: Path, folder: str = ".") -> tuple[str, str, bool] | None:
    it = find_dependencies(root, root / folder)
    return it and (it.kind, str(it.path.relative_to(root.resolve())), it.package)


def test_the_order_in_one_folder(tmp_path: Path) -> None:
    names = ["uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "requirements.txt"]
    kinds = ["uv", "poetry", "pdm", "pipenv", "pylock", "requirements"]
    tree(tmp_path, **dict.fromkeys(names, ""), **{"pyproject.toml": PROJECT})
    for name, kind in zip(names, kinds, strict=True):
        assert found(tmp_path) == (kind, name, False)
        (tmp_path / name).unlink()
    assert found(tmp_path) == ("project-table", "pyproject.toml", False)
    tree(tmp_path, **{"pyproject.toml": "[tool.ruff]\n"})
    assert found(tmp_path) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": PROJECT + BUILD}, ("editable", "pyproject.toml", True)),
        ({"pyproject.toml": PROJECT + BUILD + "[tool.uv]\npackage = false\n"}, ("project-table", "pyproject.toml", False)),
        ({"setup.py": ""}, ("setup", "setup.py", True)),
        ({"setup.py": "", "pyproject.toml": "[tool.black]\n"}, ("editable", "pyproject.toml", True)),
        ({"setup.cfg": "[metadata]\nname = shop\n"}, ("setup", "setup.cfg", True)),
        ({"setup.cfg": "[flake8]\n"}, None),
        ({"uv.lock": "", "pyproject.toml": PROJECT + BUILD}, ("uv", "uv.lock", True)),
        ({"requirements/prod.txt": "", "requirements/dev.txt": ""}, ("requirements", "requirements/prod.txt", False)),
        ({"requirements-base.txt": "", "requirements-dev.txt": ""}, ("requirements", "requirements-base.txt", False)),
        ({"requirements-ci.txt": ""}, ("requirements", "requirements-ci.txt", False)),
        ({"pyproject.toml": "not = = toml"}, None),
    ],
)  # fmt: skip
def test_other_ways(tmp_path: Path, files: dict[str, str], expected: object) -> None:
    assert found(tree(tmp_path, **files)) == expected


def test_which_requirements_is_not_guessed(tmp_path: Path) -> None:
    tree(tmp_path, **{"requirements-ci.txt": "", "requirements-docs.txt": ""})
    with pytest.raises(ConfigurationError, match=r"requirements-ci\.txt, requirements-docs\.txt") as raised:
        find_dependencies(tmp_path, tmp_path)
    assert raised.value.code == "ambiguous-requirements" and raised.value.exit_code == 2


def test_the_nearest_folder_counts_and_nothing_outside_the_repository(tmp_path: Path) -> None:
    tree(tmp_path, **{"uv.lock": ""})
    root = tree(tmp_path / "repository", **{"services/api/db/env.py": ""})
    assert found(root, "services/api/db") is None, "a lock outside of the repository is another project's"
    tree(root, **{"poetry.lock": "", "pyproject.toml": PROJECT + BUILD})
    assert found(root, "services/api/db") == ("poetry", "poetry.lock", True)
    tree(root, **{"services/api/requirements.txt": ""})
    assert found(root, "services/api/db") == ("requirements", "services/api/requirements.txt", False)


def test_a_member_of_a_workspace_has_its_lock_above(tmp_path: Path) -> None:
    tree(
        tmp_path, **{"services/api/pyproject.toml": PROJECT + BUILD, "uv.lock": "", "pyproject.toml": PROJECT}
    )
    assert found(tmp_path, "services/api") == ("editable", "services/api/pyproject.toml", True)
    tree(tmp_path, **{"pyproject.toml": PROJECT + '[tool.uv.workspace]\nmembers = ["services/*"]\n'})
    it = find_dependencies(tmp_path, tmp_path / "services" / "api")
    assert it is not None and it.kind == "uv" and it.path.parent == tmp_path.resolve()
    assert it.root == (tmp_path / "services" / "api").resolve(), (
        "uv installs the member whose folder it is run in"
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({".python-version": "# mine\n3.11.4\n"}, ("3.11.4", ".python-version")),
        ({".python-version": "shop-env\n", "pyproject.toml": '[project]\nrequires-python = ">= 3.9, <3.13"\n'}, (">=3.9,<3.13", "pyproject.toml")),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\n'}, (">=3.9,<4", "pyproject.toml")),
        ({"Pipfile.lock": '{"_meta": {"requires": {"python_version": "3.11"}}}'}, ("3.11", "Pipfile.lock")),
        ({"Pipfile.lock": "[]"}, None),
        ({"pyproject.toml": '[project]\nrequires-python = "--index-url=x"\n'}, None),
        ({"pyproject.toml": "[project]\nrequires-python = 3\n"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_python_that_is_asked_for(tmp_path: Path, files: dict[str, str], expected: object) -> None:
    tree(tmp_path, **files)
    (tmp_path / "db").mkdir()
    assert wanted_python(tmp_path, tmp_path / "db") == expected


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("^3.9", ">=3.9,<4"),
        ("^3.9.2", ">=3.9.2,<4"),
        ("~3.11", ">=3.11,<3.12"),
        ("~3.11.2", ">=3.11.2,<3.12"),
        (">=3.8,<3.12", ">=3.8,<3.12"),
        (">=3.8, !=3.9.7, ^3.8", ">=3.8,!=3.9.7,>=3.8,<4"),
        ("3.11", "==3.11.*"),
        ("^3", ">=3.0,<4"),
        ("*", None),
        ("^3.9 || ^2.7", None),
        ("-x", None),
    ],
)
def test_poetrys_constraints(constraint: str, specifier: str | None) -> None:
    assert poetry_python(constraint) == specifier


def test_what_is_no_file_is_no_answer(tmp_path: Path) -> None:
    """A link to a pipe would be waited for, nested brackets are no JSON that Python reads."""
    repository = tmp_path / "repository"
    repository.mkdir()
    os.mkfifo(tmp_path / "pipe")
    (repository / "pyproject.toml").symlink_to(tmp_path / "pipe")
    (repository / "setup.cfg").symlink_to("/dev/zero")
    (repository / ".python-version").symlink_to(repository)
    (repository / "Pipfile.lock").write_text("[" * 100_000)
    assert wanted_python(repository, repository) is None
    found = find_dependencies(repository, repository)
    assert found is not None and (found.kind, found.package) == ("pipenv", False)


def test_poetrys_groups(tmp_path: Path) -> None:
    text = """
[dependency-groups]
lint = ["ruff"]
[tool.poetry.group.dev.dependencies]
pytest = "*"
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
sphinx = "*"
"""
    tree(tmp_path, **{"pyproject.toml": text})
    assert poetry_groups(tmp_path) == ("dev", "lint")
