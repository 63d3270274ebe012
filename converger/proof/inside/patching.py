"""Replaces what opens a connection, in the class or module where it is defined, so that every name means ours."""

import functools
import inspect


def replace_init(cls, redirect, names=()):
    """Have `cls(...)`, and that of its subclasses, take the keyword arguments that `redirect(given)` returns.

    `given` holds what the caller said, by name; `names` are those of positional arguments where the
    signature does not tell.
    """
    original = cls.__init__
    if getattr(original, "_converger", False):
        return

    @functools.wraps(original)
    def __init__(self, *args, **kwargs):
        original(self, **redirect(named(original, (self,) + args, kwargs, ("self",) + tuple(names))))

    __init__._converger = True
    cls.__init__ = __init__


def named(function, args, kwargs, names=()):
    """All arguments of a call by their names, without the first if that is `self`.

    A call that does not fit the signature raises the TypeError that it would have raised.
    """
    signature = _signature(function)
    if signature is None:
        given = dict(zip(names, args), **kwargs)
    else:
        bound = signature.bind(*args, **kwargs)
        given = {}
        for name, value in bound.arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                given.update(value)
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                given.update(zip(names[1 if "self" in given else 0 :], value))
            else:
                given[name] = value
    given.pop("self", None)
    return given


def _signature(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # of some compiled functions
        return None
