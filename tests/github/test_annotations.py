"""Commands to the runner: ours are understood as they are meant, and strangers' text is no command."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from converger.errors import Refused
from converger.github.annotations import (
    Annotation,
    annotations_for,
    command,
    commands,
    mask,
    without_commands,
)
from tests.github.results import (
    CONFLICT,
    HEADS,
    PROOF,
    conflicting,
    hostile,
    one_head,
    outcome,
    result,
    unreadable,
    written,
)
from tests.github.test_comment import HOSTILE


def as_the_runner_reads(line: str) -> tuple[str, dict[str, str], str]:
    """A command as ActionCommand.cs of actions/runner parses one (`::name key=value,key=value::data`)."""
    assert "\n" not in line and "\r" not in line
    match = re.fullmatch(r"::([a-z-]+)(?: (.*?))?::(.*)", line)
    assert match, line
    properties = {}
    for pair in (match[2] or "").split(","):
        if pair:
            key, _, value = pair.partition("=")
            properties[key] = unescape(value.replace("%3A", ":").replace("%2C", ","))
    return match[1], properties, unescape(match[3])


def unescape(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def test_an_annotation() -> None:
    given = Annotation("error", "100% of\na, b: c", "T: a, b", "v/a:b,c%.py", 7)
    assert command(given) == "::error file=v/a%3Ab%2Cc%25.py,line=7,title=T%3A a%2C b::100%25 of%0Aa, b: c"
    assert as_the_runner_reads(command(given)) == (
        "error",
        {"file": "v/a:b,c%.py", "line": "7", "title": "T: a, b"},
        "100% of\na, b: c",
    )
    assert command(Annotation("notice", "x")) == "::notice::x"


@pytest.mark.parametrize("text", HOSTILE)
def test_strangers_text_stays_text(text: str) -> None:
    for line in commands([Annotation("warning", text, text, text, 1), *annotations_for(hostile(text))]):
        name, properties, data = as_the_runner_reads(line)
        assert name in ("error", "warning") and set(properties) <= {"file", "line", "title"}
        assert len(data) <= 4096 and data.replace("\n", "").isprintable()
        assert all(value.isprintable() for value in properties.values())


def test_a_path_outside_of_the_repository_is_no_file() -> None:
    assert "file=" not in command(Annotation("error", "x", path="/etc/passwd", line=1))


def test_github_shows_ten_of_a_level() -> None:
    many = [Annotation("error", f"e{n}") for n in range(14)] + [Annotation("notice", "n")] * 20
    lines = commands(many)
    assert len(lines) == 11
    assert lines[9] == "::error::and 5 more; the summary of the run has all" and lines[10] == "::notice::n"
    assert len(commands(many[:10])) == 10 and "more" not in commands(many[:10])[9]


def test_both_places_of_a_conflict() -> None:
    found = [a for a in annotations_for(conflicting()) if a.path]
    assert [(a.level, a.path, a.line) for a in found] == [
        ("error", "v/7fbf.py", 4),
        ("error", "v/b61c.py", 2),
    ]
    for annotation in found:
        assert all(part in annotation.message for part in (*HEADS, CONFLICT.error or "", CONFLICT.advice))


def test_where_the_branches_fork() -> None:
    """The `down_revision` of the first revision of each branch, not of its head."""
    found = annotations_for(result())
    assert [(a.level, a.path, a.line) for a in found] == [
        ("error", "v/2903.py", 12),
        ("error", "v/b61c.py", 12),
    ]
    assert all("on d135e472622c" in a.message and "2 heads" in a.message for a in found)
    assert {a.level for a in annotations_for(result(situation="base-forked"))} == {"warning"}


def test_what_is_merged_or_one_head_is_not_annotated() -> None:
    assert annotations_for(written()) == () == annotations_for(one_head())


def test_findings_and_reasons() -> None:
    (found,) = annotations_for(unreadable())
    assert (found.level, found.path, found.line) == ("error", "v/x.py", 3)
    reason = Refused("no", code="no-common-ancestor", hint="do")
    found = annotations_for(result(outcome("refused", files=(), proof=None, reason=reason)))[-1]
    assert (found.message, found.title, found.path) == ("no\ndo", "Alembic: no-common-ancestor", None)
    nowhere = replace(CONFLICT, location=None, other_location=None)
    proof = replace(PROOF, verdict="differ", conflicts=(nowhere,))
    assert annotations_for(result(outcome("refused", files=(), proof=proof)))[0].path is None


def test_what_migrations_print_is_no_command() -> None:
    lines: list[str] = []
    for _ in range(2):
        with pytest.raises(KeyError), without_commands(lines.append):
            lines.append("::error::from a migration")
            raise KeyError
    begin, printed, end, again, _, _ = lines
    word = begin.removeprefix("::stop-commands::")
    assert len(word) >= 32 and end == f"::{word}::" and printed == "::error::from a migration"
    assert again != begin, "nobody can know it from an earlier one"
    with pytest.raises(ValueError, match="32"), without_commands(lines.append, lambda: "pause"):
        pass


def test_masks() -> None:
    assert mask("s3c%ret\n\nline two\r\n") == ["::add-mask::s3c%25ret", "::add-mask::line two"]
