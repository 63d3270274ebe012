"""PostgreSQL's statements in a dump: which are run, which left out, which refused. See `dumprules`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from converger.proof.dumprules import (
    MISSING,
    OWNERS,
    SERVER_WIDE,
    SETTINGS,
    Treatment,
    leave_out,
    refuse,
    run,
)
from converger.proof.sqltext import Statement
from converger.proof.sqltokens import Token, starts, tokens

_DATABASE = "DATABASE|ROLE|USER|GROUP|TABLESPACE|SUBSCRIPTION"
_HEAD = 16

# Only about what is shown, or for the psql that a dump is fed to.
_COMMANDS_WITHOUT_EFFECT = re.compile(
    r"\\(?:restrict|unrestrict|echo|qecho|warn|pset|timing|errverbose|[aHtx])(?!\w)|\\set\s+[A-Z_]+(?:\s|$)"
)
_ENCODING = re.compile(r"\\encoding\s+'?([\w-]+)'?\s*$")
# A byte of a letter can be a backslash in these, which only the server can tell from a real one.
_UNSAFE_ENCODINGS = frozenset({"sjis", "shiftjis", "mskanji", "win932", "windows932", "shiftjis2004", "big5", "win950",
    "windows950", "gbk", "win936", "windows936", "gb18030", "johab", "uhc", "win949", "windows949"})  # fmt: skip
_OUR_TIMEOUTS = frozenset(
    {
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    }
)
_REACHES_OUT = re.compile(
    rb"\b(pg_read_(?:binary_)?file|pg_ls_\w+|pg_stat_file|pg_file_\w+|lo_import|lo_export|dblink\w*"
    rb"|pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_promote|postgres_fdw_\w+)\s*\(",
    re.IGNORECASE,
)
_PLAIN_INSERT = re.compile(
    rb"insert\s+into\s+[^\s;(]+\s*(?:\([^()]*\)\s*)?(?:overriding\s+\w+\s+value\s+)?values\b", re.I
)

UNDEFINED_OBJECT, NO_PRIVILEGE, DUPLICATE_OBJECT = "42704", "42501", "42710"
_NOT_THERE = ("42P01", "42703", "42704", "42883", "3F000")


def is_plain_insert(sql: bytes) -> bool:
    """Whether it is an INSERT of rows that are written out, as pg_dump makes them."""
    return _PLAIN_INSERT.match(sql) is not None


class PostgresRules:
    """Called with each statement of a dump, gives its `Treatment`."""

    def __init__(self, roles: Collection[str]) -> None:
        """`roles` are those that exist on the server."""
        self._roles = frozenset(roles) | {"public", "current_user", "current_role", "session_user"}

    def __call__(self, statement: Statement) -> Treatment:
        sql = statement.sql
        if statement.command:
            return _command(statement.text)
        if is_plain_insert(sql):
            return run(sql)
        text = sql.decode("latin-1")  # one character for each byte, so that places can be told
        head = tokens(text, "postgresql", limit=_HEAD)
        if starts(head, "GRANT|REVOKE"):
            head = tokens(text, "postgresql")  # a long list of columns may come before ON
        if starts(head, "COPY"):
            return run(sql) if statement.data is not None else refuse("COPY with a file or a program")
        if _REACHES_OUT.search(sql) and (why := _reaches_out(text, head)):
            return refuse(why)
        return (
            _transaction(head)
            or self._server_wide(head)
            or self._about_roles(text, head)
            or _setting(head)
            or _create_or_drop(sql, text, head)
            or run(sql)
        )

    def _server_wide(self, head: list[Token]) -> Treatment | None:
        verb = " ".join(token.text for token in head[:2])
        if starts(head, "CREATE|ALTER|DROP", "USER", "MAPPING"):
            # It holds the password with which a foreign server is reached; no tables there without it.
            return leave_out(SERVER_WIDE, f"{verb} MAPPING")
        if starts(head, "CREATE|ALTER|DROP", _DATABASE) or starts(head, "ALTER", "SYSTEM"):
            return leave_out(SERVER_WIDE, verb)
        if starts(head, "REASSIGN|DROP", "OWNED"):
            return leave_out(SERVER_WIDE, verb)
        if starts(head, "COMMENT", "ON", _DATABASE):
            # On the database itself: our mark is there.
            return leave_out(
                None if head[2].text == "DATABASE" else SERVER_WIDE, f"COMMENT ON {head[2].text}"
            )
        if starts(head, "SECURITY", "LABEL") and _follows(head, "ON", *_DATABASE.split("|")):
            return leave_out(SERVER_WIDE, "SECURITY LABEL")
        if starts(head, "GRANT|REVOKE") and not _follows(head, "ON"):
            return leave_out(SERVER_WIDE, f"{head[0].text} of a role")
        if starts(head, "GRANT|REVOKE") and _follows(head, "ON", "DATABASE", "TABLESPACE", "PARAMETER"):
            return leave_out(SERVER_WIDE, f"{head[0].text} on the server")
        if starts(head, "IMPORT", "FOREIGN"):
            return refuse("IMPORT FOREIGN SCHEMA reads from another server")
        return leave_out() if starts(head, "CHECKPOINT") else None

    def _about_roles(self, text: str, head: list[Token]) -> Treatment | None:
        if starts(head, "SET|RESET", "SESSION", "AUTHORIZATION") or starts(head, "SET|RESET", "ROLE"):
            return leave_out(OWNERS)
        if starts(head, "SET", "SESSION|LOCAL", "ROLE") or starts(head, "SET", "LOCAL", "SESSION"):
            return leave_out(OWNERS)
        if starts(head, "SECURITY", "LABEL"):
            # 22023: the module that knows such labels is not there.
            return Treatment(
                "run", text.encode("latin-1"), OWNERS, tolerated=("22023", UNDEFINED_OBJECT, NO_PRIVILEGE)
            )
        if starts(head, "CREATE|ALTER", "POLICY"):
            return self._policy(text)
        if starts(head, "ALTER", "DEFAULT", "PRIVILEGES") or starts(head, "GRANT|REVOKE"):
            named = _grantees(tokens(text, "postgresql"))
        elif starts(head, "ALTER"):
            named = _new_owner(tokens(text, "postgresql"))
        else:
            return None
        if not named:
            return None
        missing = self._missing(named)
        if missing:
            return leave_out(OWNERS, roles=missing)
        return Treatment(
            "run",
            text.encode("latin-1"),
            OWNERS,
            roles=tuple(named),
            tolerated=(NO_PRIVILEGE, UNDEFINED_OBJECT),
        )

    def _policy(self, text: str) -> Treatment:
        """A policy for roles that do not exist holds for everybody: it can then be altered and dropped."""
        words = tokens(text, "postgresql")
        for number, token in enumerate(words):
            if token.kind == "word" and token.text == "TO":
                listed = _names(words[number + 1 :])
                missing = self._missing(listed)
                if missing:
                    last = words[number + 2 * len(listed) - 1]
                    text = f"{text[: token.end]} PUBLIC{text[last.end :]}"
                    return Treatment("run", text.encode("latin-1"), OWNERS, changed=True, roles=missing)
                break
            if token.kind == "word" and token.text in ("USING", "WITH"):
                break
        return run(text.encode("latin-1"))

    def _missing(self, names: list[str]) -> tuple[str, ...]:
        readable = (name.encode("latin-1").decode("utf-8", "replace") for name in names)
        return tuple(name for name in readable if name not in self._roles)


def _command(text: str) -> Treatment:
    encoding = _ENCODING.match(text)
    if encoding:
        if _is_unsafe(encoding.group(1)):
            return _unsafe(encoding.group(1))
        return run(f"SET client_encoding = '{encoding.group(1)}'".encode())
    if _COMMANDS_WITHOUT_EFFECT.match(text):
        return leave_out()
    name = text.split()[0]
    if name in ("\\connect", "\\c"):
        return refuse(f"{name} leaves the scratch database; make the dump of one database without --create")
    return refuse(f"{name} is a command to psql; only SQL can be loaded")


def _reaches_out(text: str, head: list[Token]) -> str | None:
    """Why, if it calls what leaves the database. Names within strings and comments do not count."""
    if starts(head, "COMMENT") or starts(head, "GRANT|REVOKE|ALTER|DROP"):
        return None
    if starts(head, "CREATE") and not starts(head, "CREATE", "TABLE|MATERIALIZED"):
        return None  # a function that is defined is not called
    body = text
    if not starts(head, "DO"):
        words = tokens(text, "postgresql")
        body = " ".join(token.text if token.kind != "string" else "''" for token in words)
    found = _REACHES_OUT.search(body.encode("latin-1"))
    return f"{found.group(1).decode().lower()} leaves the scratch database" if found else None


def _transaction(head: list[Token]) -> Treatment | None:
    if starts(head, "PREPARE", "TRANSACTION") or starts(head, "COMMIT|ROLLBACK", "PREPARED"):
        return refuse("a prepared transaction outlives its connection")
    if starts(head, "ROLLBACK|ABORT") and not any(token.text == "TO" for token in head):
        return refuse("it takes back what the dump loaded; the dump may have been made with errors")
    return None


def _setting(head: list[Token]) -> Treatment | None:
    if not starts(head, "SET"):
        return None
    words = head[2:] if starts(head, "SET", "SESSION|LOCAL") else head[1:]
    if not words:
        return None
    name = words[0].text.lower()
    value = words[2].text if len(words) > 2 else ""
    if name in _OUR_TIMEOUTS:
        return leave_out()
    if name == "default_tablespace" and value:
        return leave_out(SETTINGS, name)
    if name == "client_encoding" and _is_unsafe(value):
        return _unsafe(value)
    return None


def _create_or_drop(sql: bytes, text: str, head: list[Token]) -> Treatment | None:
    ours = Treatment("run", sql, tolerated=(NO_PRIVILEGE,))
    if starts(head, "CREATE", "SCHEMA") and len(head) == 3 and head[2].identifier == "public":
        return run(b"CREATE SCHEMA IF NOT EXISTS public")
    if starts(head, "DROP", "SCHEMA") and head[-1].identifier == "public":
        return replace(ours, tolerated=(NO_PRIVILEGE, *_NOT_THERE))
    if starts(head, "COMMENT", "ON", "SCHEMA") and len(head) > 3 and head[3].identifier == "public":
        return ours
    if starts(head, "COMMENT", "ON", "EXTENSION"):
        return ours
    if starts(head, "CREATE", "EXTENSION"):
        return replace(ours, tolerated=(DUPLICATE_OBJECT,))
    if _defines_plpgsql(head):
        return leave_out()
    if starts(head, "SET"):
        # A newer pg_dump sets what an older server does not know.
        return Treatment("run", sql, SETTINGS, head[1].text.lower(), tolerated=(UNDEFINED_OBJECT,))
    drops = starts(head, "DROP") or (
        starts(head, "ALTER")
        and any(token.text == "DROP" for token in head)
        and not any(token.text == "ADD" for token in tokens(text, "postgresql"))
    )
    drops = drops or (starts(head, "SELECT") and any(token.text == "LO_UNLINK" for token in head[:4]))
    if drops:  # pg_dump --clean
        return Treatment("run", sql, MISSING, " ".join(t.text for t in head[:2]), tolerated=_NOT_THERE)
    return None


def _defines_plpgsql(head: list[Token]) -> bool:
    words = [token.text.upper() for token in head]
    return words[:1] == ["CREATE"] and "LANGUAGE" in words[1:5] and words[-1:] == ["PLPGSQL"]


def _follows(words: list[Token], after: str, *wanted: str) -> bool:
    """Whether the first word `after` is followed by one of `wanted`, or is there at all if none is given."""
    for number, token in enumerate(words):
        if token.kind == "word" and token.text == after:
            if not wanted:
                return True
            behind = words[number + 1 : number + 2]
            return bool(behind) and behind[0].kind == "word" and behind[0].text in wanted
    return False


def _new_owner(words: list[Token]) -> list[str]:
    for number in range(len(words) - 2):
        if starts(words[number:], "OWNER", "TO"):
            return _names(words[number + 2 :])
    return []


def _grantees(words: list[Token]) -> list[str]:
    """The roles that a GRANT, REVOKE or ALTER DEFAULT PRIVILEGES names."""
    found: list[str] = []
    for number, token in enumerate(words):
        if token.kind == "word" and token.text in ("TO", "FROM"):
            found += _names(words[number + 1 :])
        elif starts(words[number:], "FOR", "ROLE|USER") or starts(words[number:], "GRANTED", "BY"):
            found += _names(words[number + 2 :])
    return found


def _names(words: list[Token]) -> list[str]:
    """The names of a list that these words begin with, as in `a, "B", GROUP c WITH …`."""
    found = []
    while words:
        if words[0].kind == "word" and words[0].text == "GROUP" and len(words) > 1 and words[1].identifier:
            words = words[1:]
        name = words[0].identifier
        if name is None:
            break
        found.append(name)
        if len(words) < 2 or words[1].text != ",":
            break
        words = words[2:]
    return found


def _is_unsafe(encoding: str) -> bool:
    return re.sub(r"[^a-z0-9]", "", encoding.lower()) in _UNSAFE_ENCODINGS


def _unsafe(encoding: str) -> Treatment:
    return refuse(f"the encoding {encoding} cannot be read; make the dump with pg_dump --encoding=UTF8")
