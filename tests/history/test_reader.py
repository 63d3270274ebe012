"""One file, one spelling, one answer; and folders with everything in them that real folders have."""

from __future__ import annotations

import os
import subprocess
import warnings
from pathlib import Path

import pytest

from converger.history import Revision
from converger.history import reader as reader_module
from tests.history.real_alembic import by_code, codes, ours, project_folder, theirs, write_revision


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    return project_folder(tmp_path)


def _one(
    versions: Path, text: str | bytes, name: str = "one.py"
) -> tuple[Revision | None, list[tuple[str, str, int | None]]]:
    """What a single file gives: its revision, and its findings as (code, severity, line)."""
    (versions / name).write_bytes(text.encode() if isinstance(text, str) else text)
    _, history, _ = ours(versions.parent.parent)
    found = [(problem.code, problem.severity, problem.line) for problem in history.problems]
    return next(iter(history.revisions.values()), None), found


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("revision = 'r'\ndown_revision = None\n", Revision("r", ())),
        ("revision: str = 'r'\ndown_revision: 'Union[str, None]' = ('a')\n", Revision("r", ("a",))),
        ("revision = 'r'\ndown_revision = 'a', 'b'\n", Revision("r", ("a", "b"))),
        ("revision = 'r'\ndown_revision = ['a', 'b']\n", Revision("r", ("a", "b"))),
        ("revision = 'r'\ndown_revision = {'b', 'a'}\n", Revision("r", ("a", "b"))),
        ("revision = 'r'\ndown_revision = (None,)\n", Revision("r", ())),
        ("revision = 'r'\ndown_revision = ()\n", Revision("r", ())),
        ("revision = ('abc'\n  'def')\ndown_revision = 'a' + 'b'\n", Revision("abcdef", ("ab",))),
        ("revision = f'r'\ndown_revision = r'a'\n", Revision("r", ("a",))),
        ("PARENT = 'a'\nrevision = 'r'\ndown_revision = (PARENT,)\n", Revision("r", ("a",))),
        ("revision, down_revision = 'r', 'a'\n", Revision("r", ("a",))),
        ("revision = 'x'\ndown_revision = 'y'\nrevision = 'r'\ndown_revision = 'a'\n", Revision("r", ("a",))),
        ("revision = 'r'\ndef upgrade(): pass\ndown_revision = 'a'\n", Revision("r", ("a",))),
        ("x = '''\nrevision = 'no'\n'''\nrevision = 'r'\ndown_revision = None\n", Revision("r", ())),
        ("revision = 'r'\ndown_revision = None\ndef f():\n    revision = 'no'\n", Revision("r", ())),
        ("revision = 'r'\ndown_revision = None\nclass C:\n    revision = 'no'\n", Revision("r", ())),
        ("revision = 'r'\ndown_revision = ('a',)\ndown_revision += ('b',)\n", Revision("r", ("a", "b"))),
        ("from sqlalchemy import *\nrevision = 'r'\ndown_revision = None\n", Revision("r", ())),
        ("revision = 'r'; down_revision = None; depends_on = ''\n", Revision("r", ())),
        (
            "revision = 'r'\ndown_revision = None\nbranch_labels = 'None'\n",
            Revision("r", (), branch_labels=("None",)),
        ),
        (b"\xef\xbb\xbfrevision = 'r'\r\ndown_revision = None\r\n", Revision("r", ())),
        (
            "# -*- coding: latin-1 -*-\nrevision = 'r'\ndown_revision = 'é'\n".encode("latin-1"),
            Revision("r", ("é",)),
        ),
        (
            "# coding: cp1252\n'''Größe'''\nrevision = 'r'\ndown_revision = None\n".encode("cp1252"),
            Revision("r", (), message="Größe"),
        ),
        ("revision = 'r'\ndown_revision = None\nx = '\\d'\n", Revision("r", ())),
    ],
)
def test_a_spelling_that_can_be_evaluated(versions: Path, text: str | bytes, revision: Revision) -> None:
    found, problems = _one(versions, text)
    assert found is not None
    assert {code for code, _, _ in problems} <= {"dangling-parent"}
    assert (found.id, found.down_revisions, found.depends_on) == (
        revision.id,
        revision.down_revisions,
        revision.depends_on,
    )
    assert (found.branch_labels, found.computed) == (revision.branch_labels, frozenset())
    if revision.message:
        assert found.message == revision.message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("revision = 'r'\ndown_revision = get_down_revision(revision)\n", 2),
        ("import x\nrevision = x.ID\ndown_revision = None\n", 2),
        ("revision = 'r'\ndown_revision = ['a']\ndown_revision.append('b')\n", 3),
        ("revision = 'r'\ndown_revision = ['a']\ndown_revision += ['b']\n", 3),
        ("revision = 'r'\ndown_revision = ['a']\nx = down_revision\nx.extend(['b'])\n", 4),
        ("revision = 'r'\nif 1:\n    down_revision = 'a'\n", 3),
        ("revision = 'r'\nfor down_revision in ('a', 'b'):\n    pass\n", 2),
        ("revision = 'r'\ntry:\n    down_revision = 'a'\nfinally:\n    pass\n", 3),
        (
            "revision = 'r'\ndown_revision = 'a'\ndef f():\n    global down_revision\n    down_revision = 'b'\nf()\n",
            4,
        ),
        ("revision = 'r'\nx = (down_revision := 'a')\n", 2),
        ("revision = 'r'\nfrom helpers import *\n", 2),
        ("revision = 'r'\nimport os as down_revision\n", 2),
        ("revision = 'r'\ndown_revision = 'a'\nglobals()['down_revision'] = 'b'\n", 3),
        ("revision = 'r'\ndown_revision = f'{revision}'\n", 2),
        ("revision = 'r'\ndown_revision = 'a'\nwith open('x') as down_revision:\n    pass\n", 3),
        ("revision = 'r'\nmatch 1:\n    case down_revision:\n        pass\n", 3),
        ("revision = 'r'\ndef __getattr__(name):\n    return 'a'\n", 2),
    ],
)
def test_a_parent_that_only_running_would_tell(versions: Path, text: str, line: int) -> None:
    found, problems = _one(versions, text)
    assert found is None
    assert ("computed-identifier", "error", line) in problems
    assert {code for code, _, _ in problems} == {"computed-identifier"}


