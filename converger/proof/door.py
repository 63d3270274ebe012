"""How a worker without a network reaches the scratch server: through a Unix socket of ours.

Through it only the databases are reached for which the door has given a URL, where a client says at once
which one it wants: on PostgreSQL. On MySQL and MariaDB the account of the run has rights on nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from converger import folders
from converger.proof.forwarder import LONGEST_PATH, POSTGRESQL_FILE, Forwarder
from converger.proof.scratch import Server
from converger.proof.startup import Gate
from converger.proof.urls import format_url, parse_url, through_socket


class Door:
    """Gives the URLs by which the worker connects. `close` it."""

    def __init__(self, server: Server, folder: Path, *, forward: bool) -> None:
        """`folder` is ours alone; where its path is too long for a socket, another one is made. Without `forward`,
        or for a server that is no server, URLs stay as they are. Raises OSError where no socket can be made.
        """
        self._own_folder = None
        if len(os.fsencode(folder / POSTGRESQL_FILE)) > LONGEST_PATH:
            self._own_folder = folders.MarkedFolder(folders.RUN_FOLDER, short=True)
        self._folder = self._own_folder.path if self._own_folder else str(folder)
        self._names: set[str | None] = set()
        gate = (lambda: Gate(self._names.__contains__)) if server.dialect == "postgresql" else None
        address = server.address
        self._forwarder = (
            Forwarder(address, self._folder, gate=gate) if forward and address is not None else None
        )

    def url(self, url: str, driver: str | None) -> str:
        """The URL that leads to the same database from inside."""
        if self._forwarder is None:
            return url
        parsed = parse_url(url)
        self._names.add(parsed.database)
        return format_url(through_socket(parsed, self._folder, POSTGRESQL_FILE))

    def close(self) -> None:
        """Stop forwarding; safe to call twice."""
        if self._forwarder is not None:
            self._forwarder.close()
        if self._own_folder is not None:
            self._own_folder.remove()
