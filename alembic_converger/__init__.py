"""The library under the name of its distribution: `from alembic_converger import converge_migrations`."""

from converger import ConvergenceResult, __version__, converge_migrations

__all__ = ["ConvergenceResult", "__version__", "converge_migrations"]
