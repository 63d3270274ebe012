"""Plain SQL to actions, as far as simple patterns go. Not a parser: what is unusual is unknown."""

from __future__ import annotations

from collections.abc import Iterator

from converger.guess.model import Action, Name, ObjectKind, named
from converger.guess.words import Unknown, Words, split_statements

_NO_MATTER = frozenset(
    "SET RESET SHOW LOCK VACUUM ANALYZE ANALYSE PRAGMA BEGIN COMMIT ROLLBACK SAVEPOINT RELEASE START USE CLUSTER"
    " REINDEX DISCARD EXPLAIN NOTIFY".split()
)
_SIMPLE: dict[str, ObjectKind] = {
    "SEQUENCE": "sequence",
    "EXTENSION": "extension",
    "SCHEMA": "schema",
    "TYPE": "type",
    "DOMAIN": "type",
    "FUNCTION": "function",
    "PROCEDURE": "function",
    "AGGREGATE": "function",
    "VIEW": "view",
    "TABLE": "table",
}


def read_sql(text: str) -> list[Action]:
    """The actions of one or more statements, lines counted from 0. Raises Unknown for what is not understood."""
    found: list[Action] = []
    for statement in split_statements(text):
        words = Words(text, statement)
        verb = words.peek()
        if verb in _NO_MATTER:
            continue
        found += _Statement(words).read(verb)
    return found


