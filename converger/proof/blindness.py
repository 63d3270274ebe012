"""Failures that say nothing about the branches: each becomes a reason for "could not look"."""

from __future__ import annotations

import os
import re
from pathlib import Path

from converger.errors import CouldNotEvaluate
from converger.proof.startup import NONE_OF_OURS
from converger.proof.upgrade import Failure

_SERVERS_TROUBLE = ("08", "53", "57P", "58")
"""SQLSTATE classes: connection, insufficient resources, shutdown, system error (PostgreSQL, appendix A)."""

_EXTENSION = re.compile(r"\bCREATE\s+EXTENSION\b", re.IGNORECASE)
_EXTENSION_LACKS = frozenset({"0A000", "58P01", "55000", "XX000"})
"""Not available, no control file, not preloaded; 42710, on the other hand, is a second CREATE of the same."""
_NO_NETWORK = re.compile(
    r"Network is unreachable|Errno 101|name resolution|Name or service not known|getaddrinfo|ENETUNREACH"
)
_OF_A_CHILD = frozenset({"CalledProcessError", "CommandFailed"})
"""Failures whose cause only the output of another program says."""
_NO_ROOM = re.compile(
    r"\[Errno (12|23|24|28|122)\]|database or disk is full|MemoryError|Cannot allocate memory", re.IGNORECASE
)
"""ENOMEM, ENFILE, EMFILE, ENOSPC, EDQUOT, and SQLite's word for the fourth."""
_TAKEN_OUT = {
    "3.10": "formatter parser symbol",
    "3.12": "asynchat asyncore distutils imp smtpd",
    "3.13": "aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap nntplib pipes sndhdr spwd sunau telnetlib uu"
    " xdrlib",
}
"""Modules that Python itself no longer has, by the version that took them out ("What's New" of each)."""
_SERVER_WIDE = re.compile(
    r"\b(CREATE|ALTER|DROP)\s+(ROLE|USER(?!\s+MAPPING)|GROUP|TABLESPACE)\b", re.IGNORECASE
)
_SERVER_WIDE_CLASHES = frozenset({"42710", "42704", "2BP01"})
"""Exists already, does not exist, is in use: also where another path of this proof made or dropped it."""


