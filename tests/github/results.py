"""Results to report, for tests: plain ones, and one whose every text is hostile."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from converger.errors import CouldNotEvaluate, Refused
from converger.history.graph import Graph
from converger.history.model import History, Problem, Revision
from converger.mergefile import MergeFile, Note
from converger.outcome import Outcome
from converger.plan import LinePlan, PlannedMerge
from converger.proof.model import (
    Conflict,
    Coverage,
    Downgrade,
    DowngradeRun,
    Location,
    PathResult,
    Proof,
)
from converger.report.result import Local, Looked, Origin, Result, Written
from tests.github.environment import SHA

HEADS = ("7fbf463be9a7", "b61cf349aa4b")
GRAPH = Graph(
    History(
        {
            "d135e472622c": Revision("d135e472622c", (), message="add fields", path="v/d135.py", line=12),
            "2903b6252f31": Revision(
                "2903b6252f31", ("d135e472622c",), message="add ids", path="v/2903.py", line=12
            ),
            HEADS[0]: Revision(
                HEADS[0], ("2903b6252f31",), message="add profiles", path="v/7fbf.py", line=12
            ),
            HEADS[1]: Revision(
                HEADS[1], ("d135e472622c",), message="rename workflows", path="v/b61c.py", line=12
            ),
        }
    )
)
MERGE = PlannedMerge("6aaf7c3db2da", HEADS, datetime(2025, 1, 1), f"merge {HEADS[0]} and {HEADS[1]}")
LINE = LinePlan((), "d135e472622c", ("d135e472622c",), HEADS, (MERGE,))
PROOF = Proof(
    "commute",
    "postgresql",
    "15.18",
    1.9,
    paths=(
        PathResult((), ("d135e472622c", "2903b6252f31", *HEADS, "6aaf7c3db2da"), "ok", 0.51),
        PathResult((HEADS[0],), (HEADS[1], "6aaf7c3db2da"), "ok", 0.13),
        PathResult((HEADS[1],), ("2903b6252f31", HEADS[0], "6aaf7c3db2da"), "ok", 0.05),
    ),
    downgrade=Downgrade("restores"),
    notes=(
        Note("environment", "Python 3.11.7, Alembic 1.20.1, SQLAlchemy 2.1.9"),
        Note("coverage", "2 of 2 pairs of revisions compared in every state, 8 steps"),
    ),
    coverage=Coverage(2, 2, 8),
)
SOURCE = b'"""add profiles"""\n\ndef upgrade():\n    op.add_column("workflows", sa.Column("profile", sa.Text()))\n\n'
CONFLICT = Conflict(
    kind="renamed-table",
    revisions=HEADS,
    state=(HEADS[1],),
    objects=("table workflows",),
    error='relation "workflows" does not exist',
    statement="ALTER TABLE workflows ADD COLUMN profile TEXT",
    location=Location("v/7fbf.py", 4),
    advice=f"{HEADS[0]} works on its own branch but not on a database that is at {HEADS[1]}.",
    other_location=Location("v/b61c.py", 2),
)


class _Project:
    root = Path("/repository")


def outcome(status: Any = "would-merge", **more: Any) -> Outcome:
    file = MergeFile(
        MERGE, Path("/repository/v/6aaf7c3db2da_merge.py"), b'"""merge"""\n\ndown_revision = ("a", "b")\n'
    )
    values: dict[str, Any] = {
        "project": _Project(),
        "graph": GRAPH,
        "lines": (LINE,),
        "files": (file,),
        "proof": PROOF,
    }
    return Outcome(status, **{**values, **more})


def result(found: Outcome | None = None, **more: Any) -> Result:
    values: dict[str, Any] = {
        "situation": "forked-here",
        "repository": "octo/shop",
        "head": Looked(SHA["head"], "feature"),
        "base": Looked(SHA["base"], "main"),
        "pull_request": 7,
        "origins": {HEADS[0]: Origin("alice", 7), HEADS[1]: Origin("bob", 12, SHA["base"])},
        "files_at": {"v/b61c.py": SHA["base"]},
        "not_written": "mode: check writes nothing",
        "local": Local("feature", "origin", "main", ("-c", "api/alembic.ini")),
        "run_url": "https://github.com/octo/shop/actions/runs/123",
        "configuration": "api/alembic.ini",
        "version": "1.0.0",
    }
    return Result(found if found is not None else outcome(), **{**values, **more})


def conflicting(**more: Any) -> Result:
    proof = replace(
        PROOF,
        verdict="one-order",
        conflicts=(CONFLICT,),
        paths=(*PROOF.paths[:2], PathResult((HEADS[1],), (), "failed", 3.1)),
    )
    sources = {
        "v/7fbf.py": SOURCE,
        "v/b61c.py": b"def upgrade():\n    op.rename_table('workflows', 'flows')\n",
    }
    return result(outcome("refused", files=(), proof=proof), sources=sources, **more)


def one_head(**more: Any) -> Result:
    graph = Graph(History({"d135e472622c": GRAPH.revisions["d135e472622c"]}))
    line = LinePlan((), None, (), ("d135e472622c",), ())
    found = outcome("converged", graph=graph, lines=(line,), files=(), proof=None)
    return result(found, situation="one-head", **more)


def written(kind: Any = "commit", number: int | None = None) -> Result:
    return result(written=Written(kind, "feature", SHA["pushed"], number, "main"), not_written=None)


def unreadable() -> Result:
    problem = Problem("syntax-error", "error", "invalid syntax", "v/x.py", 3)
    found = outcome("unevaluated", lines=(), files=(), proof=None, problems=(problem,))
    return result(found, situation="unreadable")


def hostile(text: str, status: Any = "refused", verdict: Any = "differ", **more: Any) -> Result:
    """A result in which every text that can come from outside is `text`."""
    graph = Graph(
        History(
            {
                "base": Revision("base", (), message=text, path=text, line=1),
                f"1{text}": Revision(f"1{text}", ("base",), (text,), (text,), text, text, line=2),
                f"2{text}": Revision(f"2{text}", ("base",), (text,), (), text, text, line=3),
            }
        )
    )
    heads = (f"1{text}", f"2{text}")
    line = LinePlan(
        (text,), "base", ("base",), heads, (PlannedMerge("m12", heads, datetime(2025, 1, 1), text),)
    )
    place = Location(text, 1)
    conflict = Conflict(text, heads, (text,), (text,), text, text, place, text, place, (text,))
    run = DowngradeRun((text,), (text,), text, text, True, "fails", True, text, text, text, (text,))
    proof = Proof(
        verdict,
        text,
        text,
        1.0,
        (PathResult((text,), (text,), "failed", 1.0), PathResult((), (text,) * 9, "ok", 1.0)),
        (conflict, replace(conflict, kind="unclassified"), replace(conflict, state=())),
        Downgrade("fails", text, True, (run, replace(run, by_merging=False))),
        (Note("note", text),),
        Coverage(1, 2, 3, False),
    )
    file = MergeFile(
        line.merges[0],
        Path("/repository") / text.replace("/", "_").replace("\0", ""),
        text.encode("utf-8", "replace"),
    )
    error = CouldNotEvaluate if status == "unevaluated" else Refused
    found = Outcome(
        status,
        _Project(),  # type: ignore[arg-type]
        graph,
        (line,),
        (file,),
        proof,
        (Problem(text, "warning", text, text, 3),),
        (Note("note", text),),
        error(text, code=text, hint=text),
    )
    values: dict[str, Any] = {
        "situation": "forked-here",
        "repository": "octo/shop",
        "head": Looked(SHA["head"], text),
        "base": Looked(SHA["base"], text),
        "git_conflicts": (text,),
        "origins": {heads[0]: Origin(text, 12), heads[1]: Origin(text, None, SHA["base"])},
        "sources": {text: f"{text}\n{text}\n".encode("utf-8", "replace")},
        "not_written": text,
        "local": Local(text, text, text, (text,)),
        "configuration": text,
        "version": text,
        "run_url": "https://github.com/octo/shop/actions/runs/123",
    }
    return Result(found, **{**values, **more})
