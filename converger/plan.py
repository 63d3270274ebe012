"""Heads to merges: pure, deterministic, knows nothing of files, git or databases."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

from converger.errors import ConfigurationError, CouldNotEvaluate, Refused

if TYPE_CHECKING:
    from converger.history.graph import Graph

Strategy = Literal["pairwise", "single"]

EPOCH = datetime(1970, 1, 1)
_ATTEMPTS = 1000
_DIGITS = 12


@dataclass(frozen=True)
class PlannedMerge:
    """One merge revision to be written. `parents` are sorted and are its down_revision, in that order.

    `create_date` is the newest parent's; naive dates are taken as UTC wherever a moment is needed.
    """

    revision: str
    parents: tuple[str, ...]
    create_date: datetime
    message: str


@dataclass(frozen=True)
class LinePlan:
    """The merges of one line of history (heads with the same labels and a common ancestor).

    `base` is the lowest revision that all heads descend from (None only across bases). `base_state`
    is the set of maximal common ancestors, sorted: mostly `(base,)`, several after criss-cross merges,
    empty when there is no common ancestor. `merges` is in the order in which they build on each other.
    """

    labels: tuple[str, ...]
    base: str | None
    base_state: tuple[str, ...]
    heads: tuple[str, ...]
    merges: tuple[PlannedMerge, ...]

    @property
    def final_head(self) -> str:
        """The head that this line has once its merges are written."""
        return self.merges[-1].revision if self.merges else self.heads[0]


def make_plan(
    graph: Graph,
    *,
    from_revisions: tuple[str, ...] = (),
    strategy: Strategy = "pairwise",
    across_labels: bool = False,
) -> tuple[LinePlan, ...]:
    """Return one plan per line of history, sorted by labels and heads; a line with one head has no merges.

    `from_revisions` are ids in the graph: only heads that are one of them, or descend from one, count.
    `across_labels` merges everything into one line, even where there is no common ancestor.

    Raises Refused (`no-common-ancestor`) for heads that nobody keeps apart on purpose and that have no
    common ancestor, ConfigurationError (`unknown-revision`, `from-revision-without-heads`) where
    `from_revisions` select nothing.
    """
    heads = _selected_heads(graph, from_revisions)
    if not heads:
        return ()
    if across_labels:
        groups = {tuple(sorted(frozenset[str]().union(*map(graph.labels, heads)))): [list(heads)]}
    else:
        by_labels: dict[tuple[str, ...], list[str]] = {}
        for head in heads:
            by_labels.setdefault(tuple(sorted(graph.labels(head))), []).append(head)
        groups = {labels: _lines(graph, labels, group) for labels, group in sorted(by_labels.items())}

    dates = _Dates(graph)
    names = _Names(graph)
    return tuple(
        LinePlan(
            labels=labels,
            base=graph.common_base(line),
            base_state=tuple(graph.lowest_common_ancestors(line)),
            heads=tuple(line),
            merges=_merges(line, strategy, names, dates),
        )
        for labels, lines in groups.items()
        for line in lines
    )


def _selected_heads(graph: Graph, from_revisions: tuple[str, ...]) -> list[str]:
    if not from_revisions:
        return sorted(graph.heads)
    unknown = sorted(set(from_revisions) - set(graph.revisions))
    if unknown:
        raise ConfigurationError(
            f"{_and(unknown)}: no such revision in this history",
            code="unknown-revision",
            hint="name a revision that `alembic-converger graph` shows",
        )
    reachable = graph.descendants(from_revisions)
    heads = sorted(head for head in graph.heads if head in reachable)
    if not heads:
        raise ConfigurationError(
            f"no head descends from {_and(sorted(from_revisions))}",
            code="from-revision-without-heads",
            hint="name a revision below the heads, or leave --from-revision out",
        )
    return heads


def _roots(graph: Graph, head: str) -> frozenset[str]:
    return frozenset(id for id in graph.ancestors([head]) if not graph.parents(id))


def _lines(graph: Graph, labels: tuple[str, ...], heads: list[str]) -> list[list[str]]:
    """Split heads with the same labels into lines: those connected by common ancestors.

    Two heads have a common ancestor just when they reach a common root, so roots stand for ancestors.
    """
    if len(heads) == 1:
        return [heads]
    roots = {head: _roots(graph, head) for head in heads}
    lines: list[tuple[set[str], list[str]]] = []
    for head in heads:
        reached, members = set(roots[head]), [head]
        for line in [line for line in lines if line[0] & reached]:
            reached |= line[0]
            members += line[1]
            lines.remove(line)
        lines.append((reached, sorted(members)))
    found = sorted(line[1] for line in lines)

    if len(found) > 1 and not labels:
        raise _no_common_ancestor(heads, roots)
    for members in found:
        # a and b share a base, b and c share another, a and c share none.
        if not frozenset.intersection(*(roots[head] for head in members)):
            raise _no_common_ancestor(members, roots)
    return found


def _no_common_ancestor(heads: list[str], roots: Mapping[str, frozenset[str]]) -> Refused:
    where = "; ".join(f"{head} on base {_and(sorted(roots[head]))}" for head in sorted(heads))
    return Refused(
        f"these heads have no common ancestor, so nothing says that they belong together: {where}",
        code="no-common-ancestor",
        hint=(
            "merge one line at a time with --from-revision REVISION; or give the bases branch labels, "
            "if the lines are separate on purpose; or merge them all with --across-labels"
        ),
    )


def _and(names: Iterable[str]) -> str:
    names = list(names)
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def merge_message(parents: Iterable[str]) -> str:
    """Return `merge A and B`. It goes into file names and code, so odd characters in ids become `_`."""
    return "merge " + _and(re.sub(r"[^\w.-]", "_", parent, flags=re.ASCII) for parent in parents)


def _merges(heads: list[str], strategy: Strategy, names: _Names, dates: _Dates) -> tuple[PlannedMerge, ...]:
    merges: list[PlannedMerge] = []

    def plan(parents: Iterable[str]) -> str:
        sorted_parents = tuple(sorted(parents))
        revision = names.new(sorted_parents)
        date = dates.newest(sorted_parents) or EPOCH
        dates.known[revision] = date
        merges.append(PlannedMerge(revision, sorted_parents, date, merge_message(sorted_parents)))
        return revision

    if len(heads) > 1 and strategy == "single":
        plan(heads)
    else:
        merged = heads[0]
        for head in heads[1:]:
            merged = plan((merged, head))
    return tuple(merges)


class _Names:
    """Gives out revision ids that follow from the parents alone, and that nobody can mistake for another."""

    def __init__(self, graph: Graph) -> None:
        self.taken = set(graph.revisions)
        for revision in graph.revisions.values():
            self.taken.update(revision.branch_labels)
        self.begun = {other[:_DIGITS] for other in self.taken if len(other) > _DIGITS}

    def new(self, parents: tuple[str, ...]) -> str:
        """Return the first 12 hex digits of a hash of the parents; with a counter while that is taken."""
        for attempt in range(_ATTEMPTS):
            text = "\n".join([*parents, *([str(attempt)] if attempt else [])])
            id = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
            if not self.ambiguous(id):
                self.taken.add(id)
                return id
        raise CouldNotEvaluate(
            f"found no free revision id for a merge of {_and(parents)}", code="no-free-revision-id"
        )

    def ambiguous(self, id: str) -> bool:
        # Alembic completes an abbreviated id only to ids of four characters or more.
        return id in self.begun or any(id[:length] in self.taken for length in range(4, len(id) + 1))


class _Dates:
    """Create dates. `known` also holds those of merges that are planned and not in the graph yet."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[str, datetime | None] = {}

    def newest(self, ids: Iterable[str]) -> datetime | None:
        """Return the newest of these revisions' dates; of equal moments the first one's spelling."""
        dates = [date for date in map(self.of, ids) if date is not None]
        return max(dates, key=moment, default=None)

    def of(self, id: str) -> datetime | None:
        """Return this revision's own date; if it has none, the newest among its ancestors."""
        if id not in self.known:
            own = self.own(id)
            if own is None:
                above = [self.own(ancestor) for ancestor in sorted(self.graph.ancestors([id]))]
                own = max((date for date in above if date is not None), key=moment, default=None)
            self.known[id] = own
        return self.known[id]

    def own(self, id: str) -> datetime | None:
        return parse_create_date(self.graph.revisions[id].create_date)