class Blindness:
    """Tells failures that say nothing about the branches ("could not look") from those that do."""

    def __init__(self, root: Path, python: str) -> None:
        """`root` is the repository, `python` the interpreter that ran the project's code."""
        self._root = root
        self._python = python

    def reason(
        self, failure: Failure, *, alone: bool = True, command: bool = False
    ) -> CouldNotEvaluate | None:
        """The error for a failure that says nothing about the branches; None for one that does.

        `alone`: it happened without another branch. A privilege that is missing only after the other
        branch ran is a conflict, not the server's lack. `command`: it happened in `--prepare`.
        """
        place = self.where(failure)
        if failure.foreign:
            return CouldNotEvaluate(
                failure.foreign + "; it was stopped before the first statement",
                code="foreign-connection",
                hint=_other_database(failure.foreign),
            )
        if failure.missing_module:
            return CouldNotEvaluate(
                f"{place}{failure.message} (interpreter: {self._python})",
                code="missing-dependency",
                hint=_how_to_install(failure),
            )
        if failure.timed_out:
            return CouldNotEvaluate(
                f"{place}{failure.message} {_doing(failure, command)}{_statement(failure)}",
                code="worker-timeout",
                hint="raise the bound with --timeout SECONDS, or look whether the migration waits for a lock"
                " or for input",
            )
        if failure.type == "WorkerEnded":
            return CouldNotEvaluate(
                f"{failure.message} {_doing(failure, command)}{_statement(failure)}{self.last_words(failure)}",
                code="worker-ended",
                hint="signal 9 mostly means that the machine ran out of memory"
                if failure.killed == 9
                else None,
            )
        if failure.type == "CommandNotFound":
            return CouldNotEvaluate(
                failure.message,
                code="command-not-found",
                hint="install it beside the project's interpreter, which --python names, or write the whole path",
            )
        if failure.type == "CommandNotGuarded":
            return CouldNotEvaluate(
                failure.message,
                code="command-not-guarded",
                hint="run it as `python -m …`, without -I, -E and -S, and let it pass on its environment: PYTHONPATH"
                " and CONVERGER_ORDER",
            )
        if failure.type == "NoApplication":
            return CouldNotEvaluate(
                f"{place}{failure.message}",
                code="no-application",
                hint="name it with --flask-app MODULE:FACTORY, as for `flask --app`",
            )
        if failure.type == "BeginsTooLate":
            return CouldNotEvaluate(
                failure.message,
                code="begins-too-late",
                hint="nothing above the common ancestor may be applied already: take an older dump for --base-sql,"
                " or a set-up for --prepare that makes the database of an older revision",
            )
        if failure.type == "RunsTwice":
            return CouldNotEvaluate(
                f"{place}{failure.message}",
                code="env-failed",
                hint="let env.py upgrade one of them when the proof runs; --env NAME=VALUE sets a variable by"
                " which it can choose",
            )
        lacking = _machine_lacks(failure, place) or self._server_lacks(failure, place, alone)
        if lacking is not None:
            return lacking
        if failure.sqlstate and failure.sqlstate.startswith(_SERVERS_TROUBLE):
            return CouldNotEvaluate(
                f"{place}{failure.message.strip()}",
                code="server-refused",
                hint="this is the server's trouble (room, memory, connections, a shutdown), not the migration's:"
                " mend that and run again",
            )
        if failure.revision is None and not failure.began and not command:
            return self.environment_failed(failure)
        return None

    @staticmethod
    def _server_lacks(failure: Failure, place: str, alone: bool) -> CouldNotEvaluate | None:
        """The error for what another server would allow, or for what the whole server shares."""
        statement = failure.statement or ""
        text = f"{place}{failure.message.strip()}"
        if failure.sqlstate == "42501" and alone:
            return CouldNotEvaluate(
                text,
                code="missing-privilege",
                hint="the role that runs the migrations may not do that on this server: name one that may in"
                " --database-url, or leave the option out for a server of our own",
            )
        if failure.sqlstate in _EXTENSION_LACKS and _EXTENSION.search(statement):
            return CouldNotEvaluate(
                text,
                code="server-refused",
                hint="this server does not have the extension: name one that has it with --database-url",
            )
        if failure.type == "ServerWide" or (
            failure.sqlstate in _SERVER_WIDE_CLASHES and _SERVER_WIDE.search(statement)
        ):
            return CouldNotEvaluate(
                f"{text} (roles, tablespaces and databases belong to the whole server, which all upgrade"
                " paths share: what one path leaves there decides how the next one goes)",
                code="server-refused",
                hint="keep such statements out of the branches, or merge with --skip-validation",
            )
        return None

    def environment_failed(self, failure: Failure) -> CouldNotEvaluate:
        """The error for what went wrong before the first migration."""
        if failure.type == "CommandFailed":
            text = f"{failure.message} before the first migration{self.last_words(failure)}"
            hint = _known_hint(text) or (
                "run the command by hand; --env NAME=VALUE sets a variable that it needs"
            )
        else:
            text = f"{self.where(failure)}{failure.type}: {failure.message}"
            hint = _known_hint(text) or (
                "this happened before the first migration, in env.py, in what it imports or while the revision"
                " files were loaded; --env NAME=VALUE sets a variable that it needs, --command runs the"
                " project's own way to upgrade where env.py needs more around it"
            )
        return CouldNotEvaluate(text, code="env-failed", hint=hint)

    @staticmethod
    def last_words(failure: Failure) -> str:
        """`; its last words: …`, the end of what it wrote, or nothing."""
        lines = failure.output.strip().splitlines()
        return "; its last words: " + " / ".join(lines[-3:]) if lines else ""

    def where(self, failure: Failure) -> str:
        """`path:line: ` of the innermost frame in the project's own code, or nothing."""
        for path, line, _name in failure.frames:
            if path.startswith("<"):  # no file: Alembic makes its `op` functions with exec
                continue
            relative = os.path.relpath(os.path.realpath(path), self._root)
            if not relative.startswith("..") and "site-packages" not in relative:
                return f"{relative}:{line}: "
        return ""


