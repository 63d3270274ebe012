"""Random spellings of the identifiers: read as Python would leave them, or reported as computed. Never wrong."""

from __future__ import annotations

import ast
import random
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from converger.history.fastpath import Header, Headers, read_header
from converger.history.identifiers import ABSENT, Computed, read_identifiers
from converger.history.source import parse
from tests.history.spellings import NAMES, modules, truth


@settings(
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(modules())
def test_random_modules_are_never_read_wrongly(text: str) -> None:
    real = truth(text)
    if real is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_tree(text.encode(), real)
    _check_header(read_header(text.encode()), text.encode(), real)


FILES = (
    '''"""add "x" column

Revision ID: abc
Create Date: 2024

"""
from typing import Sequence as S, Union
import os, sys

# revision identifiers
revision: str = "abc"  # c
down_revision: Union[str, None] = ('p', "q",)
branch_labels = ["l"]
depends_on = None


def upgrade():
    x = "z"
    pass

def downgrade():
    pass
''',
    """'''m'''
from os import (
    path,
    sep as r,
)
'''second'''
revision = 'a'
down_revision = None
def upgrade(): pass
x = {'a': 1}
""",
    '"""m"""\n# "revision" id\nrevision = "a"\ndown_revision = ("b", "c")  # see "d"\ndepends_on = ["x"]\n\ndef upgrade():\n    pass\n',
    '"""m"""\nrevision: str = "a"\ndown_revision = \'b\'\nbranch_labels = None\n\ndef upgrade():\n    pass\n',
    "# -*- coding: utf-8 -*-\nrevision = 'a'\ndown_revision = 'b'\nclass A:\n  __tablename__ = 'x'\n",
)
SYMBOLS = (
    "\" ' \"\"\" ''' \\ # ( ) , ; : = [ ] { } + - * @ := lambda: async else None u r f b é \ufeff \0 \u2028 \x85 \x0b \x1c \f"
).split(" ")
PIECES = [
    *SYMBOLS,
    *(
        "\n",
        " ",
        "\t",
        "\r",
        "\r\n",
        "    ",
        "\\\n",
        "if 1:\n",
        "def f():\n",
        "class Q:\n",
        "'a'",
        '"a"',
        "None",
    ),
    *(
        "revision",
        'depends_on = "z"\n',
        'branch_labels = ("a"',
        "import *",
        "from os import *\n",
        "as revision",
    ),
    *(
        "global revision\n",
        "del revision\n",
        'exec("revision=3")\n',
        "# coding: latin-1\n",
        "# coding: utf-8\n",
    ),
    *(
        "ｒevision = 1\n",
        'ｄepends_on="q"\n',
        "revision = down_revision\n",
        "__doc__ = 'z'\n",
        "globals()['revision']=1\n",
    ),
    *(
        "def __getattr__(n): return 'g'\n",
        "locals().clear()\n",
        "vars().pop('revision')\n",
        "import os as revision\n",
    ),
]


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_never_read_wrongly(seed: int) -> None:
    """Characters, tokens and lines inserted, removed and moved: what the fast path makes of quotes and brackets."""
    generator = random.Random(seed)
    headers = Headers()  # it learns the shapes of these files, and must not take a mutated one for them
    for file in FILES:
        headers.read(file.encode())
    compared = 0
    for _ in range(6000):
        text = generator.choice(FILES)
        for _ in range(generator.randint(1, 4)):
            text = _mutated(text, generator)
        data = text.encode()
        real = truth(data)
        if real is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_tree(data, real)
        compared += _check_header(read_header(data), data, real)
        _check_header(headers.read(data), data, real)
    assert compared > 200  # the fast path was really asked


def _mutated(text: str, generator: random.Random) -> str:
    at = generator.randrange(len(text) + 1)
    kind = generator.random()
    if kind < 0.6:
        return text[:at] + generator.choice(PIECES) + text[at:]
    if kind < 0.8:
        return text[:at] + text[at + generator.randint(1, 3) :]
    if kind < 0.9:
        lines = text.split("\n")
        lines.insert(generator.randrange(len(lines)), generator.choice(lines))
        return "\n".join(lines)
    return text[:at] + text[at : at + 30] + text[at:]


def _check_tree(data: bytes, real: dict[str, Any]) -> None:
    source = parse(data)
    assert source.tree is not None and source.broken is None
    found = read_identifiers(source.tree)
    for name in NAMES:
        value = getattr(found, name)
        if not isinstance(value, Computed):
            expected = real.get(name, ABSENT)
            assert value == expected and type(value) is type(expected), (name, value, expected)


def _check_header(header: Header | None, data: bytes, real: dict[str, Any]) -> bool:
    if header is None:
        return False
    assert header.revision == real["revision"]
    assert header.down_revisions == _as_tuple(real["down_revision"])
    assert header.branch_labels == _as_tuple(real.get("branch_labels"))
    assert header.depends_on == _as_tuple(real.get("depends_on"))
    assert header.doc == ast.get_docstring(ast.parse(data), clean=False)
    return True


def _as_tuple(value: Any) -> Any:
    return () if value is None else (value,) if isinstance(value, str) else value


# -- one by one: what the fast path takes, so that it is known to be used --------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("revision = 'a'\ndown_revision = None\n", Header("a", (), (), (), None, 2)),
        (
            '"""m\n\nx"""\nrevision: str = "a"\ndown_revision: Union[str, None] = "b"',
            Header("a", ("b",), (), (), "m\n\nx", 5),
        ),
        ("revision='a'\r\ndown_revision=('b',\r\n  'c')\r\n", Header("a", ("b", "c"), (), (), None, 2)),
        (
            "\ufeffrevision = 'a'\ndown_revision = []\nbranch_labels = ['x']\n",
            Header("a", (), ("x",), (), None, 2),
        ),
        ("revision = 'a'\nrevision = 'b'\ndown_revision = None\n", Header("b", (), (), (), None, 3)),
        (
            "# coding: utf8\nimport os\nrevision = 'a'\ndown_revision = ()\ndepends_on = ('é',)\nop.execute(1)\n",
            Header("a", (), (), ("é",), None, 4),
        ),
    ],
)
def test_the_common_file_takes_the_fast_path(text: str, expected: Header) -> None:
    assert read_header(text.encode()) == expected