def test_a_computed_label_leaves_the_graph_usable(versions: Path, tmp_path: Path) -> None:
    write_revision(versions, "root")
    write_revision(versions, "plain", "root")
    (versions / "expand.py").write_text(
        "from cli import EXPAND\nrevision = 'expand'\ndown_revision = 'root'\nbranch_labels = (EXPAND,)\n"
    )
    _, history, graph = ours(tmp_path)
    [problem] = history.problems
    assert (problem.code, problem.severity, problem.line) == ("computed-identifier", "warning", 4)
    assert graph.revisions["expand"].computed == {"branch_labels"}
    assert graph.labels("expand") == {"<computed:expand>"}
    assert graph.labels("plain") == frozenset()
    assert graph.heads == ("expand", "plain")


def test_a_computed_dependency_says_that_effective_heads_are_uncertain(
    versions: Path, tmp_path: Path
) -> None:
    (versions / "a.py").write_text("revision = 'a'\ndown_revision = None\ndepends_on = other()\n")
    _, history, graph = ours(tmp_path)
    assert graph.revisions["a"].computed == {"depends_on"}
    assert "effective" in by_code(history)["computed-identifier"].message
    assert by_code(history)["computed-identifier"].severity == "warning"


@pytest.mark.parametrize(
    ("text", "name", "code", "severity"),
    [
        ("def helper(): pass\n", "helper.py", "not-a-revision", "warning"),
        ("x = 1\n", "abc123.py", "missing-down-revision", "error"),
        ("revision = 'r'\n", "x.py", "missing-down-revision", "error"),
        ("down_revision = 'r'\n", "x.py", "missing-revision", "error"),
        ("revision = 12\ndown_revision = None\n", "x.py", "invalid-identifier", "error"),
        ("revision = 'a-b'\ndown_revision = None\n", "x.py", "invalid-identifier", "error"),
        ("revision = 'a@b'\ndown_revision = f()\n", "x.py", "invalid-identifier", "error"),
        ("revision = ''\ndown_revision = None\n", "x.py", "invalid-identifier", "error"),
        ("revision = 'a'\ndown_revision = 7\n", "x.py", "invalid-identifier", "error"),
        ("revision = 'a'\ndown_revision = None\ndepends_on = 7\n", "x.py", "invalid-identifier", "error"),
        (
            "revision = 'a'\ndown_revision = None\nbranch_labels = 7\n",
            "x.py",
            "invalid-identifier",
            "warning",
        ),
        ("revision = 'a'\ndown_revision = ''\n", "x.py", "dangling-parent", "error"),
        ("revision = 'a'\ndown_revision = None\nprint 'x'\n", "x.py", "syntax-error", "warning"),
        ("x = 1\nrevision = 'a'\ndown_revision = None\nprint 'x'\n", "x.py", "syntax-error", "error"),
        (
            "revision = 'a'\ndown_revision = None\ndef upgrade():\n    print 'x'\n",
            "x.py",
            "syntax-error",
            "warning",
        ),
        (
            "revision = 'a'\nx = 1\ndown_revision = None\ndef u():\n    print 'x'\n",
            "x.py",
            "syntax-error",
            "warning",
        ),
        (
            "revision = 'a'\nx = 1\ndown_revision = None\ndef u():\n    print 'x'\nrevision = 'b'\n",
            "x.py",
            "syntax-error",
            "error",
        ),
        (
            "revision = 'a'\nx = 1\ndown_revision = None\ndef u():\n    global revision\n    print 'x'\n",
            "x.py",
            "syntax-error",
            "error",
        ),
        (b"revision = 'a'\ndown_revision = None\nx = '\xff'\n", "x.py", "syntax-error", "error"),
        (b"revision = 'a'\ndown_revision = None\ndef u():\n    '\xff'\n", "x.py", "syntax-error", "warning"),
        (b"revision = 'a'\ndown_revision = None\n\0", "x.py", "syntax-error", "error"),
        ("# coding: klingon\nrevision = 'a'\ndown_revision = None\n", "x.py", "syntax-error", "error"),
        ("revision = 'a'\ndown_revision = " + "(" * 5000 + "\n", "x.py", "syntax-error", "error"),
        ("revision = 'a'\ndown_revision = " + "-" * 90 + "1\n", "x.py", "computed-identifier", "error"),
        ("revision = 'a'\ndown_revision = " + "-" * 9000 + "1\n", "x.py", "syntax-error", "error"),
    ],
)
def test_a_file_that_alembic_would_not_load(
    versions: Path, tmp_path: Path, text: str | bytes, name: str, code: str, severity: str
) -> None:
    write_revision(versions, "good", name="good_.py")
    _, problems = _one(versions, text, name)
    assert (code, severity) in [(found, how) for found, how, _ in problems]
    _, _, graph = ours(tmp_path)
    assert "good" in graph.revisions  # one bad file never hides the others


