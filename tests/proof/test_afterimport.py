"""A function is called right after a module was imported, whoever imports it and however it is found."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.proof.inside_child import answer

WATCH = """
import importlib, importlib.util, sys
from inside.afterimport import when_imported
seen = []
def watch(name):
    when_imported(name, lambda module: seen.append((name, module.__name__, getattr(module, "value", None))))
"""


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "plain.py").write_text("value = 1\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("from package.inner import value\n")
    (tmp_path / "package" / "inner.py").write_text("value = 2\n")
    (tmp_path / "package" / "data.txt").write_text("text")
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "leaf.py").write_text("value = 3\n")
    return tmp_path


def test_before_whoever_imported_it_gets_to_use_it(modules: Path) -> None:
    found = answer(
        WATCH
        + """
def replace(module):
    module.value = "ours"
when_imported("package.inner", replace)
import package
from package.inner import value
answer = [package.value, value]
""",
        modules,
    )
    assert found == ["ours", "ours"]


def test_at_once_when_it_was_imported_already(modules: Path) -> None:
    assert answer(WATCH + "import plain\nwatch('plain')\nanswer = seen", modules) == [["plain", "plain", 1]]


def test_packages_submodules_and_namespaces(modules: Path) -> None:
    found = answer(
        WATCH
        + """
for name in ("package", "package.inner", "nowhere", "nowhere.leaf", "absent", "package.absent"):
    watch(name)
from nowhere import leaf
import package
for name in ("absent", "package.absent"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        pass
import nowhere
answer = [seen, type(nowhere.__loader__).__name__.strip("_"), nowhere.__spec__.loader is nowhere.__loader__,
          getattr(nowhere, "__file__", None), sorted(set(nowhere.__path__))]
""",
        modules,
    )
    seen, loader, same, file, path = found
    assert seen == [
        ["nowhere", "nowhere", None],
        ["nowhere.leaf", "nowhere.leaf", 3],
        ["package.inner", "package.inner", 2],
        ["package", "package", 2],
    ]
    assert (loader, same, file, path) == ("NamespaceLoader", True, None, [str(modules / "nowhere")])


def test_extension_modules_and_builtin_ones(modules: Path) -> None:
    found = answer(
        WATCH
        + """
for name in ("_decimal", "_json", "array", "_lsprof"):
    sys.modules.pop(name, None)
    watch(name)
    importlib.import_module(name)
answer = [name for name, _, _ in seen]
""",
        modules,
    )
    assert found == ["_decimal", "_json", "array", "_lsprof"]


def test_from_a_zip_file(modules: Path) -> None:
    with zipfile.ZipFile(modules / "all.zip", "w") as packed:
        packed.writestr("zipped/__init__.py", "from zipped.inner import value\n")
        packed.writestr("zipped/inner.py", "value = 4\n")
        packed.writestr("zipped/data.txt", "text")
    found = answer(
        WATCH
        + """
import pkgutil, inspect
sys.path.insert(0, "all.zip")
watch("zipped"); watch("zipped.inner")
import zipped
answer = [seen, pkgutil.get_data("zipped", "data.txt").decode(), inspect.getsource(zipped.inner),
          type(zipped.__spec__.loader).__name__, type(zipped.__loader__).__name__]
""",
        modules,
    )
    assert found == [
        [["zipped.inner", "zipped.inner", 4], ["zipped", "zipped", 4]],
        "text",
        "value = 4\n",
        "zipimporter",
        "zipimporter",
    ]


def test_again_after_a_reload(modules: Path) -> None:
    found = answer(
        WATCH
        + """
def replace(module):
    module.value = "ours"
import plain
when_imported("plain", replace)
watch("package")
import package
plain.value = "lost"
importlib.reload(plain)
importlib.reload(package)
answer = [plain.value, len(seen), type(plain.__spec__.loader).__name__, type(plain.__loader__).__name__]
""",
        modules,
    )
    assert found == ["ours", 2, "SourceFileLoader", "SourceFileLoader"]


def test_loaders_can_be_looked_at_before_during_and_after(modules: Path) -> None:
    """Packages ask for their data while they are imported; tools look at a spec and never import."""
    (modules / "package" / "__init__.py").write_text(
        "import pkgutil\nvalue = [pkgutil.get_data(__name__, 'data.txt').decode(),"
        " type(__loader__).__name__, type(__spec__.loader).__name__, __spec__.loader.is_package(__name__)]\n"
    )
    found = answer(
        WATCH
        + """
import inspect, importlib.machinery
watch("package")
spec = importlib.util.find_spec("package")
before = [isinstance(spec.loader, importlib.machinery.SourceFileLoader), spec.loader.is_package("package"),
          spec.loader.get_data("package/data.txt").decode(), spec.loader.path == spec.origin,
          spec.loader.get_code("package") is not None, "value" in spec.loader.get_source("package")]
import package
resources = None
if sys.version_info >= (3, 9):
    import importlib.resources
    resources = importlib.resources.files("package").joinpath("data.txt").read_text()
after = [type(package.__loader__).__name__, package.__spec__.loader is package.__loader__,
         inspect.getsource(package).startswith("import pkgutil"), resources]
answer = [before, package.value, after, len(seen)]
""",
        modules,
    )
    before, during, after, calls = found
    assert before == [True] * 2 + ["text"] + [True] * 3
    assert during == ["text", "SourceFileLoader", "SourceFileLoader", True]
    assert after[:3] == ["SourceFileLoader", True, True]
    assert after[3] in ("text", None)
    assert calls == 1


def test_what_a_callback_raises_is_what_the_import_raises(modules: Path) -> None:
    found = answer(
        WATCH
        + """
class Refused(BaseException):
    pass
def refuse(module):
    raise Refused("no")
when_imported("plain", refuse)
answer = []
for name in ("plain", "plain"):
    try:
        import plain
    except Refused as error:
        answer.append(str(error))
answer.append("plain" in sys.modules)
""",
        modules,
    )
    assert found == ["no", "no", False]


def test_a_module_whose_own_code_fails_is_not_told(modules: Path) -> None:
    (modules / "broken.py").write_text(
        "import os\nif not os.path.exists('ok'):\n    raise ValueError('broken')\n"
    )
    found = answer(
        WATCH
        + """
watch("broken")
try:
    import broken
except ValueError:
    failed = list(seen)
open("ok", "w").close()
import broken
answer = [failed, seen]
""",
        modules,
    )
    assert found == [[], [["broken", "broken", None]]]


def test_a_finder_put_in_front_later(modules: Path) -> None:
    """Hooks of test runners, tracers and editable installs; some find a module themselves, some ask the others."""
    found = answer(
        WATCH
        + """
import importlib.machinery
class Asking:
    busy = False
    def find_spec(self, name, path=None, target=None):
        if self.busy or name not in ("plain", "package.inner"):
            return None
        self.busy = True
        try:
            return importlib.util.find_spec(name)
        finally:
            self.busy = False
class Finding:
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, path, target)
for name in ("plain", "package", "package.inner", "nowhere.leaf"):
    watch(name)
