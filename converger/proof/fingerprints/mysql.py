"""The facts of a MySQL (5.7 on) or MariaDB (10.3 on) database, from information_schema and SHOW CREATE.

Left out is what a clone does not have, so that it cannot be compared: privileges on the database and on what is in it.
So is the account of the run where it is the definer of something: migrations run as that account. A database's name
is not in the names of facts; where a definition says it, it is left out or said as `<database>`.
"""

# ruff: noqa: S608 - SQL is put together from our own names and from quoted identifiers

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from converger.errors import CouldNotEvaluate
from converger.proof.facts import Fact, Fingerprint, Mask
from converger.proof.fingerprints.data import read_rows
from converger.proof.fingerprints.mysqldata import MysqlRows
from converger.proof.fingerprints.mysqlsql import plain, unquoted, written
from converger.proof.fingerprints.mysqltables import (
    PREPARATION,
    MysqlTable,
    columns,
    data_tables,
    names,
    relations,
    show,
    table_names,
    tables,
)
from converger.proof.mysqlclone import quoted
from converger.proof.scratch import Row, Scratch, Server

_OURS = re.compile(r"converger_[0-9a-f]{8}(?:[0-9a-f]{8})?@.*", re.DOTALL)


def read(
    server: Server, scratch: Scratch, exclude: frozenset[tuple[str | None, str]], mask: Mask, data: bool
) -> Fingerprint:
    """See `read_fingerprint`. A schema other than the database itself is another database, which is not ours.

    Two sessions for definitions, and two more where there are tables whose rows are looked at.
    """
    left_out = {name.lower() for schema, name in exclude if schema in (None, scratch.name)}
    mariadb = server.server_version.endswith("MariaDB")
    statements = _statements(scratch, mariadb)
    found = dict(zip(statements, _ask(server, scratch, list(statements.values())), strict=True))
    wanted = [name for name in table_names(found["relations"]) if name.lower() not in left_out]
    sequences = names(found["relations"], "SEQUENCE")
    views = [] if mariadb else [name for name, *_ in found["views"]]
    counts = (len(wanted), len(sequences), len(sequences), len(views))
    shown = iter(
        _ask(
            server,
            scratch,
            [
                *(show(scratch, name) for name in wanted),
                *(show(scratch, name, "SEQUENCE") for name in sequences),
                *(f"SELECT next_not_cached_value FROM {quoted(name)}" for name in sequences),
                *(show(scratch, name, "VIEW") for name in views),
            ],
        )
    )
    definitions, orders, values, view_texts = ([next(shown)[0] for _ in range(count)] for count in counts)
    parsed = tables(found["columns"], [(name, row[1]) for name, row in zip(wanted, definitions, strict=True)])
    algorithms = {row[0]: _algorithm(row[1]) for row in view_texts}
    programs = _Programs(scratch, *found["session"][0])
    facts = [fact for table in parsed for fact in _table(table)]
    facts += _settings(found["database"][0])
    facts += [programs.view(row, algorithms) for row in found["views"]]
    facts += programs.triggers([row for row in found["triggers"] if row[1].lower() not in left_out])
    facts += programs.routines(found["routines"], found["parameters"])
    facts += [programs.event(row) for row in found["events"]]
    asides = [
        Fact("column order", table.name, ", ".join(c.name for c in table.sql.columns)) for table in parsed
    ]
    asides += [programs.times(row) for row in found["events"]]
    asides += [
        Fact("sequence value", table.name, str(table.sql.counter))
        for table in parsed
        if table.sql.counter is not None and data
    ]
    for name, order, value in zip(sequences, orders, values, strict=True):
        facts.append(Fact("sequence", name, written(order[1].partition(quoted(name))[2])))
        if data:
            asides.append(Fact("sequence value", name, str(value[0])))
    facts_, asides_ = _placeless(facts, scratch), _placeless(asides, scratch)
    if data:
        reader = MysqlRows(server, known={scratch.name: parsed})
        content = read_rows(reader, scratch, reader.with_rows(scratch, data_tables(parsed)), mask)
        facts_ |= content.facts
        asides_ |= content.asides
    return Fingerprint(facts_, asides_, frozenset(_shared(found["accounts"], found["grants"])))