def _known_hint(text: str) -> str | None:
    """What to do about failures whose words tell the cause."""
    if "requires an async driver" in text:  # SQLAlchemy's create_async_engine
        return (
            "env.py makes an async engine: name the driver in --database-url, for instance"
            " postgresql+asyncpg:// or sqlite+aiosqlite://"
        )
    if "Can't locate revision identified by" in text:
        return (
            "env.py or the project's command reads its revisions from another folder than ours, perhaps from an"
            " installed copy of the project (then put the checkout first: --env PYTHONPATH=., or name the folder,"
            " as `flask db upgrade -d FOLDER` does); or the dump of --base-sql is of a version that this history"
            " does not know"
        )
    return None


def _machine_lacks(failure: Failure, place: str) -> CouldNotEvaluate | None:
    """The error for what another machine, or a process with fewer guards, would have given."""
    text = f"{place}{failure.message.strip()}"
    if NONE_OF_OURS in failure.message:
        return CouldNotEvaluate(
            f"{text}: the project's code asked the scratch server for another database, and was turned away",
            code="foreign-connection",
            hint=_other_database(failure.message),
        )
    output = failure.output if failure.type in _OF_A_CHILD else ""
    if found := _NO_NETWORK.search(failure.message) or _NO_NETWORK.search(output):
        said = "" if found.string is failure.message else f" ({_line_of(found)})"
        return CouldNotEvaluate(
            text + said,
            code="no-network",
            hint="the project's code has no network but the scratch server; --allow-network lets it use what it"
            " can reach, --env NAME=VALUE sets a variable by which it can do without",
        )
    if failure.type == "MemoryError" or _NO_ROOM.search(failure.message):
        return CouldNotEvaluate(
            f"{place}{failure.type}: {failure.message.strip()}",
            code="out-of-resources",
            hint="memory, disk or file descriptors ran out while the project's code ran: that says nothing about"
            " the branches; run it where there is more",
        )
    return None


def _line_of(found: re.Match[str]) -> str:
    return next(line for line in found.string.splitlines() if found.group() in line).strip()


def _how_to_install(failure: Failure) -> str:
    where = (
        "name the interpreter of the project's environment with --python; in the Action, `install` is the command"
        " that installs its dependencies"
    )
    if failure.message.startswith("cannot import name"):
        return f"another version of {failure.module or 'it'} may be meant than the one that is there: {where}"
    top = (failure.module or "").partition(".")[0]
    for version, gone in _TAKEN_OUT.items():
        if top in gone.split():
            return (
                f"Python {version} took {top} out: run the project with an older one (--python; in the Action,"
                " `python-version`), or install a package that brings it back"
            )
    return f"install {failure.module or 'it'} there, or {where}"


def _statement(failure: Failure) -> str:
    """`, in the statement …`, or nothing where none was running."""
    return f", in the statement {' '.join(failure.statement.split())[:300]}" if failure.statement else ""


def _doing(failure: Failure, prepare: bool) -> str:
    if failure.revision:
        return f"while revision {failure.revision} ran"
    return "while --prepare ran" if prepare else "before the first migration"


def _other_database(foreign: str) -> str:
    """What to do about a connection to another database, or to another kind of database."""
    found = re.search(r"connected to (?:a|another) (\w+) database", foreign)
    if "while the revision files were loaded" in foreign or found is None:
        return (
            "env.py has to take its database from sqlalchemy.url or config.attributes['connection'];"
            " a variable that holds the URL is named with --database-url-env"
        )
    return (
        f"--database-url {found[1]}://… makes the proof run on {found[1]}; a variable from which the project takes"
        " its database is named with --database-url-env, and gets the scratch database's URL"
    )
