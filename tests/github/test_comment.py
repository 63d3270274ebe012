"""The comment and the summary: what they say, that they fit, and that no text of the repository breaks out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from converger.github import comment as comments
from converger.github import summary as summaries
from converger.github.comment import Create, Existing, Keep, Update, comment_body, decide_comment, length
from converger.github.marker import Marker, configuration_key, make_marker, read_marker
from converger.github.settings import Inputs
from converger.history.graph import Graph
from converger.history.model import History, Revision
from converger.mergefile import Note
from converger.plan import LinePlan
from converger.proof.model import PathResult, Proof
from converger.report.markdown import SHORT, headline, report, verdict_only
from converger.report.result import Looked, Result, situation_of
from tests.github.environment import SHA
from tests.github.rendered import assert_harmless, render
from tests.github.results import (
    CONFLICT,
    GRAPH,
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

KEY = configuration_key(Inputs())
ME = "github-actions[bot]"

HOSTILE = [
    "@octocat @org/team and #12, octo/shop#3, GH-4, a@b.org",
    "closes #1",
    "https://evil.example www.evil.example <https://evil.example>",
    "[click](https://evil.example) ![x](https://evil.example/x.png) [a]: https://evil.example",
    "<script>alert(1)</script><img src=x onerror=alert(1)><b>",
    "</details></summary></table> </code></pre>",
    "--> <!-- x --> <!--",
    f"x\n\n{Marker('0' * 16, '1' * 16)}\n",
    str(make_marker(KEY, "")),
    "`x` ``y`` ```z``` ````",
    "```\n# heading\n```\n~~~\n",
    "| a | b | \\| c \\\\| d",
    "x\n\n# heading\n\n- item\n\n1. item\n\n> quote\n\n---\n\n    code",
    "**bold** _it_ ~~no~~ :tada: $x$ $$y$$ [ ] [x] &amp; &#64;x &lt;b&gt;",
    "\u202egnp.exe \u2066x\u2069 \u200b\ufeff\x1b[31m\x00\x07",
    "deadbeefdeadbeef 0123456789abcdef0123456789abcdef01234567",
    "%%{init: {}}%%\n```\nclick n0 href",
    "::error::x\n##[error]x",
    "\\",
    "`",
    "a" * 5000,
    "` " * 500,
    "名前 🎉 é",
]


# -- what it says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "first"),
    [
        (result(), "### ⚠️ 2 heads to be merged. They fit together, proven on PostgreSQL 15.18 in 1.9 s"),
        (written(), "### ✅ Merged 2 heads into `6aaf7c3db2da`, proven on PostgreSQL 15.18 in 1.9 s"),
        (
            conflicting(),
            "### ❌ 2 heads that do not fit together: they work in one order only",
        ),
        (
            written("pull-request", None),
            "### ✅ Merges 2 heads into `6aaf7c3db2da`, proven on PostgreSQL 15.18 in 1.9 s",
        ),
        (one_head(), "### ✅ One head: `d135e472622c` (resolved)"),
        (unreadable(), "### ❓ Could not evaluate: 1 problem in the revision files"),
        (
            result(situation="base-forked"),
            "### ⚠️ `main` has 2 heads already. They fit together, proven on PostgreSQL 15.18 in 1.9 s",
        ),
    ],
)
def test_the_verdict_is_the_first_line(found: Result, first: str) -> None:
    assert comment_body(found, KEY).splitlines()[0] == first
    assert summaries.summary(found).decode().splitlines()[0] == first.removesuffix(" (resolved)")


def test_never_fine_when_it_is_not() -> None:
    skipped = Proof("skipped", "", "", 0.0)
    cut = replace(PROOF, coverage=replace(PROOF.coverage, pairs=1, whole=False))
    for found in (
        result(outcome("would-merge", proof=skipped)),
        replace(written(), outcome=outcome("merged", proof=skipped)),
        replace(written(), outcome=outcome("merged", proof=cut)),
        replace(written("pull-request"), outcome=outcome(proof=cut)),
        result(outcome(proof=cut)),
        unreadable(),
        conflicting(),
        result(outcome("unevaluated", proof=None, files=())),
        result(outcome("refused", proof=None, files=())),
    ):
        line = headline(found)
        assert "✅" not in line, line
        if found.outcome.proof is skipped:
            assert "WITHOUT ANY PROOF" in line and "proven" not in line and "fit together" not in line
        if found.outcome.proof is cut:
            assert "CUT SHORT: 1 of 2" in line and "fit together" not in line and "proven" not in line
            assert "every order works" not in report(found)


def test_the_parts() -> None:
    text = comment_body(result(), KEY)
    page = assert_harmless(text)
    links = [attributes["href"] for attributes in page.named("a")]
    assert f"https://github.com/octo/shop/blob/{SHA['head']}/v/7fbf.py#L12" in links
    assert "https://github.com/octo/shop/pull/12" in links
    for part in (
        "| head | message | brought by |",
        "| [`7fbf463be9a7`](https://github.com/octo/shop/blob/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/v/7fbf.py#L12) "
        "| add profiles | this pull request by `alice` |",
        "| rename workflows | [#12](https://github.com/octo/shop/pull/12) by `bob` |",
        "#### Proof on PostgreSQL 15.18: every order works, and all databases end alike",
        "| *empty* | `d135e472622c`, `2903b6252f31`, `7fbf463be9a7`, `b61cf349aa4b` | ✅\u00a0ok | 0.51\u00a0s |",
        "| `7fbf463be9a7`, this pull request | `b61cf349aa4b` |",
        "| `b61cf349aa4b`, `main` | `2903b6252f31`, `7fbf463be9a7` |",
        "**Nothing was written**: mode: check writes nothing.",
        "Looked at `feature` at [`aaaaaaaa`]",
        "merged in memory with `main` at [`bbbbbbbb`]",
        "2 of 2 pairs of revisions compared",
        "- Python `3.11.7`, Alembic",
        "Configuration: `api/alembic.ini`",
        "v/6aaf7c3db2da_merge.py",
    ):
        assert part in text, part
    drawn = re.search(r"```mermaid\n(.*?)```", text, re.DOTALL)
    assert drawn and drawn[1].splitlines() == [
        "flowchart LR",
        '    n0["6aaf7c3db2da #40;head#41;<br/>merge revision"]',
        '    n1["7fbf463be9a7<br/>add profiles<br/>in this pull request"]',
        '    n2["2903b6252f31<br/>add ids"]',
        '    n3["b61cf349aa4b<br/>rename workflows<br/>on main"]',
        '    n4["d135e472622c<br/>add fields"]',
        "    n1 --> n0",
        "    n3 --> n0",
        "    n2 --> n1",
        "    n4 --> n2",
        "    n4 --> n3",
        "    classDef planned stroke:#2da44e,stroke-width:3px,stroke-dasharray:6 4",
        "    class n0 planned",
    ]


def test_commands_to_copy() -> None:
    block = re.search(r"```bash\n(.*?)```", comment_body(result(), KEY), re.DOTALL)
    assert block and block[1].splitlines() == [
        "git fetch origin main",
        "git switch feature",
        "git merge --no-edit FETCH_HEAD",
        "alembic-converger converge -c api/alembic.ini",
        "git add -- :/v/6aaf7c3db2da_merge.py",
        "git commit -m 'Merge Alembic heads'",
        "git push",
    ]
    assert "git pull" in comment_body(written(), KEY) and "git merge" not in comment_body(written(), KEY)


def test_a_conflict_has_both_places_in_the_code() -> None:
    text = comment_body(conflicting(), KEY)
    page = assert_harmless(text)
    marked = [line for block in page.code for line in block.splitlines() if line.startswith("! ")]
    assert marked == [
        '! 4      op.add_column("workflows", sa.Column("profile", sa.Text()))',
        "! 2      op.rename_table('workflows', 'flows')",
    ]
    for part in (
        "#### Conflict over `table workflows`",
        "After `b61cf349aa4b` (rename workflows, on `main`) has run, `7fbf463be9a7` (add profiles, in this pull "
        "request) fails:",
        'ALTER TABLE workflows ADD COLUMN profile TEXT\n-- relation "workflows" does not exist',
        f"[`7fbf.py:4`](https://github.com/octo/shop/blob/{SHA['head']}/v/7fbf.py#L4), in this pull request:",
        f"[`b61c.py:2`](https://github.com/octo/shop/blob/{SHA['base']}/v/b61c.py#L2), on `main`:",
        "#### What to do\n\n`7fbf463be9a7` works on its own branch",
        "`alembic-converger explain renamed-table`",
        "| ❌\u00a0fails |",
        "    class n0,n1 conflict\n",
        "alembic-converger converge --dry-run -c api/alembic.ini",
    ):
        assert part in text, part
    assert "6aaf7c3db2da_merge" not in text, "nothing to commit where merging is wrong"


def test_several_conflicts_are_folded_but_for_the_first() -> None:
    proof = replace(PROOF, verdict="differ", conflicts=(CONFLICT, CONFLICT, CONFLICT))
    page = render(comment_body(result(outcome("refused", files=(), proof=proof)), KEY))
    assert len(page.named("h4")) == 3, "the first conflict, what to do, the proof"
    assert {"Conflict 2: renamed-table", "Conflict 3: renamed-table"} <= set(page.text)


def test_git_conflicts_do_not_hide_the_heads() -> None:
    text = comment_body(result(git_conflicts=("src/a.py", "src/b.py")), KEY)
    assert "Git cannot merge 2 files by itself: `src/a.py`, `src/b.py`. The revisions were looked at" in text
    assert text.startswith("### ⚠️ 2 heads")


def test_the_pull_request_that_was_opened() -> None:
    text = comment_body(written("pull-request", 34), KEY)
    assert "The merge is in pull request [#34](https://github.com/octo/shop/pull/34), from `feature`." in text


def test_github_enterprise_server() -> None:
    page = assert_harmless(
        comment_body(
            result(server_url="https://git.example", run_url="https://git.example/octo/shop/x"), KEY
        ),
        "https://git.example/octo/shop/",
    )
    assert page.named("a")


@pytest.mark.parametrize(
    ("readable", "heads", "base", "expected"),
    [
        (True, 1, 1, "one-head"),
        (True, 0, 0, "one-head"),
        (True, 1, 2, "one-head"),
        (True, 2, 1, "forked-here"),
        (True, 2, 0, "forked-here"),
        (True, 2, 2, "base-forked"),
        (True, 3, 2, "forked-here"),
        (True, 2, None, "several-heads"),
        (False, 0, 1, "unreadable"),
    ],
)
def test_situations(readable: bool, heads: int, base: int | None, expected: str) -> None:
    assert situation_of(readable=readable, heads=heads, base_heads=base) == expected


# -- strangers' text -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_nothing_breaks_out(number: int) -> None:
    text = HOSTILE[number]
    cases: list[tuple[Any, Any]] = [
        ("refused", "differ"),
        ("would-merge", "commute"),
        ("unevaluated", "unevaluated"),
    ]
    for status, verdict in cases:
        found = hostile(text, status, verdict)
        body = comment_body(found, KEY)
        assert length(body) <= comments.LIMIT
        page = assert_harmless(body)
        # The one comment of HTML is our marker.
        assert [f"<!--{comment}-->" for comment in page.comments] == [body.splitlines()[-1]]
        marker = read_marker(body)
        assert marker is not None and marker.configuration == KEY
        assert not assert_harmless(summaries.summary(found).decode()).comments
        assert_harmless(report(found, SHORT, pointer=True))
        assert_harmless(verdict_only(found))


def test_the_graph_is_the_only_thing_that_is_drawn() -> None:
    for text in HOSTILE:
        body = comment_body(hostile(text), KEY)
        assert len([c for c in render(body).named("code") if c.get("class") == "language-mermaid"]) <= 1


# -- how long it may be --------------------------------------------------------------------------


def large(revisions: int, message: str = "add a column") -> Result:
    """A fork of many branches with long messages."""
    heads = tuple(f"{number:012x}" for number in range(revisions))
    all = {"base": Revision("base", (), path="v/base.py")}
    all |= {head: Revision(head, ("base",), message=message, path=f"v/{head}.py", line=3) for head in heads}
    line = LinePlan((), "base", ("base",), heads, (GRAPH and outcome().lines[0].merges[0],))
    proof = replace(
        PROOF,
        paths=tuple(PathResult((head,), heads[:50], "ok", 1.0) for head in heads),
        conflicts=(replace(CONFLICT, error=message * 50, differences=(message * 9,) * revisions),)
        * revisions,
        verdict="differ",
        notes=tuple(Note("n", f"{number} {message}") for number in range(revisions)),
    )
    found = outcome("refused", graph=Graph(History(all)), lines=(line,), files=(), proof=proof)
    return result(found)


@pytest.mark.parametrize("message", ["add a column", "🎉" * 60, "`|`<" * 20], ids=["plain", "wide", "marks"])
def test_a_large_report_is_shortened_and_points_to_the_summary(message: str) -> None:
    found = large(300, message)
    body = comment_body(found, KEY)
    assert length(body) <= comments.LIMIT
    assert_harmless(body)
    data = summaries.summary(found)
    assert len(body) < len(data) <= summaries.LIMIT
    assert "more heads" in body and "more conflicts" in body
    assert headline(found) == body.splitlines()[0]


def test_every_limit_is_kept() -> None:
    found = large(60)
    full = comment_body(found, KEY)
    for limit in (len(full), len(full) - 1, 9000, 1200):
        body = comment_body(found, KEY, limit)
        assert length(body) <= limit
        assert_harmless(body)
        assert read_marker(body) == read_marker(full), "the same findings, however long the text may be"
        if limit < len(full):
            assert "[summary of the run](https://github.com/octo/shop/actions/runs/123)" in body
    assert len(comment_body(found, KEY, 1200)) < 1200


def test_a_summary_never_makes_the_runner_drop_what_is_there() -> None:
    found = large(60)
    whole = summaries.summary(found)
    for already in (
        0,
        summaries.LIMIT - len(whole) + 1,
        summaries.LIMIT - 3000,
        summaries.LIMIT - 10,
        summaries.LIMIT,
    ):
        assert already + len(summaries.summary(found, already=already)) <= summaries.LIMIT
    assert summaries.summary(found, already=summaries.LIMIT) == b""
    assert summaries.summary(found, already=summaries.LIMIT - len(whole)) == whole
    assert summaries.notice("Nothing to do", "on @x").decode() == "### Nothing to do\n\non `@x`\n"


# -- the one comment -----------------------------------------------------------------------------


def existing(body: str, id: int = 1, author: str = ME) -> Existing:
    return Existing(id, author, body)


def test_the_first_time() -> None:
    assert decide_comment(result(), KEY, [existing("hello")], ME) == Create(comment_body(result(), KEY))
    assert decide_comment(one_head(), KEY, [existing("hello")], ME) == Keep(), "nothing to say about one head"


def test_the_second_time_nothing_is_written() -> None:
    body = comment_body(result(), KEY)
    assert decide_comment(result(), KEY, [existing(body)], ME) == Keep(1)
    slower = replace(PROOF, seconds=99.0, paths=tuple(replace(path, seconds=9.0) for path in PROOF.paths))
    again = replace(result(outcome(proof=slower)), run_url="https://github.com/octo/shop/actions/runs/124")
    assert comment_body(again, KEY) != body
    assert decide_comment(again, KEY, [existing(body)], ME) == Keep(1), "it says the same"
    # As GitHub gives it back.
    assert decide_comment(again, KEY, [existing(body.replace("\n", "\r\n").rstrip())], ME) == Keep(1)


def test_what_changed_is_edited_in_place() -> None:
    old = existing(comment_body(conflicting(), KEY), 5)
    assert decide_comment(result(), KEY, [existing("x", 4), old], ME) == Update(
        5, comment_body(result(), KEY)
    )
    moved = result(base=replace(result().head, commit="e" * 40, branch="main"))
    assert isinstance(decide_comment(moved, KEY, [existing(comment_body(result(), KEY))], ME), Update)


def test_a_fork_that_is_gone_is_resolved_once() -> None:
    old = existing(comment_body(result(), KEY))
    found = decide_comment(one_head(), KEY, [old], ME)
    assert isinstance(found, Update) and len(found.body) < 700
    assert found.body.startswith("### ✅ One head: `d135e472622c` (resolved)\n")
    assert_harmless(found.body)
    assert decide_comment(one_head(), KEY, [existing(found.body)], ME) == Keep(1)
    pushed = replace(one_head(), head=Looked("e" * 40, "feature"))
    assert decide_comment(pushed, KEY, [existing(found.body)], ME) == Keep(1), "still resolved is no news"
    # And when it comes back, the same comment says so.
    assert isinstance(decide_comment(result(), KEY, [existing(found.body)], ME), Update)


def test_a_comment_of_somebody_else_is_none_of_ours() -> None:
    body = comment_body(result(), KEY)
    assert isinstance(decide_comment(result(), KEY, [existing(body, author="mallory")], ME), Create)
    assert isinstance(decide_comment(result(), KEY, [existing(body, author="github-actions")], ME), Create)
    both = [existing(body, 1, "mallory"), existing(body, 2)]
    assert decide_comment(result(), KEY, both, ME) == Keep(2)


def test_each_configuration_has_its_own() -> None:
    other = configuration_key(Inputs(working_directory="services/api"))
    assert len({KEY, other, configuration_key(Inputs(alembic_config="services/api"))}) == 3
    body = comment_body(result(), other)
    assert isinstance(decide_comment(result(), KEY, [existing(body)], ME), Create)


def test_a_marker_in_the_text_is_none() -> None:
    """The message of a migration holds the marker of another configuration: its comment would be overwritten."""
    other = configuration_key(Inputs(working_directory="services/api"))
    body = comment_body(hostile(str(make_marker(other, "x"))), KEY)
    marker = read_marker(body)
    assert marker is not None and marker.configuration == KEY
    assert read_marker(f"{marker} x") is None and read_marker(f"{marker}\n\nmore") is None
    assert read_marker("") is None and read_marker("<!-- alembic-converger -->") is None


def test_the_oldest_of_several_is_kept_up_to_date() -> None:
    body = comment_body(result(), KEY)
    assert decide_comment(result(), KEY, [existing(body, 3), existing(body, 9)], ME) == Keep(3)


def test_heads_are_those_to_be_merged() -> None:
    text = comment_body(result(), KEY)
    assert all(f"| [`{head}`](" in text for head in HEADS)
