"""Revision files are a stranger's text: reading them runs nothing, ends soon and never raises."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from converger.guess.guesses import read_footprint
from tests.alembic_project import AlembicProject
from tests.guess.reading import guesses_about, upgrade

BOMBS = {
    "big number in text": ["op.drop_table(f'{10**5000}')"],
    "power": ["op.drop_table(str(9**9**9))"],
    "repeated text": ["x = 'a' * 10**10", "op.drop_table(x)"],
    "doubled text": ["x = 'ab'", *["x = x + x"] * 200, "op.drop_table(x)"],
    "doubled list": ["x = [1]", *["x = x + x"] * 200, "op.bulk_insert(x, x)"],
    "list extended by itself": ["x = [1]", *["x.extend(x)"] * 200],
    "replaced text": ["x = 'aa'", *["x = x.replace('a', x)"] * 20, "op.drop_table(x)"],
    "joined text": ["x = 'aa'", *["x = x.join([x, x, x, x])"] * 20, "op.drop_table(x)"],
    "padding by format": ["op.drop_table('{:>9999999999}'.format('a'))"],
    "padding by format, computed": ["op.drop_table('{:>{}}'.format('a', 9999999999))"],
    "padding by percent": ["op.drop_table('%9999999999d' % 1)", "op.drop_table('%*d' % (10**10, 1))"],
    "format of a doubled text": ["x = '{0}{0}'", *["x = x.format(x)"] * 60, "op.drop_table(x)"],
    "a function that calls itself": ["for a in range(9):", "    upgrade()", "    upgrade()"],
    "a list in itself": ["x = []", "x.append(x)", "op.bulk_insert(x, x)", "op.execute(x)", "call(x)"],
    "nested brackets": ["op.execute(" + "(" * 80 + "1" + ")" * 80 + ")"],
    "too deep for the parser": ["x = " + "(" * 5000 + ")" * 5000],
    "a long chain": ["x = a" + ".b()" * 3000],
    "surrogates and NUL": ["op.drop_table('\\ud800')", "op.execute('\\0')"],
    "calls without arguments": [
        "x = []", "x.extend()", "x.append()", "''.format()", "''.join()", "'{}'.format()", "'%s%s' % (1,)", "{}.get()",
        "op.execute()", "op.drop_column('t')", "op.rename_table(1, 2)", "op.drop_table(**{})", "op.create_index()",
    ],
    "wrong types": [
        "x = {(1, []): 2}", "y = {'a': 1}[[]]", "z = [1][9]", "op.drop_table({})", "op.add_column('t', sa.Column([], {}))",
        "op.create_table(1, 2, 3)", "op.add_column(None, None)", "op.create_index([], {}, 3)", "''.replace(1, 2)",
        "''.join([1, 2])", "sorted([1, 'a'])", "op.alter_column(1, 2, new_column_name=3)",
    ],
    "odd SQL": [
        "op.execute('ALTER TABLE ' + '(' * 9000)", f"op.execute({'/*' * 40000!r})", "op.execute('CREATE')",
        "op.execute('ALTER TABLE')", "op.execute(';;;')", f"op.execute({chr(39) * 9999!r})", "op.execute('$a$ x')",
        "op.execute('GRANT')", "op.execute('DROP TABLE IF')", "op.execute('INSERT INTO')",
        "op.execute('UPDATE t SET')", "op.execute('ALTER TABLE t ADD')", "op.execute('CREATE INDEX ON')",
    ],
}  # fmt: skip

LOOPS = {
    "loops in loops": [
        f"{'    ' * n}for x{n} in {tuple(range(60))}:" for n in range(6)
    ] + [f"{'    ' * 6}op.drop_table(str(x1))"],
    "long SQL in loops": [
        f"x = {'SELECT 1;' * 2000!r}", *(f"{'    ' * n}for x{n} in {tuple(range(60))}:" for n in range(3)),
        f"{'    ' * 3}op.execute(x)",
    ],
}  # fmt: skip


@pytest.mark.parametrize("lines", LOOPS.values(), ids=LOOPS)
def test_loops_end_soon(lines: list[str]) -> None:
    began = time.process_time()
    assert read_footprint(upgrade(*lines)).unknown
    assert time.process_time() - began < 15


@pytest.mark.parametrize("lines", BOMBS.values(), ids=BOMBS)
def test_it_ends_soon_and_takes_little(lines: list[str]) -> None:
    tracemalloc.start()
    began = time.process_time()
    try:
        read_footprint(upgrade(*lines))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000_000
    assert time.process_time() - began < 30  # tracing makes it many times slower


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\xff\xfe", b"def upgrade(:", b"upgrade = 3", b"# -*- coding: x -*-"]
)
def test_what_cannot_be_read_counts_as_unknown(data: bytes) -> None:
    assert read_footprint(data).unknown == (1,)


def test_nothing_is_run(tmp_path: Path) -> None:
    project = AlembicProject(tmp_path / "p")
    trap = f"open({str(tmp_path / 'run')!r}, 'w').close()"
    project.revision("base0001", None, trap, header=trap)
    for id in ("aaaa0001", "bbbb0001"):
        body = f"{trap}\nop.add_column('t', sa.Column('c', sa.Integer, default={trap}))"
        project.revision(id, "base0001", body, header=trap)
    before = project.digest()
    found = guesses_about(project.root)
    assert [g.kind for g in found.guesses] == ["duplicate-column"]
    assert found.computed == ()  # `open` of the standard library is no SQL
    assert not (tmp_path / "run").exists()
    assert project.digest() == before


def test_very_many_statements_about_one_table_end_soon(tmp_path: Path) -> None:
    project = AlembicProject(tmp_path / "p")
    project.revision("base0001", None)
    for id in ("aaaa0001", "bbbb0001"):
        rows = "\n".join(f"op.execute(\"UPDATE t SET c = {n} WHERE d = '{n}{id}'\")" for n in range(350))
        project.revision(id, "base0001", rows)
    began = time.process_time()
    found = guesses_about(project.root)
    assert time.process_time() - began < 30
    assert found.computed == ("aaaa0001", "bbbb0001")  # not all was compared, and it says so


def test_a_file_that_is_gone_counts_as_unknown(tmp_path: Path) -> None:
    from converger.guess.guesses import guess
    from converger.plan import make_plan
    from tests.history.real_alembic import ours

    project = AlembicProject(tmp_path / "p")
    project.revision("base0001", None)
    project.revision("aaaa0001", "base0001")
    project.revision("bbbb0001", "base0001")
    graph = ours(project.root)[2]

    def gone(path: str) -> bytes:
        raise FileNotFoundError(path)

    assert guess(graph, make_plan(graph), gone).computed == ("aaaa0001", "bbbb0001")