def test_files_of_one_shape_are_read_alike() -> None:
    template = """\"\"\"{doc}\"\"\"
import os
# the "{comment}" id
revision = "{id}"
down_revision = ('{one}', "{two}",
)  # '{comment}'
branch_labels = '{label}'


def upgrade():
    op.execute("{body}")
"""
    headers = Headers()
    for number in range(5):
        names = {key: f"{key}{number}" for key in ("id", "one", "two", "label", "comment", "body")}
        text = template.format(doc="line\n" * number, **names).encode()
        assert headers.read(text) == read_header(text)
    assert headers.read(text) is not None
    assert headers.shapes == 1
    for odd in ("x' 'y", "it's", "a\\n", "é", "b\nb", "revision", ""):
        text = template.format(doc="d", **{**names, "two": odd}).encode()
        assert headers.read(text) == read_header(text)
        text = template.format(doc="d", **{**names, "body": odd}).encode()
        assert headers.read(text) == read_header(text)


@pytest.mark.parametrize(
    "rest",
    [
        "def f():\n    global revision\n",
        "from helpers import *\n",
        "from helpers import(*\n",
        "exec('x')\n",
        "ｒevision = 'b'\n",
        "def __getattr__(name): ...\n",
        "if 1:\n    depends_on = 'x'\n",
        "\0",
    ],
)
def test_anything_below_that_may_rebind_leaves_the_fast_path(rest: str) -> None:
    header = "revision = 'a'\ndown_revision = None\n"
    assert read_header(header.encode()) is not None
    assert read_header((header + rest).encode()) is None


@pytest.mark.parametrize(
    "data", [b"\xff\xferevision", b"# coding: latin-1\nrevision = 'a'\ndown_revision = None\n"]
)
def test_other_encodings_leave_the_fast_path(data: bytes) -> None:
    assert read_header(data) is None
