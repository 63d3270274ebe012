"""What the comment says in the less usual situations, each thing once."""

from __future__ import annotations

import re
from dataclasses import replace

from converger.errors import CouldNotEvaluate
from converger.history.graph import Graph
from converger.history.model import History, Problem, Revision
from converger.plan import LinePlan
from converger.proof.model import Downgrade, DowngradeRun, Location, PathResult
from converger.report.markdown import report, resolved
from converger.report.result import Origin, Result
from tests.github.rendered import assert_harmless
from tests.github.results import (
    CONFLICT,
    GRAPH,
    HEADS,
    PROOF,
    conflicting,
    one_head,
    outcome,
    result,
    written,
)

HEADER = b"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = 'x'\ndown_revision = 'y'\n\n\n"
WIDER = HEADER + b"def upgrade():\n    op.alter_column('workflows', 'name', type_=sa.String(%d))\n"


def said(found: Result) -> str:
    text = report(found)
    assert_harmless(text)
    return text


def commands(text: str) -> list[str]:
    block = re.search(r"```bash\n(.*?)```", text, re.DOTALL)
    return block[1].splitlines() if block else []


def differing() -> Result:
    """Both set the same type; no line failed, so only the revisions are known."""
    known = {id: replace(revision, line=5) for id, revision in GRAPH.revisions.items()}
    sides = f"A where {HEADS[1]} ran last, B where {HEADS[0]} ran last"
    conflict = replace(
        CONFLICT,
        kind="last-writer-wins",
        objects=("public.workflows.name",),
        error=None,
        statement=None,
        location=Location("v/7fbf.py", 5),
        other_location=Location("v/b61c.py", 5),
        differences=(f"column public.workflows.name: {sides}", "index x: only there"),
    )
    start = ("d135e472622c",)
    orders = ((*HEADS[1:], "2903b6252f31", HEADS[0]), ("2903b6252f31", *HEADS))
    proof = replace(
        PROOF,
        verdict="differ",
        conflicts=(conflict,),
        paths=tuple(PathResult(start, order, "ok", 0.1) for order in orders),
    )
    found = outcome("refused", graph=Graph(History(known)), files=(), proof=proof)
    sources = {"v/7fbf.py": WIDER % 100, "v/b61c.py": WIDER % 200}
    return result(found, sources=sources, not_written=None)


def test_the_lines_about_the_thing_are_shown_where_none_failed() -> None:
    text = said(differing())
    assert "[`7fbf.py:9`](" in text and "[`b61c.py:9`](" in text and "down_revision = 'y'" not in text
    assert "\n! 9      op.alter_column('workflows', 'name', type_=sa.String(100))\n" in text
    assert "\n! 9      op.alter_column('workflows', 'name', type_=sa.String(200))\n" in text
    assert (
        "column public.workflows.name\n"
        f"  A where {HEADS[1]} ran last\n"
        f"  B where {HEADS[0]} ran last\n"
        "index x: only there\n"
    ) in text
    assert "ok |" not in text and text.count("no\u00a0error") == 2, "that nothing failed is no good news"


def test_the_pull_requests_own_branch_is_the_one_to_put_on_top() -> None:
    found = differing()
    text = said(found)
    edit = "- down_revision = 'd135e472622c'\n+ down_revision = 'b61cf349aa4b'\n"
    assert edit in text and "Or leave one order only, by putting one branch on top of the other:" in text
    assert "+ down_revision = '7fbf463be9a7'" not in text
    assert "Only if no database has run `2903b6252f31` or `7fbf463be9a7` yet" in text
    # Where it is the other one's, which databases may have run, it is not the first thing to be seen.
    theirs = said(replace(found, origins={HEADS[1]: Origin("bob", 12)}))
    assert "<details><summary>Or leave one order only" in theirs


def test_the_way_to_mend_a_base_that_is_forked_is_on_the_base() -> None:
    text = said(result(situation="base-forked", not_written="main is the place to merge them"))
    assert commands(text) == [
        "git fetch origin main",
        "git switch -c merge-alembic-heads FETCH_HEAD",
        "alembic-converger converge -c api/alembic.ini",
        "git add -- :/v/6aaf7c3db2da_merge.py",
        "git commit -m 'Merge Alembic heads'",
        "git push -u origin merge-alembic-heads",
    ]
    assert "Nothing in this pull request." in text and "Nothing was written" not in text
    assert "on main" not in text, "both are"


def test_what_git_cannot_merge_is_among_the_commands() -> None:
    lines = commands(said(result(git_conflicts=("src/a.py",))))
    assert lines[lines.index("git merge --no-edit FETCH_HEAD") + 1].startswith("# resolve the conflicts")
    assert not any(line.startswith("#") for line in commands(said(result())))


def test_what_could_not_be_looked_at() -> None:
    reason = CouldNotEvaluate("no server at `x:1`", code="server-unreachable", hint="start it")
    found = result(
        outcome("unevaluated", files=(), proof=replace(PROOF, verdict="unevaluated"), reason=reason)
    )
    text = said(found)
    assert text.startswith(
        "### ❓ Could not evaluate: server unreachable\n\n`server-unreachable`: no server at `x:1`."
    )
    assert "Whether the branches fit together is not known." in text and "Start it." in text
    assert "#### Proof" not in text and "✅" not in text
    problem = Problem("syntax-error", "error", "invalid syntax", "v/x.py", 3)
    reason = CouldNotEvaluate("invalid syntax", code="syntax-error")
    found = result(outcome("unevaluated", lines=(), files=(), proof=None, problems=(problem,), reason=reason))
    assert said(replace(found, situation="unreadable")).count("invalid syntax") == 1


def test_a_merge_that_is_resolved_says_what_it_merges() -> None:
    merge = Revision("m", HEADS, path="v/m.py")
    graph = Graph(History({**GRAPH.revisions, "m": merge}))
    found = replace(
        one_head(), outcome=outcome("converged", graph=graph, lines=(LinePlan((), None, (), ("m",), ()),))
    )
    assert "It merges `7fbf463be9a7` and `b61cf349aa4b`. Looked at" in resolved(found)
    assert "It merges" not in resolved(one_head())


def test_a_pull_request_of_ours_says_what_it_does() -> None:
    text = said(written("pull-request"))
    assert "The merge is in this pull request, from `feature`." in text and "Merge this pull request." in text
    assert "git " not in text.split("<details>")[0]


def test_downgrades_are_open_only_where_merging_breaks_them() -> None:
    run = DowngradeRun(("m",), ("x",), HEADS[0], f"{HEADS[0]}@x", True, "restores")
    bad = replace(run, result="fails", by_merging=True, revision=HEADS[0], statement="DROP x", error="no x")
    good = said(result(outcome(proof=replace(PROOF, downgrade=Downgrade("restores", runs=(run,))))))
    assert "<summary>How to downgrade behind the merge</summary>" in good
    assert f"| `alembic downgrade {HEADS[0]}@x` | `{HEADS[0]}` | ✅ restores |" in good
    text = said(result(outcome(proof=replace(PROOF, downgrade=Downgrade("fails", None, True, (bad, run))))))
    assert "How to downgrade" not in text and "❌ fails, because of the merge" in text
    assert text.index("#### Merging breaks downgrades") < text.index("#### What to do")
    assert "```text\nDROP x\nno x\n```" in text


def test_nothing_is_said_twice() -> None:
    text = said(conflicting())
    for once in (CONFLICT.error or "", "What to do", "works on its own branch", "in memory"):
        assert text.count(once) == 1, once
