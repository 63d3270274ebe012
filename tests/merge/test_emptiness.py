"""What counts as an empty merge: allowed things one by one, then everything that must not pass."""

from __future__ import annotations

import textwrap

import pytest

from converger.emptiness import why_not_empty

HEADER = '''\
"""merge a and b

Revision ID: c
"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa

revision: str = "c"
down_revision: Union[str, Sequence[str], None] = ("a", "b")
branch_labels: str | None = None
depends_on = None
'''


def judged(source: str) -> list[str]:
    return [f"{reason.line}: {reason.message}" for reason in why_not_empty(textwrap.dedent(source))]


@pytest.mark.parametrize(
    "body",
    [
        "def upgrade():\n    pass\n\ndef downgrade():\n    pass\n",
        "def upgrade() -> None:\n    ...\n",
        'def upgrade():\n    """Nothing to do."""\n\ndef downgrade():\n    """Nothing."""\n    pass\n',
        "def upgrade():\n    return\n\ndef downgrade():\n    return None\n",
        'def upgrade(engine_name: str):\n    globals()["upgrade_%s" % engine_name]()\n\ndef upgrade_one():\n    pass\n',
        "def upgrade():\n    first()\n    second()\n\ndef first():\n    pass\n\ndef second():\n    ...\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import B\n\ndef upgrade():\n    pass\n",
        "from shop.types import *\n\ndef upgrade():\n    pass\n\ndef downgrade():\n    pass\n",
        "x = y = (1, -2.5, 'a' 'b', None, [sa.Integer], {'k': {1, 2}})\n\ndef upgrade():\n    pass\n",
        "def upgrade(a=None, *args: Sequence[str], b: 'str' = 'x', **kwargs) -> None:\n    pass\n",
        "class Marker:\n    '''No code.'''\n    name: str\n\ndef upgrade():\n    pass\n",
        "# op.execute('in a comment')\ndef upgrade():\n    'op.execute(1)'\n    # op.drop_table('x')\n    pass\n",
    ],
)
def test_empty(body: str) -> None:
    assert judged(HEADER + body) == []


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ("def upgrade():\n    op.execute('x')\n", 2, "code in upgrade(): op.execute('x')"),
        ("def upgrade():\n    pass\n    op.drop_table('x')\n", 3, "code in upgrade()"),
        ("def downgrade():\n    op.execute('x')\n", 2, "code in downgrade()"),
        ("def upgrade():\n    if False:\n        pass\n", 2, "code in upgrade()"),
        ("def upgrade():\n    return op.execute('x')\n", 2, "code in upgrade()"),
        ("def upgrade():\n    (op.execute('x'))\n", 2, "code in upgrade()"),
        ("def upgrade():\n    f'{op.execute(1)}'\n", 2, "code in upgrade()"),
        ("def upgrade():\n    x = 1\n", 2, "code in upgrade()"),
        ("def upgrade():\n    helper()\n", 2, "code in upgrade()"),
        ("def upgrade():\n    def inner(): pass\n    inner()\n", 2, "code in upgrade()"),
        ("def upgrade():\n    helper()\n\ndef helper():\n    op.execute('x')\n", 5, "code in helper()"),
        ("def helper():\n    pass\n\ndef upgrade(helper):\n    helper()\n", 5, "code in upgrade()"),
        ("def helper():\n    pass\n\ndef upgrade():\n    helper(op.execute('x'))\n", 5, "code in upgrade()"),
        ("async def upgrade():\n    pass\n", 1, "code at module level"),
        ("op.execute('x')\n", 1, "code at module level"),
        ("x = op.execute('x')\n", 1, "code at module level"),
        ("x: op.execute('x') = 1\n", 1, "code in an annotation"),
        ("x = [op.execute(q) for q in 'ab']\n", 1, "code at module level"),
        ("x = lambda: 1\n", 1, "code at module level"),
        ("x = sa['a']\n", 1, "code at module level"),
        ("x = f'{sa}'\n", 1, "code at module level"),
        ("sa.x = 1\n", 1, "code at module level"),
        ("x += 1\n", 1, "code at module level"),
        ("del x\n", 1, "code at module level"),
        ("if True:\n    import os\n", 1, "code at module level"),
        ("if TYPE_CHECKING:\n    op.execute('x')\n", 2, "code at module level"),
        ("if TYPE_CHECKING:\n    import os\nelse:\n    op.execute('x')\n", 1, "code at module level"),
        ("try:\n    import a\nexcept ImportError:\n    a = None\n", 1, "code at module level"),
        ("with op.f():\n    pass\n", 1, "code at module level"),
        ("upgrade = op.execute\n", 1, "replaces a function"),
        ("a, (upgrade) = 1, op.execute\n", 1, "replaces a function"),
        ("def upgrade():\n    pass\ndowngrade = upgrade = sa.x\n", 3, "replaces a function"),
        ("from shop import upgrade\n", 1, "takes a function from another module"),
        ("from shop import run as downgrade\n", 1, "takes a function from another module"),
        ("import shop.upgrade as upgrade\n", 1, "takes a function from another module"),
        ("from shop import *\n", 1, "may replace"),
        ("def upgrade(): pass\nfrom shop import *\ndef downgrade(): pass\n", 2, "may replace"),
        ("def upgrade():\n    step()\ndef step(): pass\nfrom shop import step\n", 4, "takes a function"),
        ("@op.run\ndef upgrade():\n    pass\n", 1, "decorator of upgrade"),
        ("def upgrade(x=op.execute('x')):\n    pass\n", 1, "default argument of upgrade"),
        ("def upgrade(*, x=op.execute('x')):\n    pass\n", 1, "default argument of upgrade"),
        ("def upgrade(x: op.execute('x')):\n    pass\n", 1, "annotation in upgrade"),
        ("def upgrade() -> op.execute('x'):\n    pass\n", 1, "annotation in upgrade"),
        ("class A:\n    op.execute('x')\n", 2, "code in class A"),
        ("class A:\n    x = 1\n", 2, "code in class A"),
        ("class A(op.Base):\n    pass\n", 1, "code in class A"),
        ("class A(metaclass=sa.Meta):\n    pass\n", 1, "code in class A"),
        ("class upgrade:\n    pass\n", 1, "replaces a function"),
        ('def upgrade():\n    globals()["upgrade_%s" % name]()\n', 2, "code in upgrade()"),
        ('def upgrade(name):\n    globals()["upgrade_%s" % name](1)\n', 2, "code in upgrade()"),
        ('def upgrade(name):\n    globals()["%s" % name]()\n', 2, "code in upgrade()"),
        ('def upgrade(name, globals):\n    globals()["upgrade_%s" % name]()\n', 2, "code in upgrade()"),
        (
            'from shop import upgrade_one\ndef upgrade(name):\n    globals()["upgrade_%s" % name]()\n',
            1,
            "takes a function",
        ),
        (
            'from shop import globals\ndef upgrade(name):\n    globals()["upgrade_%s" % name]()\n',
            1,
            "takes a function",
        ),
        (
            "from shop import *\ndef upgrade(name):\n"
            '    globals()["upgrade_%s" % name]()\ndef downgrade(name): pass\n',
            3,
            "code in upgrade()",
        ),
        ('def upgrade(name):\n    globals()["upgrade_%s" % name]()\nupgrade_x = op.execute\n', 3, "replaces"),
    ],
)
def test_not_empty(body: str, line: int, said: str) -> None:
    reasons = why_not_empty(body)
    assert reasons, "this was judged to be empty"
    assert reasons[0].line == line
    assert said in reasons[0].message


