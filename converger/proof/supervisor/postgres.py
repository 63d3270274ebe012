"""PostgreSQL under supervision."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal

from .owner import START_SECONDS, StartFailed, Supervisor

CONFIGURATION = """
listen_addresses = '127.0.0.1'
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 1GB
wal_init_zero = off
wal_recycle = off
checkpoint_timeout = 1d
autovacuum = off
jit = off
bgwriter_lru_maxpages = 0
huge_pages = off
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
max_connections = 50
max_locks_per_transaction = 512
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
logging_collector = off
"""
"""Throw-away settings. Dynamic shared memory is in files: in /dev/shm a killed server's would stay behind."""

NEVER_CONNECTS = 15
"""Since this version: the statistics of older ones went through a socket that the server connected to itself."""


class PostgresSupervisor(Supervisor):
    """Orders: `binaries` with `postgres` and `initdb`, and `major`."""

    product = "PostgreSQL"
    probe = "postgres"
    stop_signal = signal.SIGQUIT  # at once, but it gives its shared memory back
    telling = r"FATAL|PANIC|ERROR|error"

    def initialise(self, binaries: dict[str, str]) -> None:
        if self.orders["major"] >= NEVER_CONNECTS:
            # Where it cannot be done, statements that are seen to connect elsewhere are refused all the same.
            importlib.import_module("inside.isolation").keep_from_connecting()
        self.private_folder("data")
        self.private_folder("socket")
        password = self.private_file("password", self.orders["password"] + "\n")
        command = [
            binaries["initdb"],
            f"--pgdata={self.folder}/data",
            "--username=postgres",
            "--encoding=UTF8",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--no-sync",
        ]
        if self.orders["major"] >= 16:
            # Saves initdb from trying out how much it could have. Fewer scram_iterations would save 4 ms for
            # each connection, but pg8000 refuses fewer than 4096.
            command += ["--set=shared_buffers=32MB", "--set=max_connections=50"]
        if self.orders["major"] >= 18:
            command.append("--no-data-checksums")
        for locale in ("C.UTF-8", "C"):
            process = self.spawn([*command, f"--locale={locale}"], binaries)
            status = self.wait(process, START_SECONDS, "initdb")
            if status == 0:
                break
            shutil.rmtree(f"{self.folder}/data", ignore_errors=True)
            self.private_folder("data")
        else:
            raise StartFailed(f"initdb ended with status {status}: {self.log_tail()}")
        os.unlink(password)
        # A socket's path may not be longer than 107 bytes; connections go over TCP anyway.
        sockets = f"{self.folder}/socket"
        configuration = CONFIGURATION
        configuration += f"unix_socket_directories = '{sockets if len(sockets) < 80 else ''}'\n"
        with open(f"{self.folder}/data/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(configuration)

    def command(self, binaries: dict[str, str], port: int) -> list[str]:
        return [binaries["postgres"], "-D", f"{self.folder}/data", "-p", str(port)]

    def is_up(self) -> bool:
        """Its pid file says so, as it does to pg_ctl."""
        with contextlib.suppress(OSError), open(f"{self.folder}/data/postmaster.pid", "rb") as file:
            lines = file.read().split(b"\n")
            return len(lines) >= 8 and lines[7].strip() == b"ready"
        return False
