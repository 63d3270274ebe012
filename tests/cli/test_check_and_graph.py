"""`check` and `graph` on real projects, whose dependencies are not there and whose code is never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converger.cli import main
from tests.alembic_project import AlembicProject
from tests.report.test_json import HISTORY, check

POISON = "import a_module_that_is_not_installed\nraise SystemExit('the project was run')\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlembicProject:
    project = AlembicProject(tmp_path / "p", env_py=POISON)
    monkeypatch.chdir(project.root)
    return project


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def heads(project: AlembicProject, count: int) -> AlembicProject:
    project.revision("base0001", None, header=POISON)
    for number in range(count):
        project.revision(f"head000{number}", "base0001", header=POISON)
    return project


def test_no_revisions_yet(project: AlembicProject) -> None:
    result = invoke("check")
    assert (result.exit_code, result.output) == (0, "no revisions yet\n")
    assert invoke("graph").output == "no revisions yet\n"


def test_one_head(project: AlembicProject) -> None:
    heads(project, 1)
    result = invoke("check")
    assert (result.exit_code, result.output) == (0, "one head: head0000 (revision head0000)\n")


def test_several_heads(project: AlembicProject) -> None:
    heads(project, 3)
    result = invoke("check")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == '3 heads: "alembic upgrade head" refuses to run'
    for number in range(3):
        line = next(line for line in lines if f"● head000{number} " in line)
        assert f"revision head000{number}" in line
        assert line.endswith(f"migrations/versions/head000{number}_rev.py")
    assert any("common ancestor base0001 (revision base0001)" in line and "1, 1, 1" in line for line in lines)
    assert "Next: alembic-converger converge --dry-run" in lines


def test_the_next_command_is_the_one_for_this_configuration(project: AlembicProject) -> None:
    heads(project, 2)
    text = project.ini.read_text()
    (project.root / "other name.ini").write_text(text.replace("[alembic]", "[api]"))
    result = invoke("check", "-c", "other name.ini", "-n", "api")
    assert result.exit_code == 1
    assert "Next: alembic-converger converge --dry-run -c 'other name.ini' -n api" in result.stdout


def test_lines_of_history_that_are_kept_apart_on_purpose(project: AlembicProject) -> None:
    heads(project, 0)
    project.revision("exp00001", "base0001", labels="expand")
    project.revision("con00001", "base0001", labels="contract")
    result = invoke("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "one head in each of 2 lines of history kept apart on purpose",
        "",
        "  - contract: con00001 (revision con00001)",
        "  - expand: exp00001 (revision exp00001)",
    ]
    assert invoke("check", "--across-labels").exit_code == 1
    project.revision("exp00002", "base0001")
    project.revision("exp00003", "exp00001")
    project.revision("exp00004", "exp00001")
    result = invoke("check")
    assert result.exit_code == 1
    assert "2 heads in the line of history expand" in result.stdout.splitlines()[0]
    assert "exp00003" in result.stdout and "exp00004" in result.stdout
    assert "  2 other lines have one head each: con00001, exp00002" in result.stdout


def test_very_many_heads_are_counted_not_listed(project: AlembicProject) -> None:
    heads(project, 53)
    lines = invoke("check").stdout.splitlines()
    assert lines[0].startswith("53 heads")
    assert "  … and 3 more heads" in lines
    (since,) = [line for line in lines if "since the common ancestor" in line]
    assert since.endswith("revisions on each branch: " + "1, " * 50 + "…")


def test_one_other_line_has_one_head(project: AlembicProject) -> None:
    heads(project, 2)
    project.revision("con00001", "base0001", labels="contract")
    result = invoke("check")
    assert result.exit_code == 1
    assert "  1 other line has one head: con00001" in result.stdout


def test_a_computed_label_keeps_lines_apart_too(project: AlembicProject) -> None:
    heads(project, 1)
    path = project.revision("exp00001", "base0001")
    path.write_text(path.read_text().replace("branch_labels = None", "branch_labels = (cli.EXPAND,)"))
    result = invoke("check")
    assert result.exit_code == 0
    assert "  - the label computed in exp00001: exp00001 (revision exp00001)" in result.stdout.splitlines()
    assert "exp00001_rev.py:12: computed-identifier: " in result.stdout
    assert "exp00001 (head, label (computed))" in invoke("graph").stdout


def test_heads_without_a_common_ancestor(project: AlembicProject) -> None:
    project.revision("base0001", None)
    project.revision("base0002", None)
    result = invoke("check")
    assert result.exit_code == 1
    assert result.stdout.startswith("2 heads")
    assert "no-common-ancestor" in result.stdout
    assert "--across-labels" in result.stdout


def test_a_graph_that_cannot_be_trusted(project: AlembicProject) -> None:
    project.revision("base0001", None)
    project.revision("aaaa0001", "gone0001")
    result = invoke("check")
    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert lines[0] == "could not evaluate: 1 problem in the revision files"
    assert any("migrations/versions/aaaa0001_rev.py:" in line and "dangling-parent" in line for line in lines)
    drawn = invoke("graph")
    assert drawn.exit_code == 3
    assert "parent gone0001 does not exist" in drawn.stdout
    assert "dangling-parent" in drawn.stderr and "dangling-parent" not in drawn.stdout


@pytest.mark.parametrize("command", ["check", "graph"])
def test_json(project: AlembicProject, command: str) -> None:
    heads(project, 2)
    result = invoke(command, "--format", "json")
    assert result.exit_code == (1 if command == "check" else 0)
    value: Any = json.loads(result.stdout)
    check(value, HISTORY)
    assert value["heads"] == ["head0000", "head0001"]
    assert value["revisions"]["head0001"]["path"] == "migrations/versions/head0001_rev.py"
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""


def test_json_when_it_cannot_be_trusted(project: AlembicProject) -> None:
    project.revision("aaaa0001", "gone0001")
    for command in ("check", "graph"):
        result = invoke(command, "--format", "json")
        assert result.exit_code == 3
        value = json.loads(result.stdout)
        check(value, HISTORY)
        assert "dangling-parent" in [problem["code"] for problem in value["problems"]]


def test_a_long_history_is_reduced_unless_all_is_asked_for(project: AlembicProject) -> None:
    project.revision("r000", None)
    for number in range(1, 40):
        project.revision(f"r{number:03d}", f"r{number - 1:03d}")
    project.revision("side", "r037")
    reduced = invoke("graph").stdout.splitlines()
    assert [line.split()[-1] for line in reduced if "(head)" in line] == ["side", "r039"]
    assert reduced[-1].endswith("… 37 older revisions")
    whole = invoke("graph", "--all").stdout
    assert "older" not in whole and all(f"r{number:03d}" in whole for number in range(40))
    for form, first in (("mermaid", "flowchart BT"), ("dot", "digraph revisions {")):
        assert invoke("graph", "--format", form).stdout.splitlines()[0] == first
        assert "37 older revisions" in invoke("graph", "--format", form).stdout
        assert "older revisions" not in invoke("graph", "--all", "--format", form).stdout


def test_shared_options_stand_before_or_behind_the_command(project: AlembicProject) -> None:
    heads(project, 2)
    project.ini.rename(project.root / "x.ini")
    assert invoke("check").exit_code == 2
    behind = invoke("check", "-c", "x.ini", "--format", "json", "-v")
    before = invoke("-c", "x.ini", "--format", "json", "-v", "check")
    assert behind.exit_code == before.exit_code == 1
    assert behind.stdout == before.stdout
    assert "revisions read: 3" in behind.stderr and behind.stderr == before.stderr
    assert invoke("-c", "nonsense.ini", "check", "-c", "x.ini").exit_code == 1


def test_verbose_says_which_configuration(project: AlembicProject) -> None:
    heads(project, 1)
    result = invoke("check", "-v")
    assert str(project.ini) in result.stderr and "[alembic]" in result.stderr
    assert str(project.versions) in result.stderr
    assert invoke("check").stderr == ""


def test_a_missing_configuration_is_exit_2_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (["check"], ["graph"], ["check", "--format", "json"], ["converge"]):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith("error (")
        assert "Traceback" not in result.stderr
        assert "What to do:" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--no-such-option"],
        ["no-such-command"],
        ["check", "--format", "mermaid"],
        ["--format", "dot", "check"],
        ["check", "surplus"],
        ["converge", "--strategy", "zigzag"],
        ["converge", "--timeout", "0"],
        ["converge", "--timeout", "nan"],
        ["converge", "--timeout", "soon"],
        ["converge", "--env", "NO_VALUE"],
        ["converge", "--env", "=value"],
        ["converge", "--env", "A B=value"],
        # $(git describe …) that printed nothing: quoted, and not quoted.
        ["converge", "--from-revision", ""],
        ["converge", "--from-revision", "--dry-run"],
        [],
    ],
)
def test_wrong_usage_is_exit_2(project: AlembicProject, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr


def test_a_secret_in_a_wrong_option_is_not_repeated(project: AlembicProject) -> None:
    result = invoke("converge", "--env", "MY-TOKEN=hunter2")
    assert result.exit_code == 2
    assert "hunter2" not in result.output


def test_an_error_of_our_own_is_exit_3_and_says_so(
    project: AlembicProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(options: object) -> None:
        raise ZeroDivisionError("\x1b[31mboom")

    monkeypatch.setattr("converger.inspection.inspect", broken)
    quiet, verbose = invoke("check"), invoke("check", "-v")
    for result in (quiet, verbose):
        assert result.exit_code == 3
        assert result.stdout == ""
        assert "internal error: ZeroDivisionError: \\x1b[31mboom" in result.stderr
        assert "report it" in result.stderr
        assert "\x1b" not in result.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in verbose.stderr


def test_an_operating_system_error_is_exit_3(
    project: AlembicProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(options: object) -> None:
        raise OSError(28, "No space left on device", "/x")

    monkeypatch.setattr("converger.inspection.inspect", full)
    result = invoke("check")
    assert result.exit_code == 3
    assert "could not evaluate" in result.stderr and "No space left" in result.stderr
    assert "internal error" not in result.stderr


def test_text_from_the_repository_is_harmless(project: AlembicProject) -> None:
    evil = "\x1b[31m\u202e"
    heads(project, 1)
    (project.versions / "evil.py").write_text(
        f'"""{evil}::error::x\n::set-output name=x::y"""\nrevision = {evil!r}\ndown_revision = "base0001"\n',
        encoding="utf-8",
    )
    for arguments in (["check"], ["graph"], ["graph", "--format", "mermaid"], ["graph", "--format", "dot"]):
        output = invoke(*arguments).output
        assert all(character.isprintable() or character == "\n" for character in output), arguments
        assert not any(line.lstrip().startswith("::") for line in output.splitlines()), arguments
    assert json.loads(invoke("check", "--format", "json").stdout)["heads"] == [evil, "head0000"]