sys.meta_path.insert(0, Asking())
import plain
sys.meta_path.insert(0, Finding())
import package                                # the first import since then, found by the one in front
sys.meta_path[:0] = [Finding()]
kept = sys.meta_path
sys.meta_path = [finder for finder in kept if finder is not kept[1]]   # a list of their own, without us
import nowhere.leaf
answer = [name for name, _, _ in seen]
""",
        modules,
    )
    assert found == ["plain", "package.inner", "package", "nowhere.leaf"]


def test_finders_of_the_old_protocol(modules: Path) -> None:
    (modules / "old.py").write_text(
        """
import sys, types
class Old:
    def find_module(self, name, path=None):
        return self if name == "oldstyle" else None
    def load_module(self, name):
        module = sys.modules.setdefault(name, types.ModuleType(name))
        module.value = 5
        return module
"""
    )
    found = answer(
        WATCH
        + """
import warnings
warnings.simplefilter("ignore")
import old
sys.meta_path.append(old.Old())
watch("oldstyle")
try:
    import oldstyle
except ModuleNotFoundError:
    pass
answer = [seen, sys.version_info >= (3, 12)]
""",
        modules,
    )
    seen, dropped = found  # Python 3.12 does not ask such finders any more, nor do we
    assert seen == ([] if dropped else [["oldstyle", "oldstyle", 5]])


def test_imports_in_many_threads(modules: Path) -> None:
    (modules / "slow.py").write_text("import time\ntime.sleep(0.05)\nvalue = 0\n")
    found = answer(
        WATCH
        + """
import threading, time
def replace(module):
    time.sleep(0.05)
    module.value += 1
when_imported("slow", replace)
start = threading.Barrier(16)
got = []
def run(number):
    start.wait()
    if number % 2:
        from slow import value
    else:
        value = importlib.import_module("slow").value
    got.append(value)
threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = got
""",
        modules,
    )
    assert found == [1] * 16


def test_asked_for_while_it_is_being_imported(modules: Path) -> None:
    """By its own code, by another thread, and by a callback for it."""
    (modules / "asks.py").write_text(
        "from inside.afterimport import when_imported\nseen = []\n"
        "when_imported('asks', lambda module: seen.append(module.late))\nearly = list(seen)\nlate = True\n"
    )
    (modules / "slow.py").write_text("import time\nopen('begun', 'w').close()\ntime.sleep(0.3)\nvalue = 6\n")
    found = answer(
        WATCH
        + """
import asks, threading, os, time
thread = threading.Thread(target=importlib.import_module, args=("slow",))
thread.start()
while not os.path.exists("begun"): time.sleep(0.01)
watch("slow")
at_once = list(seen)
thread.join()
when_imported("plain", lambda module: watch("plain"))
import plain
answer = [asks.early, asks.seen, at_once, seen[1:]]
""",
        modules,
    )
    assert found == [[], [True], [["slow", "slow", 6]], [["plain", "plain", 1]]]


def test_a_module_that_puts_another_object_in_its_place(modules: Path) -> None:
    (modules / "lazy.py").write_text(
        "import sys, types\nclass M(types.ModuleType):\n    value = 7\nsys.modules[__name__] = M(__name__)\n"
    )
    found = answer(WATCH + "watch('lazy')\nimport lazy\nanswer = [seen, lazy.value]", modules)
    assert found == [[["lazy", "lazy", 7]], 7]


def test_one_finder_however_many_ask(modules: Path) -> None:
    found = answer(
        WATCH
        + """
before = len(sys.meta_path)
for _ in range(3):
    watch("plain"); watch("package")
import plain
answer = [len(sys.meta_path) - before, len(seen), [type(f).__name__ for f in sys.meta_path][0]]
""",
        modules,
    )
    assert found == [1, 3, "_Finder"]