@pytest.mark.parametrize(
    "source",
    [
        "def upgrade(:\n",
        "print 'python 2'\n",
        "x = 1\0\n",
        b"# coding: no-such-codec\n",
        b"\xff\xfe",
        "(" * 5000,
    ],
)
def test_what_cannot_be_parsed_is_not_empty(source: str | bytes) -> None:
    (reason,) = why_not_empty(source)
    assert "cannot be parsed" in reason.message


def test_every_reason_is_listed_by_line() -> None:
    source = "x = f()\ndef upgrade():\n    a()\n    b()\ny = g()\n"
    assert [reason.line for reason in why_not_empty(source)] == [1, 3, 4, 5]


def test_fetching_the_connection_is_not_nothing_but_no_operation_either() -> None:
    (reason,) = why_not_empty("def upgrade():\n    conn = op.get_bind()\n")
    assert reason.reads_only
    (reason,) = why_not_empty("def upgrade():\n    conn = op.get_bind(op.execute('x'))\n")
    assert not reason.reads_only


def test_a_latin_1_file_is_read_by_its_cookie() -> None:
    source = "# -*- coding: latin-1 -*-\n'é'\ndef upgrade():\n    pass\n".encode("latin-1")
    assert why_not_empty(source) == ()


def test_alembics_own_multidb_template_is_empty() -> None:
    # As `alembic merge` renders it for databases = one, two.
    source = '''
        def upgrade(engine_name: str) -> None:
            """Upgrade schema."""
            globals()["upgrade_%s" % engine_name]()

        def downgrade(engine_name: str) -> None:
            globals()["downgrade_%s" % engine_name]()

        def upgrade_one() -> None:
            """Upgrade one schema."""
            pass

        def downgrade_one() -> None:
            pass
    '''
    assert judged(source) == []
