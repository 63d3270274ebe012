"""Calls that change nothing in the database, by their names: what is not here counts as unknown."""

from __future__ import annotations

import sys

_TYPE_LIBRARIES = frozenset(
    "sqlalchemy sqlmodel sqlalchemy_utils geoalchemy2 citext pgvector alembic_postgresql_enum sqlalchemy_json"
    " advanced_alchemy fastapi_users_db_sqlalchemy flask_sqlalchemy".split()
)
_INSPECTING = (
    "get_",
    "has_",
    "is_",
    "_has_",
    "_get_",
    "_is_",
    "column_exists",
    "table_exists",
    "index_exists",
)
_PURE = frozenset(
    "loads dumps close commit rollback flush getLogger info warning debug error exception".split()
)
_NAMES = frozenset(
    "len str int float bool repr print isinstance issubclass set list dict tuple frozenset sorted reversed any all"
    " enumerate zip range map filter min max sum abs hasattr getattr type iter next super vars id hash open format"
    " append extend add insert_one items keys values get pop update_one setdefault split rsplit strip lstrip rstrip"
    " join lower upper replace startswith endswith encode decode format title count index sort copy partition"
    " rpartition fetchall fetchone fetchmany first one one_or_none all scalar scalar_one mappings scalars begin"
    " begin_nested commit rollback close flush expunge_all autocommit_block connect inspect info warning warn debug"
    " error exception critical log yield_per options limit order_by offset group_by filter_by where query select_from"
    " configure reflect isoformat hex now utcnow today timedelta total_seconds group match search compile sub"
    " remove round setattr discard loads dumps load dump strftime strptime exit".split()
)


def is_type_library(path: str) -> bool:
    """Whether a full name is SQLAlchemy's, or of a package that only adds types to it."""
    return path.partition(".")[0] in _TYPE_LIBRARIES


def does_nothing(path: str, name: str) -> bool:
    """Whether a call is known to change nothing. `path` is its full name, if it is imported."""
    root = path.partition(".")[0]
    if root in sys.stdlib_module_names:
        return True
    if path and root not in (
        "alembic",
        "__future__",
    ):  # the project's own, or a library's: only by what it is called
        return name in _PURE or name.startswith(_INSPECTING)
    return name in _NAMES or name.startswith(_INSPECTING)