def test_deep_concatenation_is_no_crash(versions: Path) -> None:
    found, problems = _one(versions, "revision = " + "+".join(["'a'"] * 3000) + "\ndown_revision = None\n")
    assert found is None or found.id == "a" * 3000
    assert found is not None or problems


def test_python_2_below_the_header_is_read_with_a_warning(versions: Path, tmp_path: Path) -> None:
    (versions / "old.py").write_text(
        '"""Old\n\nCreate Date: 2013-01-01\n"""\nfrom alembic import op\n\nrevision = \'old\'\ndown_revision = None\n\n\n'
        "def upgrade():\n    try:\n        print 'x'\n    except Exception, e:\n        raise ValueError, 'revision = 1'\n"
    )
    write_revision(versions, "new", "old")
    _, history, graph = ours(tmp_path)
    assert graph.heads == ("new",) and graph.revisions["old"].create_date == "2013-01-01"
    [problem] = history.problems
    assert (problem.code, problem.severity, problem.path) == (
        "syntax-error",
        "warning",
        "migrations/versions/old.py",
    )
    assert problem.line in (13, 14)


def test_findings_together(versions: Path, tmp_path: Path) -> None:
    write_revision(versions, "aaaa1", None, labels="red")
    write_revision(versions, "aaaa1", None, name="twice.py")
    write_revision(versions, "bbbb2", ("aaaa1", "gone"), labels=["red"], name="b.py")
    write_revision(versions, "cccc3", "dddd4", name="c.py")
    write_revision(versions, "dddd4", "cccc3", name="d.py")
    write_revision(versions, "self5", "self5", name="self.py")
    write_revision(versions, "eeee6", ("bbbb2", "bbbb2"), needs=("bbbb", "nowhere"), name="e.py")
    (versions / "f.py").write_text("revision = 'ffff7'\ndown_revision = f()\n")
    write_revision(versions, "gggg8", "ffff7", name="g.py")
    write_revision(versions, "hhhh9", "aaaa1", needs="iiii0", name="h.py")
    write_revision(versions, "iiii0", "hhhh9", name="i.py")
    _, history, graph = ours(tmp_path)
    assert codes(history) == [
        ("dangling-parent", "b.py"),
        ("cycle", "c.py"),
        ("dangling-dependency", "e.py"),
        ("dangling-dependency", "e.py"),
        ("duplicate-parent", "e.py"),
        ("computed-identifier", "f.py"),
        # not gggg8's parent: the file is there, and has its own finding
        ("cycle", "h.py"),
        ("cycle", "self.py"),
        ("duplicate-revision", "twice.py"),
    ]
    messages = " ".join(problem.message for problem in history.problems)
    assert "full id bbbb2" in messages
    assert (
        graph.revisions["aaaa1"].path == "migrations/versions/twice.py"
    )  # the last in path order, as in Alembic


