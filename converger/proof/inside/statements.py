"""Statements with which a server reaches beyond the database that they are sent to.

Found by what they look like, so only those that are sent through SQLAlchemy and say plainly what they do.
"""

import re

_BEGINNING = (  # of a statement, or of one inside a DO block
    r"(?:\A|;|\b(?:BEGIN|THEN|ELSE|LOOP)\b|\bEXECUTE\s+(?:format\s*\(\s*)?')\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*"
)
_FLAGS = re.IGNORECASE | re.DOTALL

_WHOLE_SERVER = re.compile(
    _BEGINNING
    + r"(?:(?:CREATE|ALTER|DROP)\s+(?:ROLE|USER(?!\s+MAPPING)|GROUP|TABLESPACE)\b(?![^;]*\bIN\s+DATABASE\b)"
    r"|(?:CREATE|DROP)\s+DATABASE\b|ALTER\s+SYSTEM\b|COMMENT\s+ON\s+(?:ROLE|TABLESPACE)\b"
    r"|(?:GRANT|REVOKE)\s+(?:(?!\bON\b)[^;'])*\b(?:TO|FROM)\b)",  # membership in a role
    _FLAGS,
)
_SESSIONS = re.compile(r"\bpg_(?:terminate|cancel)_backend\s*\(", re.IGNORECASE)
_NAMES_DATABASE = re.compile(
    _BEGINNING
    + r"(?:ALTER\s+DATABASE|COMMENT\s+ON\s+DATABASE|(?:GRANT|REVOKE)\b[^;']*?\bON\s+DATABASE"
    + r"|ALTER\s+(?:ROLE|USER)\b[^;']*?\bIN\s+DATABASE|SECURITY\s+LABEL\b[^;]*?\bON\s+DATABASE)"
    + r'\s+("(?:[^"]|"")+"|[\w$]+)',
    _FLAGS,
)
_CONNECTS = re.compile(
    _BEGINNING
    + r"(?:(COPY)\b[^;]*\b(?:TO|FROM)\s+PROGRAM\b|(CREATE\s+SUBSCRIPTION)\b|(IMPORT\s+FOREIGN\s+SCHEMA)\b"
    + r"|CREATE\s+TABLE\b[^;]*\bENGINE\s*=?\s*(FEDERATEDX?|SPIDER|CONNECT)\b)",
    _FLAGS,
)
_DBLINK = re.compile(r"\b(dblink(?:_connect(?:_u)?|_exec|_open|_send_query)?)\s*\(", re.IGNORECASE)
_BODY = re.compile(  # of a function: it runs when it is called, which cannot be seen
    r"\bCREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\b[^;]*?\bAS\s+"
    r"(?:(\$\w*\$).*?\1|E?'(?:[^']|'')*')",
    re.IGNORECASE | re.DOTALL,
)
_ONLY_DEFINES = re.compile(
    r"\s*(?:CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE|VIEW|TRIGGER|RULE)|ALTER|COMMENT|DROP|GRANT|REVOKE)\b",
    re.IGNORECASE,
)


def connects_elsewhere(statement):
    """With what a statement makes the server itself open a connection or run a program; None if it does not."""
    found = _CONNECTS.search(statement)
    if found is None and _DBLINK.search(statement):
        parts = _BODY.sub("", statement).split(";")
        calls = [_DBLINK.search(part) for part in parts if not _ONLY_DEFINES.match(part)]
        found = next(filter(None, calls), None)
    return None if found is None else " ".join(next(filter(None, found.groups())).split())


def changes_server(statement, databases):
    """Whether a statement changes what all databases of a server share, or another database.

    `databases` says which are ours.
    """
    if _WHOLE_SERVER.search(statement):
        return True
    if databases.dialect != "postgresql":
        return False
    if _SESSIONS.search(statement) and "current_database" not in statement:
        return True
    return any(not databases.holds(_name(found.group(1))) for found in _NAMES_DATABASE.finditer(statement))


def _name(written):
    """An identifier as the server stores it."""
    if written.startswith('"'):
        return written[1:-1].replace('""', '"')
    return written.lower()
