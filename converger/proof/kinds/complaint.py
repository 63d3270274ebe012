"""What a database complains of, whatever its dialect and the driver that passed it on. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from converger.proof.kinds.encounter import Encounter

Complaint = Literal[
    "exists",  # a name is taken
    "missing",  # a name is not there
    "needed",  # something that is to be dropped or changed is in use
    "second-key",
    "partition",
    "view-columns",
    "return-type",
    "not-null",
    "unique",
    "check",
    "foreign-key",
    "value",  # does not fit its type
    "type",  # one type where another is needed
    "new-label",
    "pending-events",
    "limit",
]

_SQLSTATES: Mapping[str, Complaint] = {
    "42P07": "exists",
    "42701": "exists",
    "42710": "exists",
    "42P06": "exists",
    "42723": "exists",
    "42703": "missing",
    "42P01": "missing",
    "42704": "missing",
    "42883": "missing",
    "42P10": "missing",
    "3F000": "missing",
    "2BP01": "needed",
    "0A000": "needed",
    "42P16": "view-columns",
    "42P13": "return-type",
    "42P17": "partition",
    "23502": "not-null",
    "23505": "unique",
    "23P01": "unique",
    "23514": "check",
    "23503": "foreign-key",
    "22001": "value",
    "22003": "value",
    "22007": "value",
    "22008": "value",
    "22P02": "value",
    "42804": "type",
    "42846": "type",
    "55P04": "new-label",
    "55006": "pending-events",
    "54011": "limit",
}

_MYSQL: Mapping[Complaint, str] = {
    "exists": "1022 1050 1060 1061 1304 1359 1537 1826 3822",
    "missing": "1051 1054 1072 1091 1146 1176 1305 1360 3821 4161",
    "needed": "1553 1828 1829 1832 1833 3730",
    "second-key": "1068",
    "not-null": "1048 1138 1364",
    "unique": "1062",
    "check": "3819 4025",
    "foreign-key": "1216 1217 1451 1452",
    "value": "1264 1265 1292 1366 1406",
    "type": "1215 3780",
    "limit": "1069 1071 1117 1118",
}
_MYSQL_CODES: Mapping[str, Complaint] = {
    code: complaint for complaint, codes in _MYSQL.items() for code in codes.split()
}

_SQLITE: tuple[tuple[str, Complaint], ...] = (
    (r"error in (view|trigger|index) .* after (drop|rename)", "needed"),
    (r"error in table .* after drop", "needed"),
    (r"cannot drop (UNIQUE|PRIMARY KEY) column", "needed"),
    (r"duplicate column name|already exists|already (an|a)other table|already a table named", "exists"),
    (r"no such (table|column|index|view|trigger)|has no column named|No such constraint", "missing"),
    (r"NOT NULL constraint failed|Cannot add a NOT NULL column", "not-null"),
    (r"UNIQUE constraint failed", "unique"),
    (r"CHECK constraint failed", "check"),
    (r"FOREIGN KEY constraint failed", "foreign-key"),
    (r"datatype mismatch|cannot store .* value in", "value"),
    (r"too many (columns|attached)", "limit"),
)

_CODE = re.compile(r"^\W*(\d{4})\b")
_PG8000 = re.compile(r"'C': '([0-9A-Z]{5})'")


def complaint_of(encounter: Encounter) -> Complaint | None:
    """What the error of an encounter is about; None where that is not known."""
    message = encounter.error or ""
    if encounter.exception == "NoSuchTableError":  # SQLAlchemy's, when batch mode reads a table
        return "missing"
    if encounter.dialect == "sqlite":
        return _of_sqlite(encounter, message)
    if encounter.dialect == "postgresql":
        state = encounter.sqlstate
        if state is None and (found := _PG8000.search(message)):
            state = found.group(1)
        return _of_postgresql(state, message)
    return _of_mysql(encounter, message)


def _of_postgresql(state: str | None, message: str) -> Complaint | None:
    if state == "42P16" and "primary key" in message:
        return "second-key"
    if state == "42883" and re.search(r"operator\b.*=|operator .* text|: (text|integer|\w+) [=<>]", message):
        return "type"
    if state == "23514" and "partition" in message and "default" in message:
        return "partition"
    return _SQLSTATES.get(state or "")


def _of_mysql(encounter: Encounter, message: str) -> Complaint | None:
    found = _CODE.search(message)
    code = found.group(1) if found else ""
    changes = re.match(r"\s*(alter|drop|create)\b", encounter.statement or "", re.I) is not None
    if code == "1005" or code == "1025":
        if "121" in message:
            return "exists"
        return "type" if "150" in message else None
    if code in ("1217", "1451") and changes:
        return "needed"
    return _MYSQL_CODES.get(code)


def _of_sqlite(encounter: Encounter, message: str) -> Complaint | None:
    for pattern, complaint in _SQLITE:
        if re.search(pattern, message, re.I):
            return complaint
    # Batch mode looks columns up in what it read.
    return "missing" if encounter.exception == "KeyError" else None