def test_a_label_on_two_revisions(versions: Path, tmp_path: Path) -> None:
    write_revision(versions, "aaaa1", None, labels="red")
    write_revision(versions, "bbbb2", None, labels=("blue", "red"))
    write_revision(versions, "cccc3", "aaaa1", labels="bbbb2")
    _, history, _ = ours(tmp_path)
    assert codes(history) == [("shared-branch-label", "bbbb2_.py"), ("shared-branch-label", "cccc3_.py")]


def test_message_date_and_line(versions: Path, tmp_path: Path) -> None:
    write_revision(versions, "a")
    _, _, graph = ours(tmp_path)
    revision = graph.revisions["a"]
    assert revision.message == "Message of a" and revision.create_date == "2024-01-02 03:04:05.000006"
    assert (versions / "a_.py").read_text().splitlines()[(revision.line or 0) - 1] == "down_revision = None"
    (versions / "a_.py").write_text("revision = 'a'\n\nx = 1\ndown_revision = None\n")
    assert ours(tmp_path)[2].revisions["a"].line == 4


def test_names_that_alembic_passes_over(versions: Path, tmp_path: Path) -> None:
    write_revision(versions, "a")
    for name in ("__init__.py", "__init__old.py", ".#a_.py", "a.pyc", "notes.txt", "b.py~"):
        (versions / name).write_text("revision = 'z'\ndown_revision = None\n")
    write_revision(versions, "hidden", "a", name=".hidden.py")
    (versions / "folder.py").mkdir()
    _, history, graph = ours(tmp_path)
    assert sorted(graph.revisions) == ["a", "hidden"] and not history.problems
    assert graph.heads == tuple(theirs(tmp_path).get_heads())


def test_compiled_files_count_only_when_sourceless(versions: Path, tmp_path: Path) -> None:
    write_revision(versions, "a")
    (versions / "a_.pyc").write_bytes(b"x")
    (versions / "b.pyc").write_bytes(b"x")
    (versions / "__pycache__").mkdir()
    (versions / "__pycache__" / "c.cpython-311.pyc").write_bytes(b"x")
    (versions / "__pycache__" / "a_.cpython-311.pyc").write_bytes(b"x")
    assert not ours(tmp_path)[1].problems
    with (tmp_path / "alembic.ini").open("a") as ini:
        ini.write("sourceless = true\n")
    assert codes(ours(tmp_path)[1]) == [
        ("compiled-revision", "c.cpython-311.pyc"),
        ("compiled-revision", "b.pyc"),
    ]


