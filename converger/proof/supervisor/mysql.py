"""MariaDB or MySQL under supervision."""

from __future__ import annotations

import contextlib
import os
import re

from .owner import START_SECONDS, StartFailed, Supervisor

STORAGE = (
    # The same for making the data folder and for using it: the log's size cannot be changed for nothing.
    "--innodb-buffer-pool-size=32M",
    "--loose-innodb-log-file-size=16M",
    "--loose-innodb-redo-log-capacity=32M",
    "--loose-innodb-doublewrite=0",
    "--loose-sync-frm=0",
    "--key-buffer-size=1M",
    "--loose-aria-pagecache-buffer-size=8M",
)
SETTINGS = (
    *STORAGE,
    "--bind-address=127.0.0.1",
    # Relative to the data folder, which the server works in: a path may not be longer than 107 bytes.
    "--socket=server.sock",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--loose-mysqlx=0",
    "--loose-innodb-flush-log-at-trx-commit=0",
    "--loose-innodb-fast-shutdown=2",
    "--loose-innodb-buffer-pool-dump-at-shutdown=0",
    "--loose-innodb-buffer-pool-load-at-startup=0",
    "--loose-performance-schema=0",
    "--max-connections=50",
    # Debian's own, and what MySQL has since 8.0; MariaDB compiled without it says latin1.
    "--character-set-server=utf8mb4",
    "--default-time-zone=+00:00",
    "--lc-messages=en_US",
)
"""Throw-away settings."""


class MysqlSupervisor(Supervisor):
    """Orders: `binaries` with `server` and, for MariaDB, `installer` (mariadb-install-db)."""

    product = "MariaDB"
    probe = "server"
    telling = r"\[ERROR\]|ERROR|FATAL|error:"

    def initialise(self, binaries: dict[str, str]) -> None:
        self.product = self.orders["name"]
        self.private_folder("data")
        self.private_folder("work")
        places = [f"--datadir={self.folder}/data", f"--tmpdir={self.folder}/work"]
        if self.orders["mariadb"]:
            command = [
                binaries["installer"],
                "--no-defaults",
                f"--basedir={os.path.dirname(os.path.dirname(os.path.realpath(binaries['server'])))}",
                "--auth-root-authentication-method=normal",
                "--skip-name-resolve",
                "--skip-test-db",
                *places,
                *STORAGE,
            ]
        else:
            command = [binaries["server"], "--no-defaults", "--initialize-insecure", *places, *STORAGE]
        what = os.path.basename(command[0])
        status = self.wait(self.spawn(command, binaries), START_SECONDS, what)
        if status != 0:
            raise StartFailed(f"{what} ended with status {status}: {self.log_tail()}")
        # Runs before the first connection is taken. Nobody but us gets in: every account that the
        # installer made and that has no password goes.
        forget = "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';"
        if not self.orders["mariadb"]:
            forget = "DELETE FROM mysql.user WHERE User NOT LIKE 'mysql.%';"
        account = f"'{self.orders['account']}'@'127.0.0.1'"
        self.private_file(
            "init.sql",
            f"{forget}\nFLUSH PRIVILEGES;\n"
            f"CREATE USER {account} IDENTIFIED BY '{self.orders['password']}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION;\n",
        )

    def command(self, binaries: dict[str, str], port: int) -> list[str]:
        return [
            binaries["server"],
            "--no-defaults",
            f"--datadir={self.folder}/data",
            f"--tmpdir={self.folder}/work",
            f"--secure-file-priv={self.folder}/work",  # MySQL wants its compiled one to exist
            f"--pid-file={self.folder}/data/server.pid",
            f"--init-file={self.folder}/init.sql",
            f"--port={port}",
            *SETTINGS,
        ]

    def is_up(self) -> bool:
        with contextlib.suppress(OSError), open(f"{self.folder}/log", "rb") as file:
            if re.search(rb"(?<!X Plugin )ready for connections", file.read()):
                os.unlink(f"{self.folder}/init.sql")
                return True
        return False
