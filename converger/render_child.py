"""The child process that renders a `script.py.mako`, which can hold any Python. Run as a script only.

Standard input: the job as JSON. The file descriptor named in it receives the result as JSON: a list with
`{"text": …}` or `{"error": …, "line": …}` for each merge, or one such error for all.

What a template can see is the same on every machine: it can import the standard library, Mako, Alembic
and SQLAlchemy, but nothing of the project, installed here or not; and its clock stands at the merge's
create date.
"""

from __future__ import annotations

import sys

# Without PYTHONSAFEPATH (Python 3.10) our own folder would be searched for modules first.
if sys.path and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]

import datetime as datetime_module
import importlib.abc
import json
import os
import resource
import time
from collections.abc import Callable
from typing import Any

_IMPORTABLE = frozenset(
    {"alembic", "greenlet", "mako", "markupsafe", "sqlalchemy", "typing_extensions", "tzdata"}
)
_MENTIONS_CONFIG = (b"config", b"context", b"kwargs", b"pageargs", b"<%page")
_MEMORY = 2 * 1024**3


class _OnlyWhatEveryMachineHas(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        top = fullname.partition(".")[0]
        if top not in _IMPORTABLE and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {top!r} while a merge is rendered", name=fullname)


def _stop_clock() -> Callable[[datetime_module.datetime], None]:
    """Replace the clocks of `datetime` and `time`; the returned function sets them."""
    real_date, real_datetime = datetime_module.date, datetime_module.datetime
    now = [real_datetime(1970, 1, 1, tzinfo=datetime_module.timezone.utc)]

    class AlsoTheReal(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, cls.__mro__[1])

    class date(real_date, metaclass=AlsoTheReal):  # type: ignore[misc,valid-type]
        @classmethod
        def today(cls) -> Any:
            return real_date(now[0].year, now[0].month, now[0].day)

    class datetime(real_datetime, metaclass=AlsoTheReal):  # type: ignore[misc,valid-type]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now[0].astimezone(tz) if tz else now[0].replace(tzinfo=None)

        @classmethod
        def utcnow(cls) -> Any:
            return now[0].replace(tzinfo=None)

        today = utcnow

    datetime_module.date = date  # type: ignore[misc]
    datetime_module.datetime = datetime  # type: ignore[misc]
    gmtime, strftime = time.gmtime, time.strftime
    time.time = lambda: now[0].timestamp()
    time.time_ns = lambda: int(now[0].timestamp()) * 1_000_000_000
    time.gmtime = time.localtime = lambda *seconds: gmtime(*(seconds or [now[0].timestamp()]))
    time.strftime = lambda form, *when: strftime(form, *(when or [time.gmtime()]))

    def set_clock(moment: datetime_module.datetime) -> None:
        utc = datetime_module.timezone.utc
        now[0] = moment.astimezone(utc) if moment.tzinfo else moment.replace(tzinfo=utc)

    return set_clock


def _comma(value: Any) -> str:
    """What Alembic's templates call `comma`."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return ", ".join(value)


def _config(job: dict[str, Any]) -> Any:
    """Alembic's Config of this project. Importing it takes four times as long as Mako: only if it is used."""
    from alembic.config import Config

    config = Config(job["ini"], toml_file=job["toml"], ini_section=job["section"])
    if config.get_section(job["section"]) is None or not config.get_main_option("script_location"):
        config.set_main_option("script_location", job["script_location"].replace("%", "%%"))
    return config


def _error(error: BaseException) -> dict[str, Any]:
    line = getattr(error, "lineno", None)
    if not isinstance(line, int):
        try:
            from mako.exceptions import RichTraceback  # type: ignore[import-untyped]

            line = RichTraceback(error, error.__traceback__).lineno
        except Exception:
            line = None
    return {"error": f"{type(error).__name__}: {error}", "line": line if isinstance(line, int) else None}


def _render(job: dict[str, Any]) -> Any:
    from mako.template import Template  # type: ignore[import-untyped]

    with open(job["template"], "rb") as file:
        source = file.read()
    arguments: dict[str, Any] = {"comma": _comma, "branch_labels": None, "depends_on": None, "refresh": True}
    if any(word in source for word in _MENTIONS_CONFIG):
        arguments["config"] = _config(job)
    real_datetime = datetime_module.datetime
    set_clock = _stop_clock()
    sys.meta_path.insert(0, _OnlyWhatEveryMachineHas())
    template = Template(filename=job["template"])  # noqa: S702 - it makes Python, not HTML

    results = []
    for merge in job["merges"]:
        create_date = real_datetime.fromisoformat(merge["create_date"])
        set_clock(create_date)
        arguments.update(
            up_revision=merge["revision"],
            down_revision=tuple(merge["parents"]),
            create_date=create_date,
            message=merge["message"],
        )
        try:
            text = template.render_unicode(**arguments)
            if template.render_unicode(**arguments) != text:
                results.append({"error": "it renders differently each time", "line": None})
            else:
                results.append({"text": text})
        except BaseException as error:
            results.append(_error(error))
    return results


def main() -> None:
    job = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.path += [folder for folder in job["path"] if folder not in sys.path]
    try:
        result = _render(job)
    except BaseException as error:
        result = _error(error)
    with os.fdopen(job["result"], "w", encoding="ascii") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
