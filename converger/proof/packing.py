"""The code that runs inside the project's interpreter, as one file.

A zip that Python runs by path as the worker; on PYTHONPATH, it is where Python finds our `sitecustomize`.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

_PACKAGE = "converger_inside"
_MAIN = f"import sys\nfrom {_PACKAGE}.main import main\nmain(sys.argv)\n"
_INSIDE = Path(__file__).with_name("inside")
_TIME = (1980, 1, 1, 0, 0, 0)


def packed() -> bytes:
    """The file's content: the same bytes for the same code."""
    content = io.BytesIO()
    # Stored: a project's interpreter may have no zlib.
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        file.writestr(zipfile.ZipInfo("__main__.py", _TIME), _MAIN)
        for path in sorted(_INSIDE.glob("*.py")):
            name = path.name if path.name == "sitecustomize.py" else f"{_PACKAGE}/{path.name}"
            file.writestr(zipfile.ZipInfo(name, _TIME), path.read_bytes())
    return content.getvalue()
