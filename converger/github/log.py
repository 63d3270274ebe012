"""What a run prints: lines for the log and commands to the runner, without any secret but where it is masked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from converger.github.annotations import Annotation, commands, mask
from converger.report.visible import one_line, runner_safe, visible

# What stands in every workflow with a service. To mask it would put *** into every word that holds it, and GitHub
# drops outputs of a job with such words.
_NO_SECRETS = frozenset({"postgres", "password", "root", "mysql", "mariadb", "test"})


def write_line(text: str) -> None:
    """Write one line to standard output at once: what a child prints must not overtake it."""
    data = text.encode("utf-8", "backslashreplace") + b"\n"
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The token and the password of the database, as they stand in the environment, read or not."""
    from converger.proof.urls import parse_url

    found = [environment.get("INPUT_TOKEN", "").strip()]
    more: tuple[tuple[str, str], ...] = ()
    url = environment.get("INPUT_DATABASE-URL", "").strip()
    if url:
        try:
            parts = parse_url(url)
            password, user, more = parts.password or "", parts.user, parts.query
        except ValueError:
            # It is no URL, and nobody knows what in it is the secret.
            password, user = url, None
        if password != user and password not in _NO_SECRETS:
            # As it is, and as it stands in the URL.
            found += [password, quote(password, safe="")]
        # libpq takes it there as well (`password`, `sslpassword`), and so do drivers for MySQL (`passwd`).
        hidden = [value for name, value in more if "passw" in name.lower() and value not in _NO_SECRETS]
        found += [one for value in hidden for one in (value, quote(value, safe=""))]
    return tuple(dict.fromkeys(secret for secret in found if secret))


@dataclass(frozen=True)
class Log:
    """Where a run says what it finds. `write` writes one line."""

    write: Callable[[str], None]
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def mask(self) -> None:
        """Tell the runner what it must not show. Comes before everything else."""
        for secret in self.secrets:
            for line in mask(secret):
                self.write(line)

    def clean(self, text: str) -> str:
        """A text without the secrets. Very short ones would take half of it away; the runner masks them."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) > 3:
                text = text.replace(secret, "***")
        return text

    def say(self, text: str) -> None:
        """One line that is never more than text."""
        self.write(runner_safe(visible(self.clean(text))))

    def command(self, line: str) -> None:
        """A line for the runner, such as those that `without_commands` writes."""
        self.write(line)

    def annotate(self, annotations: Iterable[Annotation]) -> None:
        """Annotations, as the runner takes them."""
        for line in commands(annotations):
            self.write(self.clean(line))


@dataclass(frozen=True)
class LogProgress:
    """The stages of a proof, a line each; steps are too many."""

    log: Log

    def say(self, text: str) -> None:
        self.log.say(f"{one_line(text)} ...")

    def step(self, text: str, done: int, total: int) -> None:
        pass