def _statements(scratch: Scratch, mariadb: bool) -> dict[str, str]:
    here = f"= '{scratch.name}'"
    schema = "information_schema"
    return {
        "session": "SELECT CURRENT_USER(), @@GLOBAL.sql_mode, @@SESSION.collation_connection",
        "database": "SELECT default_character_set_name, default_collation_name"
        f" FROM {schema}.schemata WHERE schema_name {here}",
        "relations": relations(scratch),
        "columns": columns(scratch),
        "views": "SELECT table_name, view_definition, check_option, definer, security_type,"
        # MySQL's has none.
        f" {'algorithm' if mariadb else 'NULL'} FROM {schema}.views WHERE table_schema {here}",
        "triggers": "SELECT trigger_name, event_object_table, action_timing, event_manipulation, action_order,"
        f" action_statement, definer, sql_mode, collation_connection FROM {schema}.triggers"
        f" WHERE trigger_schema {here}",
        "routines": "SELECT routine_type, routine_name, dtd_identifier, is_deterministic, sql_data_access,"
        " security_type, routine_comment, routine_definition, definer, sql_mode, collation_connection"
        f" FROM {schema}.routines WHERE routine_schema {here}",
        "parameters": "SELECT routine_type, specific_name, parameter_mode, parameter_name, dtd_identifier"
        f" FROM {schema}.parameters WHERE specific_schema {here} AND ordinal_position > 0"
        " ORDER BY routine_type, specific_name, ordinal_position",
        "events": "SELECT event_name, event_type, interval_value, interval_field, on_completion, status, time_zone,"
        " event_comment, event_definition, definer, sql_mode, collation_connection, execute_at, starts, ends"
        f" FROM {schema}.events WHERE event_schema {here}",
        "accounts": f"SELECT grantee, privilege_type, is_grantable FROM {schema}.user_privileges",
        "grants": f"SELECT grantee, table_schema, '', '', privilege_type FROM {schema}.schema_privileges"
        f" UNION ALL SELECT grantee, table_schema, table_name, '', privilege_type FROM {schema}.table_privileges"
        " UNION ALL SELECT grantee, table_schema, table_name, column_name, privilege_type"
        f" FROM {schema}.column_privileges",
    }


# -- tables


def _table(table: MysqlTable) -> list[Fact]:
    name, sql = table.name, table.sql
    facts = [Fact("table", name, sql.options or "exists")]
    if sql.comment:
        facts.append(Fact("table comment", name, sql.comment))
    for column in sql.columns:
        thing = f"{name}.{column.name}"
        facts.append(Fact("column", thing, _collated(column.text, table.collations.get(column.name))))
        if column.comment:
            facts.append(Fact("column comment", thing, column.comment))
        if column.check:
            facts.append(Fact("check constraint", thing, column.check))
    for kind, constraint, text in sql.constraints:
        if kind == "index":
            sort, _, rest = text.partition("(")
            text = f"{written(f'{sort}on')} {plain(quoted(name))} {written(f'({rest}')}"
        facts.append(Fact(kind, f"{name}.{constraint}" if constraint else name, text))
    return facts


def _collated(text: str, collation: str | None) -> str:
    """A column's text with its collation after its type, whether it is the table's own or not."""
    if collation is None:
        return text
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == " " and depth == 0:
            return f"{text[:place]} collate {collation}{text[place:]}"
    return f"{text} collate {collation}"


def _settings(row: Row) -> list[Fact]:
    return [
        Fact("database setting", setting, value)
        for setting, value in zip(("character set", "collation"), row, strict=True)
    ]


# -- views and stored programs


