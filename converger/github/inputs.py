"""What the inputs of the Action mean: the text that a workflow gives, read as values. Pure.

A reader takes the text of one input, which is neither empty nor blank, and returns its value or raises
ValueError with what is wrong. The text is in no message of the inputs that may be secrets.
"""

from __future__ import annotations

import math
import posixpath
import re
import shlex
from collections.abc import Mapping

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Debian Policy 5.6.1 and 5.6.12, with apt's `=version`, `:architecture` and `/suite`.
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?([=/][A-Za-z0-9.+~:-]+)?")
_PYTHON_VERSION = re.compile(r"(\d+)\.(\d+)(\.\d+)?")
OLDEST_PYTHON = (3, 8)
"""What the proof's worker runs on."""
_LONGEST_TIME = 5 * 86_400.0
_LONGEST = 120


def shown(text: str) -> str:
    """A value as it is named in a message: quoted, on one line, not too long."""
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...")


def boolean(text: str) -> bool:
    """`true` or `false`, and YAML's other words for them: a workflow's `yes` arrives as it is written."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{shown(text)} is neither true nor false")


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{shown(text)} is not a number of seconds above 0")
    if value > _LONGEST_TIME:
        raise ValueError(f"{shown(text)} is more than {_LONGEST_TIME:.0f} seconds, which no job may take")
    return value


def one_line(text: str) -> str:
    """A text without line ends and control characters."""
    value = text.strip()
    if not value.isprintable():
        raise ValueError(f"{shown(text)} has line ends or control characters")
    return value


def start(text: str) -> str:
    """A revision, commit, branch or tag. None of them begins with a hyphen, which would be an option to git."""
    value = one_line(text)
    if value.startswith("-"):
        raise ValueError(f"{shown(text)} is no revision, commit, branch or tag")
    return value


def inside(text: str) -> str:
    """A path inside the folder that it is relative to, with forward slashes and without `.` and `..`."""
    value = one_line(text)
    path = posixpath.normpath(value)
    if posixpath.isabs(path):
        raise ValueError(f"{shown(text)} is an absolute path; give one that is relative")
    if path == ".." or path.startswith("../"):
        raise ValueError(f"{shown(text)} leads out of the repository")
    return path


def within_repository(text: str) -> str:
    """A path relative to `working-directory`; whether it stays in the repository only both together tell."""
    value = one_line(text)
    if posixpath.isabs(value):
        raise ValueError(f"{shown(text)} is an absolute path; give one that is relative to working-directory")
    return posixpath.normpath(value)


def words(text: str) -> tuple[str, ...]:
    """Items between commas or line ends, each once, in their order."""
    items = (item.strip() for item in re.split(r"[,\r\n]", text))
    return tuple(dict.fromkeys(item for item in items if item))


def labels(text: str) -> tuple[str, ...]:
    """Labels of a pull request, between commas or line ends. GitHub allows 50 characters."""
    found = words(text)
    for label in found:
        if len(label) > 50 or not label.isprintable():
            raise ValueError(f"{shown(label)} is no label: at most 50 characters on one line")
    return found


def packages(text: str) -> tuple[str, ...]:
    """Names of Debian packages, between spaces, commas or line ends. None can be an option to apt."""
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for name in found:
        if not _DEBIAN_PACKAGE.fullmatch(name):
            raise ValueError(f"{shown(name)} is no name of a Debian package")
    return found


def variables(text: str) -> Mapping[str, str]:
    """One NAME=VALUE a line. Values may be secrets, so no message repeats any of it."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals or not _VARIABLE.fullmatch(name.strip()):
            raise ValueError(f"line {number} is not NAME=VALUE, NAME of letters, digits and underscores")
        found[name.strip()] = value
    return found


def variable_names(text: str) -> tuple[str, ...]:
    """Names of variables, between spaces, commas or line ends."""
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for name in found:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{shown(name)} is no name of a variable")
    return found


def shell_words(text: str) -> str:
    """A command that can be split into words as a shell would."""
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be read as a command: {str(error).lower()}") from None
    if not parts:
        raise ValueError("the command is empty")
    return text.strip()


def upgrade_command(text: str) -> str:
    """A command with `{revision}` in it, for the revision to upgrade to."""
    if "{revision}" not in text:
        raise ValueError(f"{shown(text)} has no {{revision}}, for the revision to upgrade to")
    return shell_words(text)


def script(text: str) -> str:
    """A command for a shell; it may have several lines."""
    return text.strip()


def python_version(text: str) -> str:
    """`3.12` or `3.12.4`; not older than the oldest Python that runs the proof."""
    value = text.strip()
    match = _PYTHON_VERSION.fullmatch(value)
    if match is None:
        hint = ""
        if re.fullmatch(r"3\.?\d?", value):
            hint = " (in YAML 3.10 without quotes is the number 3.1)"
        raise ValueError(f"{shown(text)} is no version of Python such as 3.12{hint}")
    if (int(match[1]), int(match[2])) < OLDEST_PYTHON:
        hint = "; in YAML 3.10 without quotes is the number 3.1" if value == "3.1" else ""
        raise ValueError(f"{shown(text)} is older than 3.8{hint}")
    return value


def database_url(text: str) -> str:
    """A database URL. It holds a password, so no message repeats any of it."""
    from converger.proof.urls import parse_url

    parse_url(text)
    return text.strip()


def token(text: str) -> str:
    """A token: one word, which no message repeats."""
    value = text.strip()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a token is one word")
    return value


def branch(text: str) -> str:
    """A name for a branch, as `git check-ref-format` allows it, with `{base}` for the branch it is for."""
    value = one_line(text)
    plain = value.replace("{base}", "base")
    if value == "{base}":
        raise ValueError(f"{shown(text)} is the branch itself; it must have another name")
    if not is_branch_name(plain):
        raise ValueError(f"{shown(text)} is no name for a branch")
    return value


def is_branch_name(name: str) -> bool:
    """Whether git takes it as the name of a branch (git-check-ref-format(1), and no leading hyphen)."""
    if not name or name.startswith(("-", "/")) or name.endswith(("/", ".")) or name in ("@", "HEAD"):
        return False
    # Others that do not show are allowed: an emoji may be made of several characters with one of these between them.
    if re.search(r"[\x00-\x20\x7f-\x9f\ud800-\udfff~^:?*\[\\]|\.\.|@\{|//", name):
        return False
    return not any(part.startswith(".") or part.endswith(".lock") for part in name.split("/"))
