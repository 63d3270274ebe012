"""Alembic Converger: what happens when two Alembic migrations meet.

`converge_migrations` is the library's front door; the command line is `alembic-converger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converger.api import ConvergenceResult, converge_migrations

__all__ = ["ConvergenceResult", "__version__", "converge_migrations"]

__version__ = "1.0.0.dev0"


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the command line imports this package too, and must start fast.
    if name in ("ConvergenceResult", "converge_migrations"):
        from converger import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
