"""A MariaDB (or MySQL) of our own for the time of one run, like `embedded` for PostgreSQL.

Its binaries are those on PATH, else in the folders where packages put servers. MariaDB comes with an
installer of its own; MySQL makes its data folder itself.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from converger.errors import CouldNotEvaluate
from converger.proof.supervised import Program, SupervisedServer, first_that_works, unprivileged_user
from converger.proof.urls import DatabaseUrl

PREFIX = "converger-my-"
ACCOUNT = "converger"
FOLDERS = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin", "/usr/local/mysql/bin")
"""Where servers are that an ordinary user's PATH does not name."""


@dataclass(frozen=True)
class MysqlBinaries:
    """Where the server's programs are; `installer` is None for MySQL, which needs none."""

    server: str
    installer: str | None
    version: str

    @property
    def product(self) -> str:
        return "MySQL" if self.installer is None else "MariaDB"


def start_mariadb(progress: Callable[[str], None], *, prefer: str = "mariadb") -> EmbeddedMysql:
    """Start the first server that is found and works; with `prefer` "mysql" a MySQL before a MariaDB.

    Raises CouldNotEvaluate: `no-mariadb`, with the ways to get one, or `mariadb-failed`, with what the
    preferred one said.
    """
    found = list(find_mysql_binaries())
    if prefer == "mysql":
        found.sort(key=lambda binaries: binaries.product != "MySQL")
    starts = (partial(EmbeddedMysql, binaries, progress=progress) for binaries in found)
    if (server := first_that_works(starts, progress)) is not None:
        return server
    raise CouldNotEvaluate(
        "There is no MariaDB or MySQL here to make scratch databases on.",
        code="no-mariadb",
        hint="Install MariaDB (Debian: mariadb-server), or name a server with"
        " --database-url mysql://user:password@host.",
    )


def find_mysql_binaries() -> Iterator[MysqlBinaries]:
    """Every server of this machine, MariaDB first."""
    seen = set()
    path = os.pathsep.join((os.environ.get("PATH", ""), *FOLDERS))
    for name in ("mariadbd", "mysqld"):
        server = shutil.which(name, path=path)
        if server is None or os.path.realpath(server) in seen:
            continue
        seen.add(os.path.realpath(server))
        version = _version(server)
        if version is None:
            continue
        installer = _installer(server, path) if "MariaDB" in version else None
        if "MariaDB" not in version or installer is not None:
            yield MysqlBinaries(server, installer, version)


class EmbeddedMysql(SupervisedServer):
    """A running server. `url` is the URL of an account that may do everything; `stop` ends and removes it."""

    def __init__(self, binaries: MysqlBinaries, *, progress: Callable[[str], None]) -> None:
        """Raises CouldNotEvaluate `mariadb-failed`, with what the installer or the server said."""
        password = secrets.token_hex(16)
        orders = {
            "product": "mysql",
            "name": binaries.product,
            "mariadb": binaries.installer is not None,
            "binaries": {"server": binaries.server, "installer": binaries.installer},
            "copy": (),
            "copied": {},
            "account": ACCOUNT,
            "password": password,
            "user": unprivileged_user(("mysql", "nobody")),
        }
        program = Program(
            f"{binaries.product} {_number(binaries.version)}",
            PREFIX,
            orders,
            lambda reason: _failed(binaries, reason),
        )
        super().__init__(program, progress=progress)
        self.url = DatabaseUrl(
            "mysql",
            user=ACCOUNT,
            password=password,
            host="127.0.0.1",
            port=self.port,
            query=(("ssl_disabled", "true"),),  # it has none
        )


def _installer(server: str, path: str) -> str | None:
    root = os.path.dirname(os.path.dirname(os.path.realpath(server)))
    folders = os.pathsep.join((os.path.join(root, "bin"), os.path.join(root, "scripts"), path))
    for name in ("mariadb-install-db", "mysql_install_db"):
        if found := shutil.which(name, path=folders):
            return found
    return None


def _version(server: str) -> str | None:
    try:
        answer = subprocess.run(
            [server, "--no-defaults", "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd="/",
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"Ver (\S+)", answer)
    return match.group(1) if match else None


def _number(version: str) -> str:
    return version.split("-")[0]


def _failed(binaries: MysqlBinaries, reason: str) -> CouldNotEvaluate:
    return CouldNotEvaluate(
        f"{binaries.product} {_number(binaries.version)} ({binaries.server}) could not be started: {reason}",
        code="mariadb-failed",
        hint="Name a server with --database-url, or install another MariaDB.",
    )
