"""README.md and docs/: what can be pasted is what is tested, every link leads somewhere, every page can be found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from converger import errors
from converger.github.outputs import output_names
from converger.github.settings import input_names, read_settings
from converger.proof.kinds import known_kinds
from tests.github.environment import RUNNER

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = ROOT / "examples" / "pull-request.yml"
CODES = {
    str(value) for name, value in vars(errors).items() if name.startswith("EXIT_") and type(value) is int
}


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def prose_of(page: Path) -> str:
    """The page without code, in which nothing is a link or a heading."""
    fenced = re.sub(r"^(```+).*?^\1$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(`+)[^`\n]+\1(?!`)", lambda found: re.sub(r"[\[\]()]", "", found[0]), fenced)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Relative links and pictures: the file, and the anchor in it."""
    for target in re.findall(r"\]\(([^()\s]+)\)", prose_of(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives to headings: lower case, hyphens for spaces, nothing but letters, digits, - and _."""
    headings = re.findall(r"^#+ +(.+?) *$", prose_of(page), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain)


def rows(page: Path, first: str) -> list[list[str]]:
    """The cells of the table whose first column is headed `first`."""
    match = re.search(rf"^\| {re.escape(first)} \|.*\n\| ---.*\n((?:\|.*\n)+)", text_of(page), re.MULTILINE)
    assert match, (page.name, first)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in match[1].splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        assert path.exists() and path.is_relative_to(ROOT), path
        if anchor:
            assert path.suffix == ".md" and anchor in anchors(path), f"{path.name}#{anchor}"


def test_every_page_and_example_is_linked_from_the_readme() -> None:
    linked = {path for path, _ in links(README)}
    assert not {*PAGES[1:], *(ROOT / "examples").glob("*.yml")} - linked - {EXAMPLE}


def test_pictures_say_what_is_in_them() -> None:
    pictures = [found for page in PAGES for found in re.findall(r"!\[(.*?)\]\((.*?)\)", prose_of(page))]
    assert {Path(path).name for _, path in pictures} >= {"comment-merged.png", "comment-refused.png"}
    assert all(len(words) > 20 for words, _ in pictures)


def test_the_workflow_to_paste_is_the_example_that_is_tested() -> None:
    (workflow,) = re.findall(r"^```yaml\n(.*?)^```$", text_of(README), re.MULTILINE | re.DOTALL)
    assert workflow == text_of(EXAMPLE)


def test_the_permissions_are_those_of_the_workflow() -> None:
    (job,) = yaml.safe_load(text_of(EXAMPLE))["jobs"].values()
    needed = {f"`{name}: {level}`" for name, level in job["permissions"].items()}
    assert {row[0] for row in rows(README, "permission")} == needed
    match = re.search(
        r"^    permissions:\n(?:      .*\n)+", text_of(ROOT / "docs" / "action.md"), re.MULTILINE
    )
    assert match and yaml.safe_load(match[0])["permissions"] == job["permissions"]


@pytest.mark.parametrize("name", ["README.md", "docs/action.md", "docs/command-line.md"])
def test_the_exit_codes_are_those_of_the_code(name: str) -> None:
    found = [row[0] for row in rows(ROOT / name, "exit code" if name == "README.md" else "code")]
    assert [code for code in found if "," not in code] == sorted(CODES) == ["0", "1", "2", "3"]


def test_inputs_that_the_readme_shows_can_be_given() -> None:
    shown = [word for row in rows(README, "your project") for word in re.findall(r"`([^`]+)`", row[1])]
    pairs = [word.partition(": ") for word in shown if re.match(r"[a-z-]+(: |$)", word) and word != "flask"]
    assert (
        {name for name, _, _ in pairs}
        == {*("env", "database-url-env", "flask-app", "command", "base-sql", "prepare", "database-url")}
        <= set(input_names())
    )
    given = {f"INPUT_{name.upper()}": value for name, _, value in pairs if value}
    inputs = read_settings({**RUNNER, **given}).inputs
    assert (inputs.command, inputs.base_sql) == ("superset db upgrade {revision}", "dump.sql")


def test_names_in_the_pages_about_the_action_exist() -> None:
    """`name: value` and steps.x.outputs.name in the prose."""
    known = {
        *input_names(),
        *output_names(),
        "contents",
        "pull-requests",
        "workflows",
        "types",
        "fetch-depth",
    }
    for page in (README, ROOT / "docs" / "action.md", ROOT / "docs" / "installing-projects.md"):
        for name in re.findall(r"`([a-z]+(?:-[a-z]+)*): [^`]+`", text_of(page)):
            assert name in known | {"fetch-tags"}, (page.name, name)


def test_the_number_of_kinds() -> None:
    for page in (README, ROOT / "CHANGELOG.md"):
        (said,) = re.findall(r"\b(\d+) (?:documented \[)?kinds\b", text_of(page))
        assert int(said) == len(known_kinds()), page.name


def test_the_commands_that_ci_takes_from_the_readme() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert r"\(pip install .*pytest.*\)" in ci
    lines = [line.strip() for line in text_of(README).splitlines()]
    assert [line for line in lines if re.fullmatch(r"pip install .*pytest.*", line)] == [
        "pip install -e '.[dev]' && pytest"
    ]
    assert "pip install '.[postgres]' && alembic-converger demo" in lines


def test_every_module_of_the_action_has_its_place_in_the_architecture() -> None:
    architecture = text_of(ROOT / "docs" / "architecture.md")
    modules = {path.name for path in (ROOT / "converger" / "github").glob("*.py")} - {"__init__.py"}
    assert not {name for name in modules if not re.search(rf"\b{re.escape(name)}", architecture)}
