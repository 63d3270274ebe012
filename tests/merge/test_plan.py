"""Which heads are merged with which, under which id, date and message. Newest at the top, as Alembic draws."""

from __future__ import annotations

import hashlib
import itertools
import string
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converger.errors import ConfigurationError, CouldNotEvaluate, Refused
from converger.history import Graph, Revision
from converger.plan import EPOCH, make_plan, merge_message, moment, parse_create_date
from tests.merge.support import graph_of, rev


def id_of(*parents: str, counter: str = "") -> str:
    return hashlib.sha256(("\n".join(sorted(parents)) + counter).encode()).hexdigest()[:12]


def fan(*heads: str) -> Graph:
    """base <- each head."""
    return graph_of(rev("base"), *(rev(head, "base") for head in heads))


class TestLines:
    def test_one_head_needs_no_merge(self) -> None:
        (line,) = make_plan(graph_of(rev("a"), rev("b", "a")))
        assert (line.heads, line.merges, line.final_head, line.labels) == (("b",), (), "b", ())

    def test_no_revisions_no_lines(self) -> None:
        assert make_plan(graph_of()) == ()

    def test_base_is_the_lowest_common_ancestor(self) -> None:
        r"""
        e   f
        |   |
        c   d
         \ /
          b - a
        """
        (line,) = make_plan(
            graph_of(rev("a"), rev("b", "a"), rev("c", "b"), rev("d", "b"), rev("e", "c"), rev("f", "d"))
        )
        assert (line.base, line.base_state, line.heads) == ("b", ("b",), ("e", "f"))

    def test_criss_cross_has_a_base_state_of_two(self) -> None:
        r"""
        x   y     both descend from l and from r
        | X |
        l   r
         \ /
          a
        """
        (line,) = make_plan(
            graph_of(rev("a"), rev("l", "a"), rev("r", "a"), rev("x", "l", "r"), rev("y", "l", "r"))
        )
        assert (line.base, line.base_state) == ("a", ("l", "r"))

    def test_labels_keep_lines_apart(self) -> None:
        graph = graph_of(
            rev("a"),
            rev("e1", "a", branch_labels=("expand",)),
            rev("c1", "a", branch_labels=("contract",)),
            rev("e2", "e1"),
            rev("e3", "e1"),
            rev("c2", "c1"),
        )
        contract, expand = make_plan(graph)
        assert (contract.labels, contract.heads, contract.merges) == (("contract",), ("c2",), ())
        assert (expand.labels, expand.heads, expand.base) == (("expand",), ("e2", "e3"), "e1")
        assert expand.final_head == id_of("e2", "e3")

        (everything,) = make_plan(graph, across_labels=True)
        assert everything.heads == ("c2", "e2", "e3")
        assert (everything.base, everything.base_state) == ("a", ("a",))
        assert everything.labels == ("contract", "expand")

    def test_a_computed_label_counts_as_a_label(self) -> None:
        computed = frozenset({"branch_labels"})
        graph = graph_of(rev("a"), rev("b", "a", computed=computed), rev("c", "a", computed=computed))
        assert [line.heads for line in make_plan(graph)] == [("b",), ("c",)]

    def test_labelled_heads_on_different_bases_are_separate_lines(self) -> None:
        # One label on two bases is a problem of the history, but no reason to merge them.
        graph = graph_of(
            rev("a", branch_labels=("x",)),
            rev("b", branch_labels=("x",)),
            rev("a1", "a"),
            rev("a2", "a"),
            rev("b1", "b"),
        )
        assert [(line.heads, line.base) for line in make_plan(graph)] == [
            (("a1", "a2"), "a"),
            (("b1",), "b1"),
        ]

    def test_unlabelled_heads_without_common_ancestor_are_refused(self) -> None:
        graph = graph_of(rev("a"), rev("a1", "a"), rev("a2", "a"), rev("b"))
        with pytest.raises(Refused) as caught:
            make_plan(graph)
        assert caught.value.code == "no-common-ancestor"
        assert caught.value.exit_code == 1
        for id in ("a1 on base a", "a2 on base a", "b on base b"):
            assert id in caught.value.message
        assert caught.value.hint is not None
        assert "--from-revision" in caught.value.hint
        assert "--across-labels" in caught.value.hint

        (line,) = make_plan(graph, from_revisions=("a",))
        assert line.heads == ("a1", "a2")
        (line,) = make_plan(graph, across_labels=True)
        assert (line.heads, line.base, line.base_state) == (("a1", "a2", "b"), None, ())

    @pytest.mark.parametrize("labels", [(), ("x",)])
    def test_a_chain_of_shared_bases_is_no_line(self, labels: tuple[str, ...]) -> None:
        r"""
        h1   h2   h3      h1 and h2 share one, h2 and h3 share two, h1 and h3 nothing
         \  /  \  /
         one    two
        """
        graph = graph_of(
            rev("one", branch_labels=labels),
            rev("two", branch_labels=labels),
            rev("h1", "one"),
            rev("h2", "one", "two"),
            rev("h3", "two"),
        )
        assert all(graph.labels(head) == frozenset(labels) for head in graph.heads)
        with pytest.raises(Refused) as caught:
            make_plan(graph)
        assert caught.value.code == "no-common-ancestor"
        assert "h2 on base one and two" in caught.value.message
        (line,) = make_plan(graph, from_revisions=("one",))
        assert (line.heads, line.base) == (("h1", "h2"), "one")

    def test_two_bases_that_all_heads_share(self) -> None:
        graph = graph_of(rev("p"), rev("q"), rev("h1", "p", "q"), rev("h2", "p", "q"))
        (line,) = make_plan(graph)
        assert (line.base, line.base_state, line.heads) == (None, ("p", "q"), ("h1", "h2"))


