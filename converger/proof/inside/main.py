"""The worker: takes orders, runs each in a child process of its own.

One process is started for a proof. It imports Alembic (and, when told to, the revision files), then
forks one child for each upgrade: every upgrade so begins with the same untouched interpreter, as a
deployment does, without paying for the imports again. A child becomes the project's own command where
there is one (`start.py` then follows it). Messages go over one socket, whose file descriptor is argv[1].

Orders:  {"cmd": "load", "config": {...}, "staged": [path], "preload": bool, "driver_url": str,
          "flask": {"app": str|null}|null}
         {"cmd": "upgrade"|"run", "run": int, "environ": {...}, "output": path, "argv": [str]|null,
          "target": str, "down": whether to downgrade to it instead,
          "reversed": whether staged merges list their parents the other way round,
          "urls": [URL for the project, one a database], "sections": [str],
          "shared": whether what the whole server shares must not be changed,
          and what `Databases` is made from}
         {"cmd": "where"|"kill", "run": int}
Events:  {"event": "loaded", ...} {"event": "load-failed", ...}
         those of `Watch` and `Guard`, and {"event": "done"|"failed"|"error"|"exited", "run": int, ...}
"""

import importlib
import json
import os
import select
import signal
import socket
import sys
import time

from .describe import describe
from .output import keep_short
from .processes import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, kill, own_children, prctl, signal_group
from .wire import PACKET, send

_POLL = 0.2  # seconds between two looks whether a child ended whose life line somebody else holds open


def main(argv):
    """Serve until our parent is gone. argv: program, file descriptor, whether to cut off the network."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [entry for entry in sys.path if entry != package]  # must not shadow the project's modules
    sock = socket.socket(fileno=int(argv[1]))
    sock.set_inheritable(False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # what daemons of the project's code become: ours to end
    open_network = None
    if argv[2] == "cut":
        from .isolation import cut_network

        open_network = cut_network()  # before any line of the project's
    try:  # while our parent is busy with other things; what is wrong shows when it says "load"
        importlib.import_module("alembic.config")
        importlib.import_module("sqlalchemy")
    except Exception:
        pass
    _Zygote(sock, package, open_network).serve()


class _Child:
    """One upgrade's process. `alive` is the read end of its life line; None once that ended.

    `events` is the socket to which a command's processes send what they have to say; None without a command.
    `output` is the file that it prints to.
    """

    def __init__(self, run, pid, alive, events, output):
        self.run = run
        self.pid = pid
        self.alive = alive
        self.events = events
        self.output = output
        self.hung_up = None  # when its life line ended: it is ending, or closed what it does not know

    def ended(self):
        # Not reaped yet, so the number still is its own.
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


class _Zygote:
    """Takes orders, forks a child for each upgrade, tells when a child ended."""

    def __init__(self, sock, package, open_network):
        self.sock = sock
        self.package = package
        self.open_network = open_network
        self.loaded = None
        self.children = []

    def serve(self):
        while True:
            lines = [child.alive for child in self.children if child.alive is not None]
            lines += [child.events for child in self.children if child.events is not None]
            readable, _, _ = select.select([self.sock] + lines, [], [], self.patience())
            for child in list(self.children):
                if child.events in readable:
                    self.relay(child)
                if child.alive in readable:
                    os.close(child.alive)
                    child.alive = None
                    child.hung_up = time.monotonic()
                keep_short(child.output)
                if child.ended():
                    self.reap(child)
            if self.sock in readable:
                packet = self.sock.recv(PACKET)
                if not packet:  # our parent is gone: so are we, and what we started
                    self.end()
                self.obey(json.loads(packet.decode("utf-8")))

    def patience(self):
        if not self.children:
            return None
        now = time.monotonic()
        # A life line ends a moment before its process does.
        ending = any(child.hung_up is not None and now - child.hung_up < 1 for child in self.children)
        return 0.001 if ending else _POLL

    def end(self):
        for child in self.children:
            kill(child.pid)
        for _ in range(20):  # the children of what we end become ours
            left = own_children()
            if not left:
                break
            for pid in left:
                kill(pid)
                try:
                    os.waitpid(pid, 0)
                except OSError:
                    pass
        os._exit(0)

    def obey(self, order):
        if order["cmd"] == "load":
            self.load(order)
        elif order["cmd"] in ("upgrade", "run"):
            self.fork(order)
        else:
            for child in self.children:
                if child.run == order["run"]:
                    if order["cmd"] == "kill":
                        kill(child.pid)
                    else:
                        self.ask_where(child)

    def ask_where(self, child):
        from .start import WHERE

        signal_group(child.pid, WHERE, pause=0.02)

    def load(self, order):
        try:
            from .loading import Loaded

            self.loaded = Loaded(order)
        except BaseException as error:
            send(self.sock, dict(describe(error), event="load-failed", network=self.open_network))
        else:
            send(self.sock, dict(self.loaded.facts(), event="loaded", network=self.open_network))

    def relay(self, child):
        """Hand on what the processes of a command have said."""
        while child.events is not None:
            try:
                packet = child.events.recv(2 * PACKET, socket.MSG_DONTWAIT)
            except OSError:
                return
            self.sock.send(packet)

    def fork(self, order):
        events = path = None
        if order["argv"]:
            events = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            path = os.path.join(
                os.path.dirname(order["output"]), "events-%d-%d" % (os.getpid(), order["run"])
            )
            events.bind(path)
        alive_read, alive_write = os.pipe()
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != own:
                    os._exit(code)
                os.setpgid(0, 0)
                os.close(alive_read)
                for child in self.children:
                    if child.alive is not None:
                        os.close(child.alive)
                code = self.work(order, path)
            finally:
                for stream in (sys.stdout, sys.stderr):
                    try:
                        stream.flush()
                    except BaseException:  # closed, or replaced by whatever
                        pass
                os._exit(code)
        os.close(alive_write)
        self.children.append(_Child(order["run"], pid, alive_read, events, order["output"]))

    def work(self, order, events):
        """One order in a forked child. Returns the exit status; every outcome is sent as an event."""
        from .start import become, tell_where

        out = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(order["environ"])
        tell_where()

        def tell(event):
            send(self.sock, dict(event, run=order["run"]))

        watch = None
        try:
            if order["argv"]:
                become(order, self.loaded.order["staged"], events, self.package)
            watch = self.loaded.upgrade(order, tell)
            try:
                self.loaded.run(order)
            except SystemExit as error:
                if error.code not in (None, 0):
                    raise  # an env.py may leave with success; the version table tells what it did
            watch.raise_what_was_swallowed()
        except BaseException as error:
            # What came of being stopped, in code that carried on, says nothing.
            cause = error if watch is None else watch.stopped or error
            tell(dict(describe(cause), event="failed", **(watch.state() if watch is not None else {})))
            return 1
        tell(dict(watch.state(), event="done"))
        return 0

    def reap(self, child):
        self.children.remove(child)
        if child.alive is not None:
            os.close(child.alive)
        kill(child.pid)  # whatever it left running in its group
        _, status = os.waitpid(child.pid, 0)
        if child.events is not None:
            self.relay(child)
            child.events.close()
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        send(self.sock, {"event": "exited", "run": child.run, "signal": number, "code": code})
