"""Merge or re-parent, in words: what to edit, and what a database must not have run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from converger.reparent import Reparenting, order_result, reparentings
from converger.report.look import Look
from converger.report.visible import one_line

if TYPE_CHECKING:
    from converger.history import Graph
    from converger.outcome import Outcome
    from converger.plan import LinePlan

_ID = 40
_NAMED = 4
_PAGE = "docs/merge-or-reparent.md"


def reparent_hint(graph: Graph, lines: tuple[LinePlan, ...], look: Look) -> list[str]:
    """For `check`: the other way to one head, for the branch that began last. [] where there is none."""
    apart = [line for line in lines if len(line.heads) > 1]
    ways = reparentings(graph, apart[0]) if len(apart) == 1 else ()
    if not ways:
        return []
    way = ways[0]
    risk = "No database can skip anything by that"
    if way.skipped:
        risk = f"A database that has run it would silently skip {_some(way.skipped)}"
    begins = one_line(way.edit.revision, _ID)
    return [
        f"Or:   re-parent, if the proof shows that order to work and {begins} has run nowhere yet:",
        f"        {_edit(way, look)}",
        f"      {risk}. See {_PAGE}",
    ]


def reparent_advice(outcome: Outcome, look: Look) -> list[str]:
    """For a merge that was refused because the order matters: how to leave one order only. [] where that is no way."""
    ways, proof = ways_that_work(outcome), outcome.proof
    if not ways or proof is None:
        return []
    out = [look.paint("bold", "Instead of a merge: re-parent, so that only one order is left")]
    for way in ways:
        order = f"{_some(way.first)} first, then {_some(way.moved)}"
        what = "the order that works" if proof.verdict == "one-order" else "one of the orders that succeed"
        out += [f"  {order}: {what}", f"    {_edit(way, look)}"]
        if way.skipped:
            any_of = "any of " if len(way.moved) > 1 else ""
            out += textwrap.wrap(
                f"Only if no database has run {any_of}{_some(way.moved)} yet: one that has would be taken to be past"
                f" {_some((way.onto,))} as well, and silently skip {_some(way.skipped)}.",
                100,
                initial_indent="    ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return [*out, f"  We never edit a migration. {_PAGE} says how to find out, and what to do if one has."]


def ways_that_work(outcome: Outcome) -> list[Reparenting]:
    """The ways to one line of history whose only order the proof saw work, where merging was refused for its orders."""
    proof, graph = outcome.proof, outcome.graph
    if proof is None or graph is None or proof.verdict not in ("one-order", "differ"):
        return []
    merging = [line for line in outcome.lines if line.merges]
    if len(merging) != 1:
        return []
    ways = reparentings(graph, merging[0])
    return [way for way in ways if order_result(way, graph, proof.paths) == "works"]


def _edit(way: Reparenting, look: Look) -> str:
    edit = way.edit
    before, after = one_line(edit.before, 200), one_line(edit.after, 100)
    return f"{one_line(edit.place)}: down_revision = {before} {look.glyphs.arrow} {after}"


def _some(ids: tuple[str, ...]) -> str:
    names = [one_line(id, _ID) for id in ids]
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
