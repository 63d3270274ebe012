"""What stands between a project's code and another database, layer by layer, and how to take a layer away."""

from __future__ import annotations

import io
import zipfile

from converger.proof.packing import packed

LAYERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "do_connect": (("guard.py", 'event.listen(Engine, "do_connect", self.before_connecting)', "pass"),),
    "pool": (
        ("guard.py", 'event.listen(Pool, "connect", self.connected)', "pass"),
        ("guard.py", 'event.listen(Pool, "checkout", self.checked_out)', "pass"),
    ),
    "engine_connect": (("guard.py", 'event.listen(Engine, "engine_connect", self.handed_out)', "pass"),),
    "configure": (("watch.py", "self.guard.configured(connection)", "0"),),
    "drivers": (("drivers.py", "def install(broker):", "def install(broker):\n    return"),),
}
"""Of each layer: module, the text that makes it effective, and what stands there without it.

The network cut, the sixth, is an option of its own.
"""


def program_with(*kept: str) -> bytes:
    """The program that runs inside the project's interpreter, with only these layers left."""
    assert set(kept) <= set(LAYERS)
    edits = [edit for layer, edits in LAYERS.items() if layer not in kept for edit in edits]
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed())) as given, zipfile.ZipFile(content, "w") as made:
        for entry in given.infolist():
            text = given.read(entry).decode()
            for module, effective, without in edits:
                if entry.filename.endswith(f"/{module}"):
                    assert text.count(effective) == 1, f"{module} has changed: where is {effective}?"
                    text = text.replace(effective, without)
            made.writestr(entry, text)
    return content.getvalue()
