"""What an ini file and a pyproject.toml say, asked as Alembic's `Config` asks (alembic/config.py, 1.20).

The ini file comes first, option by option; interpolation happens per option, so that a broken one (a
stray percent sign in a logging format) disturbs no other.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converger.errors import ConfigurationError
from converger.history.model import Problem

if TYPE_CHECKING:
    from converger.history.trees import Tree

_SEPARATORS = {"space": " ", "newline": "\n", "os": os.pathsep, ":": ":", ";": ";"}
_SPACE_COMMA = re.compile(r", *|(?: +)")
_SPACE_COMMA_COLON = re.compile(r", *|(?: +)|\:")
_INLINE_COMMENT = re.compile(r"[ \t]+[#;].*$", re.MULTILINE)
_MEND = "mend it, or pass another file with --alembic-config PATH"
_TRUE = frozenset({"true", "yes", "on", "y", "t", "1"})


def has_alembic_table(tree: Tree, path: Path) -> bool:
    """Whether a pyproject.toml has `[tool.alembic]`. ConfigurationError if it is no TOML."""
    return bool(_toml_table(tree, path))


def read_settings(tree: Tree, ini: Path | None, toml: Path | None, section: str) -> Settings:
    """Read both files. ConfigurationError if one cannot be parsed."""
    parser = configparser.ConfigParser({"here": (ini.parent if ini else Path()).as_posix()})
    if ini is not None:
        text = _text(_bytes(tree, ini))
        try:
            parser.read_string(text, source=str(ini))
        except configparser.Error as error:
            message = " ".join(str(error).split())
            raise ConfigurationError(
                f"{ini} is no valid ini file: {message}", code="bad-configuration", hint=_MEND
            ) from error
    table = _toml_table(tree, toml) if toml is not None else {}
    return Settings(parser, table, ini, toml, section)


class Settings:
    """The options of one project. Methods raise ConfigurationError for a value that cannot be used."""

    def __init__(
        self,
        parser: configparser.ConfigParser,
        table: Mapping[str, Any],
        ini: Path | None,
        toml: Path | None,
        section: str,
    ) -> None:
        self._parser = parser
        self._table = table
        self._ini = ini
        self._toml = toml
        self._section = section
        self.problems: list[Problem] = []

    def has_section(self) -> bool:
        """Whether the ini file has the section that was asked for."""
        return self._parser.has_section(self._section)

    def sections_with(self, name: str) -> list[str]:
        """The sections of the ini file that have this option, in the file's order."""
        if name in self._parser.defaults():  # every section has it, those for logging too
            return []
        return [section for section in self._parser.sections() if self._parser.has_option(section, name)]

    def databases(self) -> tuple[str, ...]:
        """The sections that `databases` lists, as Alembic's multidb template does; () for one database."""
        names = [name for name in re.split(r",\s*|\s+", self.optional_text("databases") or "") if name]
        with_url = self.sections_with("sqlalchemy.url")
        return tuple(dict.fromkeys(names)) if names and all(name in with_url for name in names) else ()

    def optional_text_of(self, section: str, name: str) -> str | None:
        """An option of another section of the ini file; None where it is missing or cannot be interpolated."""
        try:
            return self._parser.get(section, name, fallback=None)
        except configparser.Error:
            return None

    def described(self) -> str:
        """The files and sections that were asked, for messages."""
        parts = []
        if self._ini is not None:
            parts.append(f"section [{self._section}] of {self._ini}")
        if self._toml is not None:
            parts.append(f"[tool.alembic] of {self._toml}")
        return " and ".join(parts)

    # -- values ------------------------------------------------------------------------------------

    def text(self, name: str) -> str | None:
        """An option as text, interpolated; None where neither file has it."""
        value = self._value(name)
        if value is None:
            return None
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return str(value)
        raise self._bad(name, f"{value!r} is not a text")

    def optional_text(self, name: str) -> str | None:
        """The same, but None where it cannot be interpolated either (secrets often stand there)."""
        try:
            return self.text(name)
        except ConfigurationError:
            return None

    def flag(self, name: str) -> bool:
        """As `Config.get_alembic_boolean_option`: in an ini file only the word "true" is true."""
        if self._parser.has_option(self._section, name):
            return self._ini_value(name) == "true"
        value = self._table.get(name, False)
        if not isinstance(value, bool):
            raise self._bad(name, "a boolean is expected")
        return value

    def loose_flag(self, name: str) -> bool:
        """As SQLAlchemy's `asbool`, which Alembic uses for some options: yes, on, 1, …"""
        value = self._value(name)
        return value.strip().lower() in _TRUE if isinstance(value, str) else bool(value)

    def number(self, name: str) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError:
            raise self._bad(name, f"{text!r} is not a number") from None

    # -- lists -------------------------------------------------------------------------------------

    def version_locations(self) -> list[str]:
        """`version_locations` split by the configured separator; empty where there are none."""
        text = self._ini_text("version_locations")
        if not text:
            return self._toml_list("version_locations")
        separator = self._separator("path_separator", "version_path_separator")
        if separator is None:
            return [part for part in _SPACE_COMMA.split(text) if part.strip()]
        return [part.strip() for part in text.split(separator) if part.strip()]

    def prepend_sys_path(self) -> list[str]:
        """Folders that Alembic puts in front of `sys.path`, as written."""
        text = self._ini_text("prepend_sys_path")
        if not text:
            return self._toml_list("prepend_sys_path")
        separator = self._separator("path_separator")
        if separator is None:
            return [part for part in _SPACE_COMMA_COLON.split(text) if part.strip()]
        return [part.strip() for part in text.split(separator) if part.strip()]

    def hooks(self) -> tuple[Mapping[str, str], ...]:
        """Post-write hooks as `Config.get_hooks_list()` gives them. Unreadable ones are a problem, not an error."""
        try:
            if self._parser.has_section("post_write_hooks"):
                return tuple(self._ini_hooks(dict(self._parser.items("post_write_hooks"))))
            hooks = []
            for table in self._toml_value("post_write_hooks") or []:
                options = dict(table)
                hooks.append({**options, "_hook_name": options.pop("name")})
                hooks[-1].pop("name", None)
            return tuple(hooks)
        except (configparser.Error, ConfigurationError, KeyError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            text = f"The post-write hooks cannot be read and are left out: {reason}"
            self.problems.append(Problem("unreadable-option", "warning", text))
            return ()

    def _ini_hooks(self, options: Mapping[str, str]) -> list[dict[str, str]]:
        hooks = []
        for name in _SPACE_COMMA.split(options.get("hooks", "")):
            if name:
                start = len(name) + 1
                hook = {key[start:]: value for key, value in options.items() if key.startswith(f"{name}.")}
                hooks.append({**hook, "_hook_name": name})
        return hooks

    def _separator(self, *names: str) -> str | None:
        for name in names:
            text = self._ini_text(name)
            if text is not None:
                # Alembic's own templates of 1.7 to 1.15 put a comment behind the value of this line.
                value = _INLINE_COMMENT.sub("", text).strip()
                if value not in _SEPARATORS:
                    raise self._bad(name, f"{value!r} is none of space, newline, os, : and ;")
                return _SEPARATORS[value]
        return None

    # -- files -------------------------------------------------------------------------------------

    def _value(self, name: str) -> object:
        if self._parser.has_option(self._section, name):
            return self._ini_value(name)
        return self._toml_value(name)

    def _ini_text(self, name: str) -> str | None:
        return self._ini_value(name) if self._parser.has_option(self._section, name) else None

    def _ini_value(self, name: str) -> str:
        try:
            return self._parser.get(self._section, name)
        except configparser.Error as error:
            raise self._bad(name, " ".join(str(error).split())) from error

    def _toml_list(self, name: str) -> list[str]:
        value = self._toml_value(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise self._bad(name, "a list of texts is expected")
        return value

    def _toml_value(self, name: str) -> Any:
        """A value of `[tool.alembic]` with `%(here)s` filled in, in lists and tables too."""
        value = self._table.get(name)
        here = {"here": self._toml.parent.as_posix()} if self._toml else {}
        try:
            return _filled(value, here)
        except (KeyError, TypeError, ValueError) as error:
            raise self._bad(name, f"it cannot be interpolated: {error}") from error

    def _bad(self, name: str, reason: str) -> ConfigurationError:
        return ConfigurationError(
            f"{name} in {self.described()}: {reason}", code="bad-configuration", hint=_MEND
        )


def _filled(value: Any, here: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value % here
    if isinstance(value, list):
        return [_filled(part, here) for part in value]
    if isinstance(value, dict):
        return {key: _filled(part, here) for key, part in value.items()}
    return value


def _toml_table(tree: Tree, path: Path) -> Mapping[str, Any]:
    data = _bytes(tree, path)
    if b"alembic" not in data:  # most pyproject.toml files: spares importing the parser
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        tool = tomllib.loads(data.decode()).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} is no valid TOML file: {error}", code="bad-configuration", hint=_MEND
        ) from error
    table = tool.get("alembic", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigurationError(
            f"[tool.alembic] of {path} is no table.", code="bad-configuration", hint=_MEND
        )
    return table


def _bytes(tree: Tree, path: Path) -> bytes:
    try:
        return tree.read(str(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"{path} cannot be read: {reason}", code="bad-configuration", hint=_MEND
        ) from error


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # comments in the local encoding of whoever wrote them