class _Programs:
    """Facts of what is stored with the settings of the session that made it, and runs as its definer."""

    def __init__(self, scratch: Scratch, user: str, sql_mode: str, collation: str) -> None:
        """`user` is who asks, `sql_mode` that of the server, `collation` that of our own sessions."""
        self._own = f"{quoted(scratch.name)}."
        self._user = user
        self._sql_mode = sql_mode
        self._collation = collation

    def view(self, row: Row, algorithms: Mapping[str, str | None]) -> Fact:
        """`algorithms` are those that were read from SHOW CREATE VIEW."""
        name, definition, check, definer, security, algorithm = row
        algorithm = algorithms.get(name, algorithm)
        text = f"as {written(definition.replace(self._own, ''), lower=False)}"
        if check != "NONE":
            text += f" with {check.lower()} check option"
        text += f" algorithm {algorithm.lower()}" if algorithm not in (None, "UNDEFINED") else ""
        return Fact("view", name, text + self._security(security) + self._definer(definer))

    def triggers(self, found: Sequence[Row]) -> list[Fact]:
        """Triggers of one event run in the order in which they stand; each names the one after it."""
        groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in sorted(found, key=lambda row: row[4]):
            groups[row[1:4]].append(row)
        facts = []
        for (table, timing, event), group in groups.items():
            following = [row[0] for row in group[1:]]
            for place, (name, *_, statement, definer, sql_mode, collation) in enumerate(group):
                text = f"{timing.lower()} {event.lower()} on {table}"
                if place < len(following):
                    text += f", then {following[place]}"
                text += f": {statement.strip()}{self._definer(definer)}{self._session(sql_mode, collation)}"
                facts.append(Fact("trigger", f"{table}.{name}", text))
        return facts

    def routines(self, found: Sequence[Row], parameters: Sequence[Row]) -> list[Fact]:
        arguments: dict[tuple[str, str], list[str]] = defaultdict(list)
        for kind, name, mode, parameter, type_ in parameters:
            spelled = f"{parameter} {type_}"
            arguments[kind, name].append(f"{mode.lower()} {spelled}" if kind == "PROCEDURE" else spelled)
        facts = []
        for row in found:
            kind, name, returns, deterministic, access, security, comment, body, *session = row
            definer, sql_mode, collation = session
            text = f"({', '.join(arguments[kind, name])})"
            text += f" returns {returns}" if returns else ""
            text += " deterministic" if deterministic == "YES" else ""
            text += f" {access.lower()}" if access != "CONTAINS SQL" else ""
            text += self._security(security)
            text += f" {self._body(kind, name, body)}"
            text += self._definer(definer) + self._session(sql_mode, collation)
            facts.append(Fact(kind.lower(), name, text))
            if comment:
                facts.append(Fact(f"{kind.lower()} comment", name, comment))
        return facts

    def event(self, row: Row) -> Fact:
        name, kind, value, unit, completion, status, zone, comment, body, *session = row
        definer, sql_mode, collation = session[:3]
        text = "once" if kind == "ONE TIME" else f"every {value} {unit.lower()}"
        text += f" in {zone}" if zone != "SYSTEM" else ""
        text += f" {status.lower()}" if status != "ENABLED" else ""
        text += f" on completion {completion.lower()}" if completion != "NOT PRESERVE" else ""
        text += f" comment {comment!r}" if comment else ""
        text += f" do {body.strip()}{self._definer(definer)}{self._session(sql_mode, collation)}"
        return Fact("event", name, text)

    def times(self, row: Row) -> Fact:
        """When an event begins and ends. Not a fact: where nothing is said of it, it is when it was made."""
        at, starts, ends = row[-3:]
        return Fact("event times", row[0], ", ".join(str(each) for each in (at, starts, ends) if each))

    def _body(self, kind: str, name: str, body: str | None) -> str:
        if body is None:
            raise CouldNotEvaluate(
                f"The server does not show us the {kind.lower()} {name}, which runs as somebody else.",
                code="missing-privilege",
                hint="Leave its DEFINER out, or leave --database-url out to use a server of our own.",
            )
        return body.strip()

    def _security(self, security: str) -> str:
        return " sql security invoker" if security == "INVOKER" else ""

    def _definer(self, definer: str) -> str:
        return "" if definer == self._user or _OURS.fullmatch(definer) else f" [definer {definer}]"

    def _session(self, sql_mode: str, collation: str) -> str:
        settings = [f"sql_mode={sql_mode}"] if _modes(sql_mode) != _modes(self._sql_mode) else []
        settings += [f"collation_connection={collation}"] if collation != self._collation else []
        return f" [{', '.join(settings)}]" if settings else ""


def _modes(text: str) -> frozenset[str]:
    return frozenset(text.split(","))


# -- everything


def _ask(server: Server, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
    """The answers; texts that a server calls binary are texts all the same."""
    answers = server.query_all(scratch, [*PREPARATION, *statements])[len(PREPARATION) :]
    return [[tuple(_text(cell) for cell in row) for row in rows] for rows in answers]


def _text(cell: Any) -> Any:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell


def _algorithm(sql: str) -> str | None:
    found = re.match(r"CREATE ALGORITHM=(\w+) ", sql)
    return found[1] if found else None


def _placeless(facts: Iterable[Fact], scratch: Scratch) -> frozenset[Fact]:
    """Facts without the name of the database that they are of."""
    return frozenset(
        replace(
            fact,
            text=fact.text.replace(f"`{scratch.name}`.", "")
            .replace(f"{scratch.name}.", "")
            .replace(scratch.name, "<database>"),
        )
        if scratch.name in fact.text
        else fact
        for fact in facts
    )


def _shared(accounts: Sequence[Row], grants: Sequence[Row]) -> list[Fact]:
    """Accounts and what they may do, as far as we are shown; nothing of what this and other runs make."""
    rights: dict[tuple[str, str], set[str]] = defaultdict(set)
    for grantee, privilege, grantable in accounts:
        name = _account(grantee)
        rights["account", name].add(privilege.lower() + (" with grant option" if grantable == "YES" else ""))
    for grantee, schema, table, column, privilege in grants:
        place = ".".join(part for part in (schema, table, column) if part)
        rights["account privileges", f"{_account(grantee)} on {place}"].add(privilege.lower())
    return [
        Fact(kind, thing, ", ".join(sorted(privileges)))
        for (kind, thing), privileges in rights.items()
        if "converger_" not in thing.replace("\\", "")
    ]


def _account(grantee: str) -> str:
    """`'name'@'host'` without quotes."""
    return unquoted(grantee.replace("'", ""))