def test_nested_folders(versions: Path, tmp_path: Path) -> None:
    (versions / "2024" / "01").mkdir(parents=True)
    write_revision(versions, "a")
    write_revision(versions / "2024" / "01", "b", "a")
    assert ours(tmp_path)[2].heads == ("a",)
    with (tmp_path / "alembic.ini").open("a") as ini:
        ini.write("recursive_version_locations = true\n")
    assert ours(tmp_path)[2].heads == ("b",) == tuple(theirs(tmp_path).get_heads())
    assert ours(tmp_path)[2].revisions["b"].path == "migrations/versions/2024/01/b_.py"


@pytest.mark.parametrize("word", ["head", "heads", "base"])
def test_an_id_that_alembic_takes_for_something_else(versions: Path, tmp_path: Path, word: str) -> None:
    """`alembic upgrade head` could never mean this revision."""
    write_revision(versions, "root")
    (versions / "x.py").write_text(f'"""x"""\nrevision = "{word}"\ndown_revision = "root"\n')
    history = ours(tmp_path)[1]
    assert list(history.revisions) == ["root"]
    assert [problem.code for problem in history.problems] == ["invalid-identifier"]


def test_a_create_date_below_the_imports(versions: Path, tmp_path: Path) -> None:
    """Neutron's: a licence in comments, imports, and then the string, which is no docstring."""
    fast = '"""One\n\nRevises: None\n"""\nrevision = "a"\ndown_revision = None\n# Create Date: 2013-05-21 10:00:00\n'
    (versions / "a.py").write_text(fast)
    (versions / "b.py").write_text(
        '# Copyright 1970\nfrom alembic import op\n\n"""two\n\nCreate Date: 2013-05-22 13:41:05.000000\n\n"""\n'
        'revision = "b"\ndown_revision = "a"\n'
    )
    revisions = ours(tmp_path)[1].revisions
    assert [revisions[id].create_date for id in ("a", "b")] == [
        "2013-05-21 10:00:00",
        "2013-05-22 13:41:05.000000",
    ]


def test_very_deep_folders_are_no_recursion(versions: Path, tmp_path: Path) -> None:
    folder = str(versions)
    for _ in range(1200):
        folder += "/d"
        os.mkdir(folder)
    write_revision(Path(folder), "deep")
    with (tmp_path / "alembic.ini").open("a") as ini:
        ini.write("recursive_version_locations = true\n")
    try:
        assert list(ours(tmp_path)[1].revisions) == ["deep"]
    finally:  # pytest removes old folders recursively, and would fail on this one in a later session
        subprocess.run(["rm", "-rf", str(versions / "d")], check=True)


