"""SQLite's, MySQL's and MariaDB's statements in a dump. See `dumprules`."""

from __future__ import annotations

import re

from converger.proof.dumprules import OWNERS, SERVER_WIDE, Treatment, leave_out, refuse, run
from converger.proof.sqltext import Statement
from converger.proof.sqltokens import Token, starts, tokens

_HEAD = 16
_ROLLBACK = "it takes back what the dump loaded; the dump may have been made with errors"

_ROWS = re.compile(rb"(?:insert|replace)\b", re.IGNORECASE)
_CONDITIONAL = re.compile(rb"/\*M?!\d*\s*|\*/")
_DEFINER = re.compile(
    rb"\bDEFINER\s*=\s*(?:CURRENT_USER(?:\s*\(\s*\))?|(?:`[^`]*`|'[^']*'|\"[^\"]*\"|[\w$]+)"
    rb"(?:@(?:`[^`]*`|'[^']*'|\"[^\"]*\"|[\w.%$]+))?)",
    re.IGNORECASE,
)
_MYSQL_OBJECTS = "DATABASE|SCHEMA|USER|ROLE|TABLESPACE|SERVER|LOGFILE|UNDO|RESOURCE|INSTANCE"
_MYSQL_SERVER_WIDE = (
    "GRANT|REVOKE|FLUSH|CHANGE|STOP|RESET|PURGE|INSTALL|UNINSTALL|SHUTDOWN|RESTART|KILL|CLONE|BACKUP|BINLOG"
)


def treat_sqlite(statement: Statement) -> Treatment:
    """What to do with one statement of a SQLite dump."""
    if statement.command:
        return refuse(
            f"{statement.text.split()[0]} is a command to the sqlite3 shell; only SQL can be loaded"
        )
    if _ROWS.match(statement.sql):  # nearly all of a dump
        return run(statement.sql)
    head = tokens(statement.text[:2000], "sqlite", limit=_HEAD)
    if starts(head, "ATTACH|DETACH"):
        return refuse(f"{head[0].text} leaves the scratch database")
    if starts(head, "VACUUM") and any(token.text == "INTO" for token in head):
        return refuse("VACUUM INTO writes another database")
    if starts(head, "ROLLBACK") and not any(token.text == "TO" for token in head):
        return refuse(_ROLLBACK)
    return run(statement.sql)


class MySQLRules:
    """Called with each statement of a dump, gives its `Treatment`. Remembers which database is in use."""

    def __init__(self) -> None:
        self._used: str | None = None

    def __call__(self, statement: Statement) -> Treatment:
        if statement.command:
            return self._command(statement.text)
        sql = statement.sql
        if _ROWS.match(sql):
            return run(sql)
        # What the server runs of `/*!50003 CREATE*/ /*!50017 DEFINER=…*/ …`.
        start = _CONDITIONAL.sub(b" ", sql[:2000]).decode("latin-1")
        head = tokens(start, "mysql", limit=_HEAD)
        if starts(head, "INSERT|REPLACE"):
            return run(sql)
        if starts(head, "START", "TRANSACTION"):
            return run(sql)
        if starts(head, "LOAD|IMPORT"):
            return refuse(f"{head[0].text} reads a file on the server")
        if starts(head, "XA"):
            return refuse("a prepared transaction outlives its connection")
        if starts(head, "ROLLBACK") and not any(token.text == "TO" for token in head):
            return refuse(_ROLLBACK)
        if starts(head, "SELECT|WITH|TABLE|VALUES") and _writes_file(statement):
            return refuse("it writes a file on the server")
        if starts(head, "SET"):
            return _setting(sql, head)
        if _is_server_wide(head):
            return leave_out(SERVER_WIDE, " ".join(token.text for token in head[:2]))
        if starts(head, "CREATE|ALTER"):
            return _without_definer(sql)
        return run(sql)

    def _command(self, text: str) -> Treatment:
        words = tokens(text, "mysql")
        if starts(words, "USE") and len(words) == 2 and words[1].kind in ("word", "name"):
            # mysqldump --databases: all of it is meant for the scratch database.
            name = text[words[1].start : words[1].end].strip("`")
            if self._used in (None, name):
                self._used = name
                return leave_out()
            return refuse(f"USE {name} leaves the scratch database; make the dump of one database")
        return refuse(f"{text.split()[0]} is a command to the mysql client; only SQL can be loaded")


def _writes_file(statement: Statement) -> bool:
    words = tokens(statement.text, "mysql")
    return any(starts(words[number:], "INTO", "OUTFILE|DUMPFILE") for number in range(len(words)))


def _is_server_wide(head: list[Token]) -> bool:
    if starts(head, "CREATE|ALTER|DROP|RENAME"):
        kept = [token.text for token in head[1:5] if token.text not in ("OR", "REPLACE")]
        return head[1:2] != [] and head[1].kind == "word" and kept[0] in _MYSQL_OBJECTS.split("|")
    return starts(head, _MYSQL_SERVER_WIDE) or starts(head, "START", "SLAVE|REPLICA|ALL|GROUP_REPLICATION")


def _setting(sql: bytes, head: list[Token]) -> Treatment:
    words = {token.text for token in head if token.kind == "word"}
    if words & {"SQL_LOG_BIN", "GTID_PURGED"}:
        return leave_out()  # where and how the original replicates
    if words & {"GLOBAL", "PERSIST", "PERSIST_ONLY"} or starts(head, "SET", "PASSWORD|DEFAULT|ROLE"):
        return leave_out(SERVER_WIDE, "SET of the server")
    return run(sql)


def _without_definer(sql: bytes) -> Treatment:
    """A view, trigger or routine belongs to who creates it: its definer may not exist on this server."""
    head, tail = sql[:2000], sql[2000:]
    # Only before what is defined, so that no body is touched.
    found = _DEFINER.search(head)
    if not found or re.search(rb"\b(?:AS|BEGIN|RETURN|SELECT)\b", head[: found.start()], re.IGNORECASE):
        return run(sql)
    return Treatment("run", head[: found.start()] + head[found.end() :] + tail, OWNERS, changed=True)