class _Statement:
    """One statement; `words` stands at its first word."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._line = words.line
        self._mentions, self._alone = words.mentions()

    def read(self, verb: str) -> list[Action]:
        reader = {
            "CREATE": self._create,
            "DROP": self._drop,
            "ALTER": self._alter,
            "INSERT": self._insert,
            "REPLACE": self._insert,
            "UPDATE": self._update,
            "DELETE": self._delete,
            "SELECT": self._query,
            "WITH": self._query,
            "VALUES": self._query,
            "COMMENT": self._comment,
            "GRANT": self._privileges,
            "REVOKE": self._privileges,
            "TRUNCATE": self._truncate,
            "REFRESH": self._query,
        }.get(verb)
        if reader is None:
            raise Unknown
        return list(reader())

    def _action(self, verb: str, kind: ObjectKind, owner: Name, part: str = "", **more: object) -> Action:
        return Action(verb, kind, owner, part, line=self._line, **more)  # type: ignore[arg-type]

    def _uses(self, *without: Name, aspect: str = "") -> Iterator[Action]:
        for table in self._words.tables():
            if table not in without:
                yield self._action(
                    "use",
                    "table",
                    table,
                    words=self._mentions,
                    alone=self._alone,
                    aspect=aspect,
                    detail=self._words.text(),
                )

    # -- CREATE ------------------------------------------------------------------------------------

    def _create(self) -> Iterator[Action]:
        words = self._words
        words.take("CREATE")
        replace = words.take_if("OR", "REPLACE")
        temporary = False
        while words.peek() in ("GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED", "MATERIALIZED", "CONSTRAINT",
                               "UNIQUE", "RECURSIVE", "FULLTEXT", "VIRTUAL", "DEFINER"):  # fmt: skip
            temporary |= words.next().text in ("TEMP", "TEMPORARY")
        what = words.next().text
        if what == "INDEX":
            yield from self._create_index()
            return
        if what in ("TRIGGER", "POLICY"):
            yield from self._create_on_table("trigger" if what == "TRIGGER" else "policy", replace)
            return
        kind = _SIMPLE.get(what)
        if kind is None:
            raise Unknown
        tolerant = words.take_if("IF", "NOT", "EXISTS")
        name = words.name()
        if temporary:
            return
        part = words.arguments() if kind == "function" else ""
        detail = words.text()
        if kind in ("table", "view"):
            yield from self._uses(name, aspect="view" if kind == "view" else "")
        if replace:
            yield self._action("alter", kind, name, part, aspect="definition", detail=detail)
        else:
            yield self._action("create", kind, name, part, detail=detail, tolerant=tolerant)

    def _create_index(self) -> Iterator[Action]:
        words = self._words
        words.take_if("CONCURRENTLY")
        tolerant = words.take_if("IF", "NOT", "EXISTS")
        index = "" if words.peek() == "ON" else words.name().name
        words.take("ON")
        words.take_if("ONLY")
        table = words.name()
        yield self._action("use", "table", table, words=self._mentions)
        detail = words.text_from_here()
        yield self._action("create", "index", table, index, detail=detail, tolerant=tolerant)

    def _create_on_table(self, kind: ObjectKind, replace: bool) -> Iterator[Action]:
        words = self._words
        words.take_if("IF", "NOT", "EXISTS")
        name = words.name().name
        words.skip_to("ON")
        table = words.name()
        yield self._action("use", "table", table, words=self._mentions)
        if words.skip_if_there("EXECUTE"):
            words.next()  # FUNCTION or PROCEDURE
            yield self._action("use", "function", words.name())
        if replace:
            yield self._action("alter", kind, table, name, aspect="definition", detail=words.text())
        else:
            yield self._action("create", kind, table, name, detail=words.text())

    # -- DROP --------------------------------------------------------------------------------------

    def _drop(self) -> Iterator[Action]:
        words = self._words
        words.take("DROP")
        words.take_if("MATERIALIZED")
        what = words.next().text
        words.take_if("CONCURRENTLY")
        tolerant = words.take_if("IF", "EXISTS")
        if what in ("TRIGGER", "POLICY"):
            part = words.name().name
            words.take("ON")
            kind: ObjectKind = "trigger" if what == "TRIGGER" else "policy"
            yield self._action("drop", kind, words.name(), part, tolerant=tolerant)
            return
        if what == "INDEX":
            for name in words.names():
                yield self._action("drop", "index", Name(name.schema, ""), name.name, tolerant=tolerant)
            return
        if what not in _SIMPLE:
            raise Unknown
        if what in ("FUNCTION", "PROCEDURE", "AGGREGATE"):
            yield self._action("drop", "function", words.name(), words.arguments(), tolerant=tolerant)
            return
        for name in words.names():
            yield self._action("drop", _SIMPLE[what], name, tolerant=tolerant)

    # -- ALTER -------------------------------------------------------------------------------------

    def _alter(self) -> Iterator[Action]:
        words = self._words
        words.take("ALTER")
        what = words.next().text
        if what == "TYPE":
            yield from self._alter_type()
        elif what == "TABLE":
            from converger.guess.altertable import read_alter_table

            yield from read_alter_table(words, self._line)
        elif what == "INDEX":
            words.take_if("IF", "EXISTS")
            index = words.name()
            if not words.take_if("RENAME", "TO"):
                raise Unknown
            owner = Name(index.schema, "")
            yield self._action("drop", "index", owner, index.name)
            yield self._action("create", "index", owner, words.name().name, detail=f"renamed {index.name}")
        else:
            raise Unknown

    def _alter_type(self) -> Iterator[Action]:
        words = self._words
        name = words.name()
        if words.take_if("ADD", "VALUE"):
            tolerant = words.take_if("IF", "NOT", "EXISTS")
            label = words.string()
            yield self._action(
                "create", "label", name, label, detail=words.text_from_here(), tolerant=tolerant
            )
        elif words.take_if("RENAME", "VALUE"):
            label = words.string()
            words.take("TO")
            yield self._action("rename", "label", name, label, new=words.string())
        elif words.take_if("RENAME", "TO"):
            yield self._action("rename", "type", name, new=words.name().name)
        else:
            raise Unknown

    # -- rows --------------------------------------------------------------------------------------

    def _insert(self) -> Iterator[Action]:
        words = self._words
        words.next()
        ignoring = words.take_if("OR", "IGNORE") or words.take_if("OR", "REPLACE") or words.take_if("IGNORE")
        words.take_if("INTO")
        table = words.name()
        columns = tuple(words.bracketed_names()) if words.peek_mark() == "(" else None
        text = words.text()
        tolerant = ignoring or " ON CONFLICT" in text or " ON DUPLICATE" in text
        yield self._action("insert", "rows", table, detail=text, columns=columns, words=self._mentions,
                           alone=self._alone, tolerant=tolerant)  # fmt: skip
        yield from self._uses(table)

    def _update(self) -> Iterator[Action]:
        words = self._words
        words.take("UPDATE")
        words.take_if("ONLY")
        table = words.name()
        columns = words.assigned()
        yield self._action("update", "rows", table, detail=words.text(), columns=columns, words=self._mentions,
                           alone=self._alone, aspect=words.condition())  # fmt: skip
        yield from self._uses(table)

    def _delete(self) -> Iterator[Action]:
        words = self._words
        words.take("DELETE")
        words.take("FROM")
        words.take_if("ONLY")
        table = words.name()
        yield self._action("delete", "rows", table, detail=words.text(), words=self._mentions, alone=self._alone,
                           aspect=words.condition())  # fmt: skip
        yield from self._uses(table)

    def _truncate(self) -> Iterator[Action]:
        words = self._words
        words.take("TRUNCATE")
        words.take_if("TABLE")
        words.take_if("ONLY")
        for table in words.names():
            yield self._action("delete", "rows", table, detail=words.text())

    def _query(self) -> Iterator[Action]:
        if self._words.has("INSERT", "UPDATE", "DELETE"):
            raise Unknown  # a statement within a WITH
        yield from self._uses()

    # -- the rest ----------------------------------------------------------------------------------

    def _comment(self) -> Iterator[Action]:
        words = self._words
        words.take("COMMENT")
        words.take("ON")
        what = words.next().text
        parts = words.path()
        words.take("IS")
        detail = words.text_from_here()
        if what == "TABLE":
            yield self._action("alter", "table", named(".".join(parts)), aspect="comment", detail=detail)
        elif what == "COLUMN" and len(parts) > 1:
            table = named(".".join(parts[:-1]))
            yield self._action("alter", "column", table, parts[-1], aspect="comment", detail=detail)

    def _privileges(self) -> Iterator[Action]:
        words = self._words
        granting = words.next().text == "GRANT"
        what = words.text_until("ON")
        words.take("ON")
        words.take_if("TABLE")
        if words.peek() in ("ALL", "SCHEMA", "SEQUENCE", "FUNCTION", "DATABASE", "TYPE", "LANGUAGE"):
            raise Unknown
        table = words.name()
        words.take("TO" if granting else "FROM")
        role = words.text_from_here()
        aspect = "grant" if granting else "revoke"
        yield self._action("alter", "privilege", table, role, aspect=aspect, detail=what)
