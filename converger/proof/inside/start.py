"""The project's own command (`--command`, `--prepare`), followed from its first line on.

A child of the worker becomes the command. Its environment makes Python import our `sitecustomize` before
anything else: `follow` then installs what the worker has in its own children, and imports the
`sitecustomize` that the machine or the project has. The order is in a file whose name is in the environment;
events go to a socket in our folder, which every process finds: many close what they inherited.
"""

import atexit
import functools
import json
import os
import shutil
import signal
import socket
import sys

from .describe import describe
from .wire import send

VARIABLE = "CONVERGER_ORDER"
WHERE = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
"""The signal upon which a process writes its stacks to the output of its upgrade."""


class CommandNotFound(Exception):
    """The program of `--command` or `--prepare` is not there."""


class CommandNotGuarded(Exception):
    """The command's Python ignores its environment, so we could not follow it."""


def tell_where(file=2):
    """Answer to WHERE in a file, as long as nobody closes it."""
    try:
        import faulthandler

        faulthandler.register(WHERE, file=file, all_threads=True)
    except Exception:
        pass


def become(order, staged, events, package):
    """Replace this process by order["argv"], followed; `events` is the socket's path. Raises if that cannot be."""
    environment = dict(os.environ)
    folder = os.path.dirname(os.path.abspath(sys.executable))
    environment["PATH"] = folder + os.pathsep + environment.get("PATH", os.defpath)
    program = shutil.which(order["argv"][0], path=environment["PATH"])
    if program is None:
        raise CommandNotFound(
            "the program %r was not found on PATH=%s" % (order["argv"][0], environment["PATH"])
        )
    _needs_environment(program, order["argv"])
    own = [package] + [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    environment["PYTHONPATH"] = os.pathsep.join(own)
    environment[VARIABLE] = order["output"] + ".json"
    with open(os.open(environment[VARIABLE], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(dict(order, staged=staged, events=events, package=package), file)
    os.execve(program, order["argv"], environment)


def _needs_environment(program, argv):
    """Refuse a Python that is told to ignore its environment, and with it us: -I, -E or -S."""
    words = argv[1:] if os.path.basename(program).startswith("python") else []
    with open(program, "rb") as file:
        first = file.readline(500)
    if first.startswith(b"#!") and b"python" in first:
        words = first.decode("utf-8", "replace").split()[1:]
    for word in words:
        if not word.startswith("-"):
            break
        if not word.startswith("--") and set(word[1:].split("c")[0].split("m")[0]) & set("IES"):
            raise CommandNotGuarded(
                "%s is run by a Python with %s, which ignores our guard" % (argv[0], word)
            )


def follow():
    """Called by our `sitecustomize` in every Python process of the command."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    with open(path) as file:
        order = json.load(file)
    sys.path[:] = [entry for entry in sys.path if entry != order["package"]]
    # Not standard error: a command may catch that of its children.
    tell_where(os.open(order["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    tell = _teller(order)
    tell({"event": "following"})

    from . import asynchronous
    from .afterimport import when_imported
    from .databases import Databases
    from .drivers import install
    from .guard import Guard
    from .running import Running
    from .watch import Watch, see_staged

    guard = Guard()
    guard.admit(Databases(order), tell)
    watch = Watch(tell, guard, order["shared"], Running(order["output"] + ".statement"))
    install(guard)
    asynchronous.install(guard)

    def sqlalchemy_is_here(_module):
        guard.watch_sqlalchemy()
        watch.watch_sqlalchemy()

    def script_is_here(module):
        see_staged(order["staged"], module, lambda: order["reversed"])
        watch.watch_script(module)

    when_imported("sqlalchemy", sqlalchemy_is_here)
    when_imported("alembic.script.base", script_is_here)
    when_imported("alembic.runtime.environment", watch.watch_environment)
    _tell_errors(tell, watch)


def _teller(order):
    """A function that sends an event to the worker."""

    def tell(event):
        # Opened each time: a process that becomes a daemon closes whatever is open.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(order["events"])
                send(sock, dict(event, run=order["run"]))
            except OSError:  # the worker is gone, and what we say is of no use
                pass

    return tell


def _tell_errors(tell, watch):
    """Say which exception ended this process or a migration, though the command may not show it."""
    hook = sys.excepthook
    leave = sys.exit

    def excepthook(kind, error, trace):
        tell(dict(describe(error), event="error", **watch.state()))
        hook(kind, error, trace)

    @functools.wraps(leave)
    def exit(status=None):
        error = sys.exc_info()[1]  # Flask-Migrate's commands catch Alembic's errors, log them and exit
        if status not in (None, 0) and error is not None and not isinstance(error, SystemExit):
            tell(dict(describe(error), event="error", **watch.state()))
        leave(status)

    def at_exit():
        error = watch.stopped or watch.error
        if watch.guard.foreign or watch.stopped or (watch.unfinished and error is not None):
            try:
                watch.raise_what_was_swallowed()
            except BaseException as swallowed:
                tell(dict(describe(swallowed), event="error", **watch.state()))

    sys.excepthook = excepthook
    sys.exit = exit
    atexit.register(at_exit)
