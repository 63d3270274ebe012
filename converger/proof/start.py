"""Where a history starts: an empty database, or what a dump or the project's own set-up makes of one."""

from __future__ import annotations

import shlex
from pathlib import Path

from converger.errors import CouldNotEvaluate
from converger.mergefile import Note
from converger.outcome import Progress
from converger.proof.blindness import Blindness
from converger.proof.process import Worker
from converger.proof.scratch import Server
from converger.proof.sites import Site, Sites


class StartingPoint:
    """What `--base-sql` and `--prepare` say; both may be given, the dump is loaded first."""

    def __init__(
        self, base_sql: Path | None, prepare: str | None, seed_sql: Path | None, progress: Progress
    ) -> None:
        self._base_sql = base_sql
        self._prepare = prepare
        self._seed_sql = seed_sql
        self._progress = progress
        self.notes: tuple[Note, ...] = ()
        """What the last dump that was loaded left out."""

    @property
    def database(self) -> str:
        """What the history starts from, in words."""
        made_by = [
            option
            for option, given in (("--base-sql", self._base_sql), ("--prepare", self._prepare))
            if given is not None
        ]
        return f"the database that {' and '.join(made_by)} made" if made_by else "an empty database"

    def reach(self, worker: Worker, server: Server, sites: Sites, site: Site, blindness: Blindness) -> bool:
        """Make it of a new site; whether it is another place than an empty database.

        Raises ConfigurationError and CouldNotEvaluate.
        """
        if self._base_sql is not None:
            from converger.proof.dumps import load_dump

            self._progress.say(f"loading {self._base_sql}")
            self.notes = load_dump(server, site.databases[0], self._base_sql, progress=self._progress)
        if self._prepare:
            self._progress.say(f"running {self._prepare}")
            failure = worker.run(sites.order(site, shlex.split(self._prepare)))
            if failure is not None:
                raise blindness.reason(failure, command=True) or CouldNotEvaluate(
                    f"--prepare: {blindness.where(failure)}{failure.message.strip()}{blindness.last_words(failure)}",
                    code="prepare-failed",
                    hint="run the command by hand against an empty database; --env NAME=VALUE sets a variable"
                    " that it needs",
                )
        return self._base_sql is not None or bool(self._prepare)

    def seed(self, server: Server, site: Site) -> None:
        """Load the rows that data changes are to be compared on. Raises ConfigurationError and CouldNotEvaluate."""
        if self._seed_sql is not None:
            from converger.proof.dumps import load_dump

            self._progress.say(f"loading {self._seed_sql}")
            self.notes += load_dump(server, site.databases[0], self._seed_sql, progress=self._progress)