_CREATE_DATE = re.compile(
    r"""(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})
    (?:(?:[ ]+|[ ]?T[ ]?)
       (?P<hour>\d{1,2}):(?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?(?:[.,](?P<fraction>\d+))?
       (?:[ ]*(?P<zone>Z|UTC|GMT|(?P<sign>[+-])(?P<off_hours>\d{2}):?(?P<off_minutes>\d{2})
          (?::?(?P<off_seconds>\d{2})(?:\.\d+)?)?))?
    )?""",
    re.ASCII | re.VERBOSE | re.IGNORECASE,
)


def parse_create_date(text: str | None) -> datetime | None:
    """Read the text behind "Create Date:", with or without time, fraction and offset; None if it is no date.

    The result is aware just when the text names an offset.
    """
    match = _CREATE_DATE.fullmatch((text or "").strip())
    if match is None:
        return None
    part = match.groupdict()
    zone = None
    try:
        if part["sign"]:
            offset = timedelta(
                hours=int(part["off_hours"]),
                minutes=int(part["off_minutes"]),
                seconds=int(part["off_seconds"] or 0),
            )
            zone = timezone(-offset if part["sign"] == "-" else offset)
        elif part["zone"]:
            zone = timezone.utc
        date = datetime(
            int(part["year"]),
            int(part["month"]),
            int(part["day"]),
            int(part["hour"] or 0),
            int(part["minute"] or 0),
            int(part["second"] or 0),
            int((part["fraction"] or "")[:6].ljust(6, "0")),
            tzinfo=zone,
        )
        moment(date)
    except (ValueError, OverflowError):
        return None
    return date


def moment(date: datetime) -> datetime:
    """Return the moment of a create date in UTC; a naive one is taken as UTC."""
    return date.replace(tzinfo=timezone.utc) if date.tzinfo is None else date.astimezone(timezone.utc)
