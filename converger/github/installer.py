"""Running what installs a project: a stranger's code, with little environment, in bounded time, its output safe."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from converger.report.visible import runner_safe, visible

LINES_SHOWN = 2_000
LINES_KEPT = 40
_LONGEST_LINE = 2_000
# How many seconds what a command left behind may still write after it ended.
_LAST_WORDS = 2.0
_KEPT = frozenset(
    "PATH LANG LANGUAGE TZ SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIPENV_PYPI_MIRROR"
    " HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy".split()
)
# Settings of installers, which the workflow gave for them: where the packages are and how to be let in.
_KEPT_PREFIXES = (
    "LC_",
    "UV_",
    "PIP_",
    "POETRY_HTTP_BASIC_",
    "POETRY_REPOSITORIES_",
    "POETRY_CERTIFICATES_",
    "PDM_",
)
# Those among them that are for publishing, or would move what we decide.
_NOT_KEPT = re.compile(r"PUBLISH|GITHUB|_TOOL_|_CACHE_DIR$|UV_PROJECT|UV_PYTHON$|UV_CONFIG_FILE$")


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: a signal; None: out of time), and its last lines, made safe."""

    returncode: int | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Where everything goes: all below one folder that is not the workspace."""

    folder: Path

    @property
    def environment(self) -> Path:
        return self.folder / "environment"

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def caches(self) -> Path:
        """Of no use once all is installed."""
        return self.folder / "caches"


def installer_environment(own: Mapping[str, str], places: Places, extra: Mapping[str, str]) -> dict[str, str]:
    """What an installer sees: no token, no `INPUT_*`, `GITHUB_*`, `ACTIONS_*`; what the workflow set for installers.

    `own` is our environment, `extra` what the input `env` gives. HOME is a folder of ours: the runner's is the host's.
    """
    kept = {
        name: value
        for name, value in own.items()
        if name in _KEPT or (name.startswith(_KEPT_PREFIXES) and not _NOT_KEPT.search(name))
    }
    caches = places.caches
    kept |= {
        "PATH": os.pathsep.join([str(places.environment / "bin"), own.get("PATH", os.defpath)]),
        "HOME": str(caches / "home"),
        "TMPDIR": str(caches / "tmp"),
        "VIRTUAL_ENV": str(places.environment),
        "UV_PROJECT_ENVIRONMENT": str(places.environment),
        "UV_CACHE_DIR": str(caches / "uv"),
        "UV_TOOL_DIR": str(caches / "tools"),
        "UV_TOOL_BIN_DIR": str(caches / "bin"),
        "UV_PYTHON_INSTALL_DIR": str(places.folder / "pythons"),
        "UV_PYTHON_INSTALL_BIN": "0",
        "UV_NO_PROGRESS": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_NO_CACHE_DIR": "1",
        "PIPENV_VERBOSITY": "-1",
        "PDM_IGNORE_SAVED_PYTHON": "1",
        "PDM_CHECK_UPDATE": "0",
        "NO_COLOR": "1",
        "CI": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEBIAN_FRONTEND": "noninteractive",
        "GIT_TERMINAL_PROMPT": "0",
        # The tree belongs to another user than the container's; versions are often read from its tags.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    kept.setdefault("LC_ALL", "C.UTF-8")
    return {**kept, **extra}


@dataclass
class Installer:
    """Runs commands one after the other, all of them within one time limit.

    `say` gets each line of their output, which no terminal and no runner takes for more than text. `hidden` are
    texts that must not be shown.
    """

    environment: Mapping[str, str]
    deadline: float
    say: Callable[[str], None]
    hidden: Sequence[str] = ()
    _shown: int = field(default=0, init=False)

    def run(self, command: Sequence[str], cwd: Path) -> Ended:
        """Run a command in a session of its own, which is killed at its end or when time is up.

        Raises OSError when it cannot be started.
        """
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        lines: deque[str] = deque(maxlen=LINES_KEPT)
        in_time = False
        try:
            in_time = self._follow(process, lines)
        finally:
            # Not reaped yet, so the number still belongs to our child, and the group can be nobody else's.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        return Ended(process.returncode if in_time else None, tuple(lines))

    def _follow(self, process: subprocess.Popen[bytes], lines: deque[str]) -> bool:
        """Read until the child ends, or its time; not until all that inherited its output have closed it."""
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        os.set_blocking(descriptor, False)
        rest = b""
        is_open = True
        until = self.deadline
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
                if ended:
                    until = min(until, time.monotonic() + _LAST_WORDS) if until == self.deadline else until
                if not is_open:
                    time.sleep(0.02)
                elif selector.select(0 if ended else 0.1):
                    part = os.read(descriptor, 65_536)
                    is_open = bool(part)
                    *whole, rest = (rest + part).split(b"\n")
                    for line in whole:
                        self._line(line, lines)
                    if len(rest) > _LONGEST_LINE:
                        self._line(rest, lines)
                        rest = b""
                    if time.monotonic() < until:
                        continue
                if ended or time.monotonic() > until:
                    break
        self._line(rest, lines)
        return ended

    def _line(self, line: bytes, lines: deque[str]) -> None:
        # What a terminal would show of a line that was written again and again: its last state.
        shown = line.rstrip(b"\r\n ").rpartition(b"\r")[2]
        text = shown.decode("utf-8", "replace").expandtabs(4).rstrip()
        if not text.strip():
            return
        for secret in self.hidden:
            if secret:
                text = text.replace(secret, "***")
        # Colours go without a trace; what else does not show is shown as its escape.
        text = visible(re.sub(r"\x1b\[[0-9;]*m", "", text))
        text = runner_safe(text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…")
        lines.append(text)
        self._shown += 1
        if self._shown <= LINES_SHOWN:
            self.say(text)
        elif self._shown == LINES_SHOWN + 1:
            self.say(f"… (more than {LINES_SHOWN} lines; the rest is not shown)")
