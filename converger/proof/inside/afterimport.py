"""Calls a function right after a module was imported, before whoever imported it gets to use it.

One finder at the front of `sys.meta_path` answers only for the names that were asked for. It has the other
finders find the module, and puts a thin wrapper in the place of the loader until the module's own code
begins. What it knows lives in that finder, so there is nothing to remember here.
"""

import importlib.util
import sys
import threading


def when_imported(name, callback):
    """Call `callback(module)` now if the module `name` was imported, else each time right after it was.

    Each time, because `importlib.reload` undoes what a callback did. What a callback raises is what the
    import raises; the module then counts as not imported.
    """
    _finder().add(name, callback)


def _finder():
    for finder in sys.meta_path:
        if type(finder) is _Finder:
            return finder
    finder = _Finder()
    finder.come_first()
    # A statement `import x` is announced; what was put in front of us since, or in our place, is put behind.
    sys.addaudithook(lambda event, _: finder.come_first() if event == "import" else None)
    return finder


class _Finder:
    def __init__(self):
        self.callbacks = {}
        self.loading = set()
        self.lock = threading.RLock()
        self.looking = threading.local()

    def come_first(self):
        if not sys.meta_path or sys.meta_path[0] is not self:
            # At once: another thread may be walking through the list, and must not miss a finder.
            sys.meta_path[:] = [self] + [finder for finder in sys.meta_path if finder is not self]

    def add(self, name, callback):
        with self.lock:
            self.callbacks.setdefault(name, []).append(callback)
            if name in self.loading:  # through us, so `loaded` comes
                return
        module = sys.modules.get(name)
        if module is None:
            return
        spec = getattr(module, "__spec__", None)
        if getattr(spec, "_initializing", False):
            importlib.import_module(name)  # waits where another thread imports it
            if spec._initializing:
                _at_the_end(spec, lambda: callback(sys.modules[name]))
                return
        callback(sys.modules.get(name, module))

    def begins(self, name):
        with self.lock:
            self.loading.add(name)

    def ended(self, name):
        """Take note that the module's own code ended, and return whom to tell."""
        with self.lock:
            self.loading.discard(name)
            return list(self.callbacks.get(name, ()))

    def find_spec(self, name, path=None, target=None):
        self.come_first()
        if name not in self.callbacks:
            return None
        looking = self.looking.__dict__.setdefault("names", set())
        if name in looking:  # a finder that asks the other finders, as we do
            return None
        looking.add(name)
        try:
            spec = self._ask_the_others(name, path, target)
        finally:
            looking.discard(name)
        if spec is not None:
            spec.loader = _Loader(spec, self)
        return spec

    def _ask_the_others(self, name, path, target):
        for finder in list(sys.meta_path):
            if finder is self:
                continue
            if hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
            elif sys.version_info < (3, 12) and hasattr(finder, "find_module"):  # the protocol before 3.4
                loader = finder.find_module(name, path)
                spec = None if loader is None else importlib.util.spec_from_loader(name, loader)
            else:
                continue
            if spec is not None:
                return spec
        return None


class _Loader:
    """Stands for a module's loader from when it is found until its code begins; then leaves.

    Whoever looks at it in between (`find_spec` without an import) sees the loader's attributes and class.
    """

    def __init__(self, spec, finder):
        self._converger_loader = spec.loader
        self._converger_spec = spec
        self._converger_finder = finder

    def __getattr__(self, name):
        return getattr(self._converger_loader, name)

    @property
    def __class__(self):
        loader = self._converger_loader
        return _Loader if loader is None else type(loader)

    def create_module(self, spec):
        create = getattr(self._converger_loader, "create_module", None)
        return None if create is None else create(spec)

    def exec_module(self, module):
        loader = self._converger_loader
        finder = self._converger_finder
        name = self._converger_spec.name
        for spec in (self._converger_spec, getattr(module, "__spec__", None)):
            if getattr(spec, "loader", None) is self:
                spec.loader = loader
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = loader
        finder.begins(name)
        try:
            if loader is None:
                _as_namespace(module)
            elif hasattr(loader, "exec_module"):
                loader.exec_module(module)
            else:  # before Python 3.10: zipimport, and loaders of the old protocol
                _load(loader, module, name)
        finally:
            callbacks = finder.ended(name)
        for callback in callbacks:
            callback(sys.modules.get(name, module))


def _as_namespace(module):
    """What the import system does for a package without a file, whose loader it makes itself."""
    attributes = vars(importlib.util.module_from_spec(module.__spec__))
    for name in ("__loader__", "__file__"):
        if name in attributes:
            setattr(module, name, attributes[name])


def _load(loader, module, name):
    """`load_module` fills the module of this name in `sys.modules`, or makes another one."""
    made = loader.load_module(name)
    made = sys.modules.get(name, made)
    if getattr(made, "__spec__", None) is None:
        made.__spec__ = module.__spec__


def _at_the_end(spec, call):
    """Call when this thread has imported the module that it is importing right now.

    The import system then says so in the spec, even after a failure.
    """
    original = type(spec)

    class Watched(original):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name == "_initializing" and not value:
                self.__class__ = original
                if spec.name in sys.modules:
                    call()

    spec.__class__ = Watched
