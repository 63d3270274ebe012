"""An exception as data: type, message, statement, and where in whose code."""

import traceback

from .wire import TEXT, text


def describe(error):
    """What an event says of an exception; never fails, whatever the exception does when asked."""
    chain = []
    seen = set()
    current = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    statement = None
    message = text(error)
    kind = type(error).__name__
    sqlstate = None
    database = False
    if isinstance(error, SystemExit):
        message = "the process was ended by sys.exit(%s)" % text(repr(error.code))
    for link in chain:
        if getattr(link, "orig", None) is not None and hasattr(link, "statement"):
            database = True
            statement = link.statement
            message = text(link.orig)
            kind = type(link.orig).__name__
            sqlstate = getattr(link.orig, "sqlstate", None) or getattr(link.orig, "pgcode", None)
            break
    frames = []
    for link in chain:
        if isinstance(link, SyntaxError) and link.filename:
            frames.append({"path": link.filename, "line": link.lineno or 1, "name": "<module>"})
        for frame in reversed(traceback.extract_tb(link.__traceback__)):
            frames.append({"path": frame.filename, "line": frame.lineno or 1, "name": frame.name})
    module = None
    for link in chain:
        if isinstance(link, ImportError):
            module = link.name
            if isinstance(link, ModuleNotFoundError):
                break
    return {
        "type": kind,
        "sqlstate": sqlstate if isinstance(sqlstate, str) else None,
        "message": message or kind,
        "statement": text(statement) if statement else None,
        "frames": frames[:80],
        "module": module,
        # What the database said is not the fault of a module that was looked for before.
        "missing_module": not database
        and (isinstance(error, ImportError) or any(isinstance(x, ModuleNotFoundError) for x in chain)),
        "traceback": _traceback(error),
    }


def _traceback(error):
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))[-TEXT:]
    except BaseException:
        return ""