class TestFromRevision:
    def graph(self) -> Graph:
        r"""
        d1   d2   c
          \  /    |
           b      |
            \    /
              a
        """
        return graph_of(rev("a"), rev("b", "a"), rev("c", "a"), rev("d1", "b"), rev("d2", "b"))

    def test_only_its_descendants_count(self) -> None:
        (line,) = make_plan(self.graph(), from_revisions=("b",))
        assert (line.heads, line.base) == (("d1", "d2"), "b")

    def test_a_head_is_its_own_descendant(self) -> None:
        (line,) = make_plan(self.graph(), from_revisions=("c",))
        assert (line.heads, line.merges) == (("c",), ())

    def test_several_ids_are_any_of_them(self) -> None:
        (line,) = make_plan(self.graph(), from_revisions=("d1", "c"))
        assert (line.heads, line.base) == (("c", "d1"), "a")

    def test_unknown(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            make_plan(self.graph(), from_revisions=("a", "zzz"))
        assert caught.value.code == "unknown-revision"
        assert "zzz" in caught.value.message

    def test_without_heads(self) -> None:
        graph = graph_of(rev("x", "y"), rev("y", "x"), rev("a"))
        with pytest.raises(ConfigurationError) as caught:
            make_plan(graph, from_revisions=("x",))
        assert caught.value.code == "from-revision-without-heads"


class TestMerges:
    def test_pairwise_folds_sorted_heads_left(self) -> None:
        (line,) = make_plan(fan("h3", "h1", "h2"))
        first, second = line.merges
        assert first.parents == ("h1", "h2")
        assert first.revision == id_of("h1", "h2")
        assert second.parents == tuple(sorted((first.revision, "h3")))
        assert second.revision == id_of(first.revision, "h3") == line.final_head
        assert first.message == "merge h1 and h2"

    def test_single(self) -> None:
        (line,) = make_plan(fan("h3", "h1", "h2"), strategy="single")
        (merge,) = line.merges
        assert merge.parents == ("h1", "h2", "h3")
        assert merge.revision == id_of("h1", "h2", "h3") == line.final_head
        assert merge.message == "merge h1, h2 and h3"

    def test_the_same_in_any_order_of_the_files(self) -> None:
        revisions = [rev("base"), *(rev(head, "base") for head in ("x", "y", "z"))]
        plans = {make_plan(graph_of(*order)) for order in itertools.permutations(revisions)}
        assert len(plans) == 1

    @pytest.mark.parametrize(
        "in_the_way",
        [
            lambda id: rev(id),
            lambda id: rev(id[:6]),  # `alembic upgrade` with six digits would mean this one
            lambda id: rev(id + "0"),
            lambda id: rev("other", branch_labels=(id,)),
        ],
    )
    def test_an_id_in_use_is_hashed_again(self, in_the_way) -> None:  # type: ignore[no-untyped-def]
        id = id_of("h1", "h2")
        other = in_the_way(id)
        other = Revision(id=other.id, down_revisions=(), branch_labels=other.branch_labels or ("other",))
        graph = graph_of(rev("base"), rev("h1", "base"), rev("h2", "base"), other)
        plan = next(line for line in make_plan(graph) if not line.labels)
        assert plan.final_head == id_of("h1", "h2", counter="\n1")

    def test_short_ids_are_in_nobodys_way(self) -> None:
        # With ids 0 to f in use, no hash could avoid them; Alembic completes to four characters or more only.
        digits = [rev(digit, "base" if i < 2 else "0") for i, digit in enumerate("0123456789abcdef")]
        (line,) = make_plan(graph_of(rev("base"), *digits))
        assert len({merge.revision for merge in line.merges}) == 14

    def test_no_free_id_is_an_error_and_no_endless_loop(self) -> None:
        every = ["".join(digits) for digits in itertools.product(string.hexdigits[:16], repeat=4)]
        graph = graph_of(
            rev("base"),
            *(rev(id, "base") for id in ("h1", "h2")),
            *(rev(id, branch_labels=("x",)) for id in every),
        )
        with pytest.raises(CouldNotEvaluate) as caught:
            make_plan(graph, from_revisions=("base",))
        assert caught.value.code == "no-free-revision-id"

    def test_message_takes_the_harm_out_of_ids(self) -> None:
        assert merge_message(['a\n"""+x', "é/../b"]) == "merge a_____x and __.._b"

    @given(st.lists(st.text("abcdef0123", min_size=1, max_size=6), min_size=2, max_size=6, unique=True))
    def test_every_plan_ends_in_one_head(self, heads: list[str]) -> None:
        graph = fan(*(f"h{head}" for head in heads))
        for strategy in ("pairwise", "single"):
            (line,) = make_plan(graph, strategy=strategy)  # type: ignore[arg-type]
            merged = graph.with_revisions(
                Revision(id=merge.revision, down_revisions=merge.parents) for merge in line.merges
            )
            assert merged.heads == (line.final_head,)
            assert make_plan(merged)[0].merges == ()


class TestCreateDate:
    def plan_date(self, *dates: str | None) -> datetime:
        heads = [rev(f"h{n}", "base", create_date=date) for n, date in enumerate(dates)]
        (line,) = make_plan(graph_of(rev("base", create_date="2001-01-01"), *heads), strategy="single")
        return line.merges[0].create_date

    def test_the_newest_parents(self) -> None:
        assert self.plan_date("2024-01-02 03:04:05.000006", "2023-12-31") == datetime(2024, 1, 2, 3, 4, 5, 6)

    def test_naive_is_utc_and_the_spelling_is_kept(self) -> None:
        newest = self.plan_date("2024-01-01 12:00:00", "2024-01-01 13:30:00+02:00")
        assert newest == datetime(2024, 1, 1, 12)
        newest = self.plan_date("2024-01-01 11:00:00", "2024-01-01 13:30:00+02:00")
        assert newest.isoformat() == "2024-01-01T13:30:00+02:00"

    def test_equal_moments_take_the_first_parents_spelling(self) -> None:
        assert self.plan_date("2024-01-01 12:00:00", "2024-01-01 13:00:00+01:00").tzinfo is None
        assert self.plan_date("2024-01-01 13:00:00+01:00", "2024-01-01 12:00:00").tzinfo is not None

    def test_a_parent_without_date_has_its_ancestors(self) -> None:
        graph = graph_of(
            rev("a", create_date="2020-01-01"),
            rev("b", "a", create_date="2022-02-02 01:02:03"),
            rev("c", "b"),
            rev("d", "a", create_date="2021-01-01"),
        )
        (line,) = make_plan(graph)
        assert line.merges[0].create_date == datetime(2022, 2, 2, 1, 2, 3)

    def test_a_later_merge_knows_the_date_of_the_one_before(self) -> None:
        heads = [rev("h1", "base", create_date="2024-05-05"), rev("h2", "base"), rev("h3", "base")]
        (line,) = make_plan(graph_of(rev("base"), *heads))
        assert [merge.create_date for merge in line.merges] == [datetime(2024, 5, 5)] * 2

    def test_no_date_anywhere(self) -> None:
        (line,) = make_plan(fan("h1", "h2"))
        assert line.merges[0].create_date == EPOCH == datetime(1970, 1, 1)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2014-11-20 13:31:50.811663", datetime(2014, 11, 20, 13, 31, 50, 811663)),
            ("2014-11-20 13:31:50", datetime(2014, 11, 20, 13, 31, 50)),
            ("  2014-11-20T13:31:50.8  ", datetime(2014, 11, 20, 13, 31, 50, 800000)),
            ("2014-11-20 13:31:50.8116631234", datetime(2014, 11, 20, 13, 31, 50, 811663)),
            ("2014-11-20 13:31:50,811", datetime(2014, 11, 20, 13, 31, 50, 811000)),
            ("2020-05-19 21:30.22.123", datetime(2020, 5, 19, 21, 30, 22, 123000)),  # Airflow's 0107
            ("2014-11-20 13:31", datetime(2014, 11, 20, 13, 31)),
            ("2014-11-20", datetime(2014, 11, 20)),
            ("2014-1-2", datetime(2014, 1, 2)),
            ("2014-11-20T13:31:50Z", datetime(2014, 11, 20, 13, 31, 50, tzinfo=timezone.utc)),
            ("2014-11-20 13:31:50 UTC", datetime(2014, 11, 20, 13, 31, 50, tzinfo=timezone.utc)),
            (
                "2014-11-20 13:31:50.1-0530",
                datetime(2014, 11, 20, 13, 31, 50, 100000, timezone(-timedelta(hours=5, minutes=30))),
            ),
            (
                "2014-11-20 13:31:50 +02:00",
                datetime(2014, 11, 20, 13, 31, 50, tzinfo=timezone(timedelta(hours=2))),
            ),
        ],
    )
    def test_shapes_found_in_the_wild(self, text: str, expected: datetime) -> None:
        found = parse_create_date(text)
        assert found == expected
        assert found is not None
        assert found.utcoffset() == expected.utcoffset()

    @pytest.mark.parametrize(
        "text",
        [None, "", "yesterday", "2014-13-01", "2014-02-30 10:00:00", "2014-11-20 25:00:00", "${create_date}",
         "2014-11-20 10:00:00+99:00", "0001-01-01 00:00:00+14:00", "9999-12-31 23:59:59-14:00",
         "2014-11-20 10:00:00 by me", "٢٠١٤-١١-٢٠"],
    )  # fmt: skip
    def test_junk_is_no_date(self, text: str | None) -> None:
        assert parse_create_date(text) is None

    @given(st.datetimes(timezones=st.none() | st.just(timezone.utc) | st.timezones()))
    def test_what_python_prints_is_read_back(self, date: datetime) -> None:
        found = parse_create_date(str(date))
        if found is None:  # only at the ends of time, where UTC is out of range
            assert date.year in (1, 9999)
        else:
            assert moment(found) == moment(date)
            assert str(found) == str(date)