def test_links(versions: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    write_revision(outside, "secret", name="secret.py")
    write_revision(tmp_path, "inside", name="inside.py")
    (versions / "in.py").symlink_to(tmp_path / "inside.py")
    (versions / "again.py").symlink_to(tmp_path / "inside.py")  # Alembic loads a file once
    (versions / "out.py").symlink_to(outside / "secret.py")
    (versions / "nowhere.py").symlink_to(versions / "gone")
    (versions / "round.py").symlink_to(versions / "round.py")
    os.mkfifo(versions / "pipe.py")
    _, history, graph = ours(tmp_path)
    assert list(graph.revisions) == ["inside"]
    assert codes(history) == [
        ("unreadable-file", "nowhere.py"),
        ("symlink-outside-repository", "out.py"),
        ("unreadable-file", "pipe.py"),
        ("unreadable-file", "round.py"),
    ]


def test_a_versions_folder_that_leads_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    write_revision(outside, "secret")
    root = tmp_path / "repository"
    root.mkdir()
    versions = project_folder(root)
    versions.rmdir()
    versions.symlink_to(outside)
    _, history, graph = ours(root)
    assert not graph.revisions and codes(history) == [("symlink-outside-repository", "versions")]


def test_unreadable_files_and_folders(versions: Path, tmp_path: Path) -> None:
    write_revision(versions, "a")
    (versions / "large.py").write_bytes(b"#" * (17 << 20))
    assert codes(ours(tmp_path)[1]) == [("unreadable-file", "large.py")]
    (versions / "large.py").unlink()
    for path in versions.iterdir():
        path.unlink()
    versions.rmdir()
    assert [(p.code, p.severity) for p in ours(tmp_path)[1].problems] == [
        ("missing-version-location", "warning")
    ]


def test_a_history_that_is_empty_only_because_it_is_in_folders_below(versions: Path, tmp_path: Path) -> None:
    """As prefect has it: env.py chooses the folder of the database's dialect."""
    for name in ("postgresql", "sqlite", "notes"):
        (versions / name).mkdir()
    write_revision(versions / "postgresql", "a")
    write_revision(versions / "sqlite", "b")
    (versions / "notes" / "example.py").write_text("print('no revision')\n")
    _, history, graph = ours(tmp_path)
    assert not graph.revisions
    [problem] = history.problems
    assert (problem.code, problem.severity, problem.path) == (
        "revisions-below",
        "error",
        "migrations/versions",
    )
    assert "postgresql/ and sqlite/" in problem.message and "notes" not in problem.message

    write_revision(versions, "c")  # then the folders below are not what Alembic would run, and that is fine
    assert ours(tmp_path)[1].problems == ()
    (versions / "c_.py").unlink()
    ini = tmp_path / "alembic.ini"
    ini.write_text(ini.read_text() + "version_locations = %(here)s/migrations/versions/postgresql\n")
    _, history, graph = ours(tmp_path)
    assert (list(graph.revisions), history.problems) == (["a"], ())


def test_file_names_that_are_no_text(versions: Path, tmp_path: Path) -> None:
    path = os.fsencode(versions) + b"/caf\xe9.py"
    Path(os.fsdecode(path)).write_text("revision = 'a'\ndown_revision = x()\n")
    [problem] = ours(tmp_path)[1].problems
    assert problem.path is not None and problem.path.encode().endswith(b"caf\\udce9.py")


def test_broken_bodies_near_the_heads_are_noticed(
    versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    previous = None
    for number in range(10):
        path = write_revision(versions, f"r{number}", previous)
        if number in (0, 9):
            path.write_text(path.read_text().replace("    pass", "    pass pass", 1))
        previous = f"r{number}"
    found = codes(ours(tmp_path)[1])
    assert found == [("syntax-error", "r0_.py"), ("syntax-error", "r9_.py")]
    monkeypatch.setattr(reader_module, "CHECKED_BODIES", 5)  # the documented limit, smaller
    assert codes(ours(tmp_path)[1]) == [("syntax-error", "r9_.py")]


def test_a_long_history_is_the_same_in_two_processes(
    versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    previous = None
    for number in range(300):
        path = write_revision(versions, f"r{number:04d}", previous, needs="r0000" if number == 299 else None)
        if number % 50 == 0:
            path.write_text(path.read_text().replace("    pass", "    pass pass", 1))
        if number % 70 == 1:
            (versions / f"bad{number}.py").write_text(f"revision = 'x{number}'\ndown_revision = f()\n")
        previous = f"r{number:04d}"
    one = ours(tmp_path)[1]
    monkeypatch.setattr(reader_module, "_FORK_FILES", 2)
    monkeypatch.setattr(reader_module, "_FORK_BODIES", 2)
    monkeypatch.setattr("converger.history.halves._can_fork", lambda: True)
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork in a process with threads, which a test runner may have.
        warnings.simplefilter("ignore", DeprecationWarning)
        two = ours(tmp_path)[1]
    assert one == two and list(one.revisions) == list(two.revisions)
    assert len(one.problems) == 6 + 5
