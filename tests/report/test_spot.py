"""Which lines of a revision's source are about a thing."""

from __future__ import annotations

import warnings

import pytest

from converger.report.spot import Spot, find_spot

SOURCE = b'''\
import sqlalchemy as sa
from alembic import op

TABLE = "customers"


def helper():
    op.drop_table("customers")


def upgrade():
    """Changes customers."""
    op.create_table("other")
    with op.batch_alter_table("customers") as batch:
        batch.add_column(
            sa.Column("phone", sa.Text())
        )
        batch.add_column(sa.Column("fax", sa.Text()))
    op.alter_column(TABLE, "name", type_=sa.String(4))
    op.rename_table("old", "new")
    op.execute("UPDATE customers SET fax = phone")
'''


@pytest.mark.parametrize(
    ("name", "marked"),
    [
        ("public.customers.name", {19}),
        ("customers.fax", {18, 21}),
        ("public.new", {20}),
        ("OTHER", {13}),
        ("public.customers", {15, 16, 17, 18, 19, 21}),
    ],
)
def test_the_statements_about_a_thing(name: str, marked: set[int]) -> None:
    found = find_spot(SOURCE, [name])
    assert found == Spot(min(marked), max(marked), frozenset(marked))


def test_the_beginning_where_nothing_names_it() -> None:
    assert find_spot(SOURCE, ["public.nothing"]) == Spot(13, 20, frozenset()) == find_spot(SOURCE, [])
    assert find_spot(b"def upgrade():\n    run()\n", ["x"]) == Spot(2, 2, frozenset())


def test_what_is_far_below_is_left_out() -> None:
    far = b"".join(b"    op.create_table('t%d')\n" % number for number in range(50))
    drop = b"    op.drop_table('x')\n"
    found = find_spot(b"from alembic import op\ndef upgrade():\n" + drop + far + drop, ["x"])
    assert found == Spot(3, 3, frozenset({3}))


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\xff\x00",
        b"def upgrade(:",
        b"x = 1",
        b"upgrade = None",
        b"def upgrade():\n    pass\n",
        b"def upgrade():\n    'x'\n",
        b"(" * 5000,
        b"def upgrade():\n    x = " + b"-" * 100_000 + b"1\n",
        b"#" * 500_000,
        b"def upgrade():\n    if a: b()\n" + b"    elif a: b()\n" * 3000,
    ],
)
def test_what_cannot_be_read_is_no_place(source: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_spot(source, ["x"]) is None


def test_it_says_nothing_of_odd_source() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_spot(b"def upgrade():\n    x = '\\d' is 1\n", ["x"]) == Spot(2, 2, frozenset())
