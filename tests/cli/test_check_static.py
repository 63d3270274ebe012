"""`check --static`: a guess from the source, always called one, that changes no exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from converger.cli import main
from tests.alembic_project import AlembicProject
from tests.cli.test_check_and_graph import POISON, invoke
from tests.cli.test_contract import keys, section
from tests.report.test_json import HISTORY, check

STATIC = {
    "label": {"guess, not a verdict"},
    "guesses": [
        {
            "kind": str,
            "confidence": {"likely", "possible"},
            "object": str,
            "message": str,
            "revisions": [str],
            "locations": [{"path": str, "line": int}],
        }
    ],
    "revisions": [str],
    "computed": [str],
}
LABEL = "Static second opinion (guess, not a verdict: nothing was run)"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlembicProject:
    project = AlembicProject(tmp_path / "p", env_py=POISON)
    monkeypatch.chdir(project.root)
    project.revision("base0001", None, header=POISON)
    return project


def add_phone(project: AlembicProject, id: str, column: str = "phone") -> Path:
    return project.revision(
        id, "base0001", f"op.add_column('accounts', sa.Column({column!r}, sa.Text))", header=POISON
    )


def static(*arguments: str) -> tuple[int, Any]:
    """The exit code and the object behind `static`, the whole object's shape checked."""
    result = CliRunner().invoke(main, ["check", "--static", "--format", "json", *arguments])
    found = json.loads(result.stdout)
    check(found, {**HISTORY, "static": (STATIC, None)})
    return result.exit_code, found["static"]


def test_a_clash_is_guessed_with_both_places(project: AlembicProject) -> None:
    paths = [add_phone(project, "aaaa0001"), add_phone(project, "bbbb0001")]
    lines = [path.read_text().splitlines() for path in paths]
    at = [1 + next(n for n, text in enumerate(one) if "add_column" in text) for one in lines]
    result = invoke("check", "--static")
    assert result.exit_code == 1
    shown = result.stdout.splitlines()
    begin = shown.index(LABEL)
    assert shown[begin + 1 :] == [
        "  ✗ likely: duplicate-column: accounts.phone",
        "      aaaa0001 adds the column accounts.phone, bbbb0001 adds the column accounts.phone",
        f"      migrations/versions/aaaa0001_rev.py:{at[0]}",
        f"      migrations/versions/bbbb0001_rev.py:{at[1]}",
    ]
    code, found = static()
    assert code == 1
    assert found["guesses"] == [
        {
            "kind": "duplicate-column",
            "confidence": "likely",
            "object": "accounts.phone",
            "message": "aaaa0001 adds the column accounts.phone, bbbb0001 adds the column accounts.phone",
            "revisions": ["aaaa0001", "bbbb0001"],
            "locations": [
                {"path": f"migrations/versions/{id}_rev.py", "line": line}
                for id, line in zip(("aaaa0001", "bbbb0001"), at, strict=True)
            ],
        }
    ]
    assert found["revisions"] == ["aaaa0001", "bbbb0001"]


def test_without_the_option_nothing_is_guessed(project: AlembicProject) -> None:
    add_phone(project, "aaaa0001")
    add_phone(project, "bbbb0001")
    assert "guess" not in invoke("check").stdout
    assert "static" not in json.loads(invoke("check", "--format", "json").stdout)
    with_it = json.loads(invoke("check", "--static", "--format", "json").stdout)
    del with_it["static"]
    assert with_it == json.loads(invoke("check", "--format", "json").stdout)


def test_no_clash_seen_is_no_verdict_either(project: AlembicProject) -> None:
    add_phone(project, "aaaa0001")
    add_phone(project, "bbbb0001", "fax")
    result = invoke("check", "--static")
    assert result.exit_code == 1
    assert LABEL in result.stdout
    assert "no clash to be seen in the source of 2 revisions; only a proof tells" in result.stdout
    assert static() == (1, {"label": STATIC["label"].copy().pop(), "guesses": [], "revisions": ["aaaa0001", "bbbb0001"], "computed": []})  # type: ignore[attr-defined]  # fmt: skip


def test_a_guess_makes_no_one_head_bad(project: AlembicProject) -> None:
    result = invoke("check", "--static")
    assert result.exit_code == 0
    assert "nothing to compare: no line of history has several heads" in result.stdout


def test_lines_that_are_kept_apart_are_compared_only_across_labels(project: AlembicProject) -> None:
    for id, label in (("aaaa0001", "one"), ("bbbb0001", "two")):
        project.revision(id, "base0001", "op.drop_table('t')", labels=label, header=POISON)
    assert static()[1]["guesses"] == []
    code, found = static("--across-labels")
    assert (code, [g["kind"] for g in found["guesses"]]) == (1, ["dropped-twice"])


def test_what_cannot_be_read_gives_no_guess(project: AlembicProject) -> None:
    add_phone(project, "aaaa0001")
    add_phone(project, "bbbb0001").write_text("revision = 'bbbb0001'\ndown_revision = find()\n")
    assert static() == (3, None)
    result = invoke("check", "--static")
    assert result.exit_code == 3
    assert "no guess: the branches to compare are not known" in result.stdout


def test_what_only_running_tells_is_said(project: AlembicProject) -> None:
    add_phone(project, "aaaa0001")
    project.revision("bbbb0001", "base0001", "op.execute(statement_from_elsewhere())", header=POISON)
    assert static()[1]["computed"] == ["bbbb0001"]
    assert "not understood in full, what they do is not known: bbbb0001" in invoke("check", "--static").stdout


def test_names_from_the_repository_are_made_visible(project: AlembicProject) -> None:
    for id in ("aaaa0001", "bbbb0001"):
        project.revision(id, "base0001", "op.drop_table('x\\x1b[31m\\n::error::y')", header=POISON)
    result = invoke("check", "--static")
    assert "\x1b" not in result.stdout
    assert not any(line.lstrip().startswith("::") for line in result.stdout.splitlines())
    assert "x\\x1b[31m" in result.stdout


def test_very_many_guesses_are_counted(project: AlembicProject) -> None:
    body = "\n".join(f"op.drop_table('t{n}')" for n in range(50))
    project.revision("aaaa0001", "base0001", body, header=POISON)
    project.revision("bbbb0001", "base0001", body, header=POISON)
    shown = invoke("check", "--static").stdout.splitlines()
    assert sum("likely: dropped-twice" in line for line in shown) == 30
    assert "  … and 20 more (--format json has all)" in shown
    assert len(static()[1]["guesses"]) == 50


def test_every_key_is_documented() -> None:
    for key in keys(STATIC) | {"static"}:
        assert f"`{key}`" in section("JSON"), key
