"""Imported by every Python process of a followed command, in place of the `sitecustomize` that it would have.

Packed at the top of our file, not in its package.
"""

import sys as _sys

try:
    from converger_inside.start import follow as _follow

    _follow()
except BaseException:
    # Python only prints what is wrong with a sitecustomize, and goes on without a guard.
    import os as _os
    import traceback as _traceback

    _traceback.print_exc()
    _sys.stderr.flush()
    _os._exit(70)


def _next_one():
    """Import the `sitecustomize` that ours stands before, as if ours were not there."""
    ours = _sys.modules.pop("sitecustomize")
    try:
        import importlib

        importlib.invalidate_caches()
        importlib.import_module("sitecustomize")
    except ImportError as error:
        _sys.modules["sitecustomize"] = ours
        if error.name != "sitecustomize":
            raise


_next_one()
