"""How a supervisor starts: its orders come as one line of JSON on standard input."""

from __future__ import annotations

import json
import os
import signal

from .mysql import MysqlSupervisor
from .owner import StopRequested, Supervisor
from .postgres import PostgresSupervisor

PRODUCTS: dict[str, type[Supervisor]] = {"postgresql": PostgresSupervisor, "mysql": MysqlSupervisor}


def on_signal(number: int, frame: object) -> None:
    raise StopRequested


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, on_signal)
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            return
        line += part
    orders = json.loads(line)
    PRODUCTS[orders["product"]](orders).run()
