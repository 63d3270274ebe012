"""The graph's answers on small histories that a person can check."""

from __future__ import annotations

import pytest

from converger.history import Graph, History, Problem, Revision


def _graph(*revisions: Revision) -> Graph:
    return Graph(History({revision.id: revision for revision in revisions}))


DIAMOND = (
    Revision("base", ()),
    Revision("left", ("base",)),
    Revision("right", ("base",)),
    Revision("merge", ("left", "right")),
    Revision("one", ("merge",)),
    Revision("two", ("merge",)),
)


def test_ends_and_walks() -> None:
    graph = _graph(*DIAMOND)
    assert graph.heads == graph.effective_heads == ("one", "two")
    assert graph.bases == ("base",)
    assert graph.parents("merge") == ("left", "right")
    assert graph.children("base") == ("left", "right")
    assert graph.ancestors(["merge"]) == {"base", "left", "right", "merge"}
    assert graph.descendants(["left"]) == {"left", "merge", "one", "two"}
    assert graph.topological(["one", "left", "base", "right"]) == ("base", "left", "right", "one")
    assert graph.lowest_common_ancestors(["one", "two"]) == ("merge",)
    assert graph.lowest_common_ancestors(["one"]) == ("one",)
    assert graph.lowest_common_ancestors([]) == ()
    assert graph.common_base(["one", "left"]) == "left"


def test_criss_cross_merges_have_two_lowest_ancestors_and_one_base() -> None:
    graph = _graph(
        *DIAMOND[:3],
        Revision("m1", ("left", "right")),
        Revision("m2", ("right", "left")),
    )
    assert graph.lowest_common_ancestors(["m1", "m2"]) == ("left", "right")
    assert graph.common_base(["m1", "m2"]) == "base"


def test_heads_without_a_common_base() -> None:
    graph = _graph(Revision("a", ()), Revision("b", ()), Revision("x", ("a", "b")), Revision("y", ("a", "b")))
    assert graph.lowest_common_ancestors(["x", "y"]) == ("a", "b")
    assert graph.common_base(["x", "y"]) is None
    assert graph.common_base(["a", "b"]) is None


def test_dependencies_count_where_asked() -> None:
    graph = _graph(
        Revision("a", (), branch_labels=("red",)),
        Revision("a2", ("a",)),
        Revision("b", (), depends_on=("red",)),
        Revision("b2", ("b",), depends_on=("a2",)),
    )
    assert graph.dependencies("b") == ("a",) and graph.dependencies("a") == ()
    assert graph.heads == ("a2", "b2") and graph.effective_heads == ("b2",)
    assert graph.ancestors(["b2"]) == {"b", "b2"}
    assert graph.ancestors(["b2"], dependencies=True) == {"a", "a2", "b", "b2"}
    assert graph.maximal(["a", "a2", "b"]) == ("a2", "b")
    assert graph.maximal(["a", "a2", "b", "b2"]) == ("b2",)
    assert graph.maximal(["a", "a2", "b", "b2"], dependencies=False) == ("a2", "b2")


def test_a_maximal_set_sees_through_what_is_not_in_it() -> None:
    graph = _graph(*DIAMOND)
    assert graph.maximal(["base", "one"]) == ("one",)


def test_labels_spread_down_and_up_an_unbranched_line_only() -> None:
    line = _graph(
        Revision("a", ()),
        Revision("b", ("a",)),
        Revision("c", ("b",), branch_labels=("red",)),
        Revision("d", ("c",)),
    )
    assert {id: set(line.labels(id)) for id in "abcd"} == {id: {"red"} for id in "abcd"}
    forked = line.with_revisions([Revision("x", ("a",))])
    assert {id: set(forked.labels(id)) for id in "abcdx"} == {
        "a": set(),
        "b": {"red"},
        "c": {"red"},
        "d": {"red"},
        "x": set(),
    }


def test_airflows_label_none_is_no_label() -> None:
    graph = _graph(Revision("a", (), branch_labels=("None",)))
    assert graph.labels("a") == frozenset()
    assert graph.revisions["a"].branch_labels == ("None",)


def test_resolve() -> None:
    graph = _graph(
        Revision("abcd12", ()), Revision("abcd34", (), branch_labels=("expand",)), Revision("abc", ())
    )
    assert graph.resolve("abc") == "abc"
    assert graph.resolve("abcd1") == "abcd12"
    assert graph.resolve("expand") == graph.resolve("expa") == "abcd34"
    for text, said in (("ab", "four|4"), ("abcd", "2 revisions"), ("nope", "no revision"), ("", "4")):
        with pytest.raises(LookupError, match=said):
            graph.resolve(text)


def test_unknown_ids_are_key_errors() -> None:
    graph = _graph(*DIAMOND)
    for ask in (graph.parents, graph.dependencies, graph.children, graph.labels):
        with pytest.raises(KeyError):
            ask("nope")
    for walk in (graph.ancestors, graph.descendants, graph.topological, graph.maximal, graph.common_base):
        with pytest.raises(KeyError):
            walk(["nope"])


def test_more_revisions_make_a_new_graph() -> None:
    problem = Problem("x", "warning", "y")
    before = Graph(History({r.id: r for r in DIAMOND}, (problem,)))
    after = before.with_revisions([Revision("join", ("one", "two"))])
    assert before.heads == ("one", "two") and after.heads == ("join",)
    assert after.history.problems == (problem,)


def test_a_very_long_line_is_no_recursion() -> None:
    revisions = [Revision("r0", (), branch_labels=("red",))]
    revisions += [Revision(f"r{n}", (f"r{n - 1}",)) for n in range(1, 20_000)]
    graph = _graph(*revisions)
    assert len(graph.ancestors(graph.heads)) == 20_000
    assert graph.topological(["r19999", "r5"]) == ("r5", "r19999")
    assert graph.labels("r19999") == {"red"}
    assert graph.common_base(["r19999", "r700"]) == "r700"


def test_long_cycles_are_found_in_reasonable_time() -> None:
    from converger.history.checks import check

    ring = [Revision(f"r{n:05}", (f"r{(n - 1) % 5000:05}",)) for n in range(5000)]
    tail = [Revision("t0", ("r00000",))] + [Revision(f"t{n}", (f"t{n - 1}",)) for n in range(1, 5000)]
    [problem] = check(ring + tail, set()).problems
    assert problem.code == "cycle" and "and 4990 more" in problem.message
