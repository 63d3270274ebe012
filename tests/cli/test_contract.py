"""docs/command-line.md says what --help says: every option, every exit code, every key."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from converger.cli import main
from tests.cli.running import REPOSITORY
from tests.report.test_json import HISTORY, OUTCOME

DOCUMENT = (REPOSITORY / "docs" / "command-line.md").read_text(encoding="utf-8")
SHARED = {"-c", "--alembic-config", "-n", "--name", "--format", "-v", "--verbose", "-h", "--help"}


def section(title: str) -> str:
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert match, title
    return match[1]


def options_in(text: str) -> set[str]:
    """The options in the first cells of a section's tables."""
    cells = re.findall(r"^\| (`-[^|]*(?:\\\|[^|]*)*)\|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"(?<![\w-])--?[a-z][\w-]*", cell)}


def options_of(command: click.Command) -> set[str]:
    context = click.Context(command, info_name="x", help_option_names=["-h", "--help"])
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    return {name for p in options for name in (*p.opts, *p.secondary_opts)}


def test_every_command_is_documented() -> None:
    listed = re.findall(r"^\| \[`(\w+)`\]", DOCUMENT, re.MULTILINE)
    assert sorted(listed) == sorted(main.commands)


def test_the_shared_options() -> None:
    assert options_in(section("Options of all commands")) == SHARED
    assert options_of(main) == SHARED | {"--version"}
    assert "--version" in DOCUMENT


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_option_is_documented_and_the_other_way_round(name: str) -> None:
    assert options_of(main.commands[name]) - SHARED == options_in(section(name))
    assert options_of(main.commands[name]) >= SHARED


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_every_help_has_exit_codes_and_says_what_it_does(name: str) -> None:
    result = CliRunner().invoke(main, [*([name] if name else []), "--help"])
    assert result.exit_code == 0
    text = result.output
    codes = re.findall(r"^ +(\d)  \S", text.partition("Exit codes:")[2], re.MULTILINE)
    assert codes == ["0", "1", "2", "3"]
    assert "{" not in text.replace("{revision}", "")  # the one that a user writes
    command = main.commands[name] if name else main
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_exit_codes_are_documented() -> None:
    from converger import errors

    codes = re.findall(r"^\| ([\d, ]+) \|", section("Exit codes"), re.MULTILINE)
    ours = {errors.EXIT_OK, errors.EXIT_REFUSED, errors.EXIT_USAGE, errors.EXIT_UNEVALUATED}
    assert {int(n) for cell in codes for n in cell.split(",")} == ours | {130, 143, 129}


def test_every_choice_is_documented() -> None:
    for command in main.commands.values():
        for parameter in command.params:
            if isinstance(parameter.type, click.Choice):
                for choice in parameter.type.choices:
                    assert choice in DOCUMENT


def keys(shape: Any) -> set[str]:
    if isinstance(shape, dict):
        own = {key for key in shape if isinstance(key, str)}
        return own.union(*(keys(value) for value in shape.values()))
    if isinstance(shape, list | tuple):
        return set().union(*(keys(item) for item in shape))
    return set()


def test_every_key_and_word_of_the_json_is_documented() -> None:
    text = section("JSON")
    for key in keys(HISTORY) | keys(OUTCOME):
        assert f"`{key}`" in text, key
    statuses: Any = OUTCOME["status"]
    for word in statuses:
        assert f"`{word}`" in text, word
