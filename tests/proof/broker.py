"""Lines for a child process: a broker of the tests' own, and what came of each of some expressions."""

from __future__ import annotations

import sys

from tests.proof.inside_child import PYTHON

BROKER = """
import asyncio, os, sys

class Foreign(BaseException):
    pass

class Broker:
    def __init__(self):
        self.asked = []
        self.refused = []
    def arguments(self, driver, given):
        assert set(given) == {"database", "host", "port", "user"}, given
        self.asked.append([driver, given])
        return dict(ARGUMENTS[driver])
    def is_ours(self, path):
        return os.path.realpath(path) == os.path.realpath(ARGUMENTS["sqlite3"]["database"])
    def refuse(self, found):
        self.refused.append(found)
        raise Foreign(found)

broker = Broker()
if REDIRECTED:
    from inside.drivers import install
    install(broker)

def outcome(expression, names):
    try:
        value = eval(expression, names)
        return asyncio.run(value) if asyncio.iscoroutine(value) else value
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, error)

def run(spellings):
    return {expression: outcome(expression, globals()) for expression in spellings}
"""


def reaching_production(found: dict[str, str]) -> list[str]:
    """The expressions that reach production when nobody redirects them: all, or a test would see nothing."""
    # Other interpreters have older drivers, by hand; not every one knows every way.
    assert sys.executable != PYTHON or set(found.values()) == {"production"}, found
    return [expression for expression, name in found.items() if name == "production"]
