"""What a migration might do to get past every guard in its own process, and past the process.

Each attempt is to create a table in `production`: on another server (`there`), or on the very server that holds
the scratch databases (`here`), whose address and password the migration finds in its own connection.
"""

# ruff: noqa: B023 - every function is called before its loop goes on

import ctypes
import ctypes.util
import gc
import glob
import importlib
import os
import socket
import struct
import subprocess
import sys
import threading

import psycopg
import psycopg2
from common import PRODUCTION, attempt

HOW = {name: PRODUCTION[name] for name in ("host", "port", "user", "password")}
THERE = "postgresql://{user}:{password}@{host}:{port}/production".format(**HOW)


def run(connection):
    """`connection` is that of the migration, by psycopg."""
    info = connection.info
    here = f"host={info.host} port={info.port} user={info.user} password={info.password} dbname={PRODUCTION['here']}"
    for place, dsn in (("there", THERE), ("here", here)):
        for function in (
            psql, python, isolated_python, forked, threaded, libpq, reloaded, imported_anew, inner_connect,
            original_connect, base_class, replication_class, pq_connection, connection_factory, without_listeners,
            without_patches, own_socket,
        ):  # fmt: skip
            attempt(f"{function.__name__}_{place}", lambda name: function(dsn, name))


def create(name):
    return f"CREATE TABLE reached_{name} (id INTEGER)"


def use(connection, name):
    cursor = connection.cursor()
    cursor.execute(create(name))
    cursor.execute("SELECT current_database()")
    found = cursor.fetchone()[0]
    connection.commit()
    connection.close()
    return found


def child(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return f"{done.returncode} {done.stdout} {done.stderr}"


def psql(dsn, name):
    return child("psql", "-c", create(name), dsn)


CONNECT = "import sys, psycopg\nwith psycopg.connect(sys.argv[1]) as c: c.execute(sys.argv[2]); print(c.info.dbname)"


def python(dsn, name):
    return child(sys.executable, "-c", CONNECT, dsn, create(name))


def isolated_python(dsn, name):
    return child(
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path[:0] = {sys.path!r}\n{CONNECT}",
        dsn,
        create(name),
    )


def forked(dsn, name):
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            os.write(write, use(psycopg2.connect(dsn), name).encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.wait()
    with os.fdopen(read) as answer:
        return answer.read()


def threaded(dsn, name):
    answers = []

    def work():
        try:
            answers.append(use(psycopg2.connect(dsn), name))
        except BaseException as error:
            answers.append(repr(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return answers[0]


def libpq(dsn, name):
    bundled = glob.glob(
        os.path.join(os.path.dirname(psycopg2.__path__[0]), "psycopg2_binary.libs", "libpq-*")
    )
    pq = ctypes.CDLL((bundled or [ctypes.util.find_library("pq")])[0])
    for function in ("PQconnectdb", "PQexec"):
        getattr(pq, function).restype = ctypes.c_void_p
    for function in ("PQerrorMessage", "PQdb"):
        getattr(pq, function).restype = ctypes.c_char_p
    connection = ctypes.c_void_p(pq.PQconnectdb(dsn.encode()))
    pq.PQexec(connection, create(name).encode())
    if pq.PQstatus(connection) == 0:
        return pq.PQdb(connection).decode()
    return pq.PQerrorMessage(connection).decode()


def reloaded(dsn, name):
    importlib.reload(psycopg2._psycopg)
    return use(importlib.reload(psycopg2).connect(dsn), name)


def imported_anew(dsn, name):
    kept = {key: sys.modules.pop(key) for key in list(sys.modules) if key.partition(".")[0] == "psycopg2"}
    try:
        return use(importlib.import_module("psycopg2").connect(dsn), name)
    finally:
        sys.modules.update(kept)


def inner_connect(dsn, name):
    from psycopg2._psycopg import _connect

    return use(_connect(dsn), name)


def original_connect(dsn, name):
    function = psycopg2._psycopg._connect
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return use(function(dsn, psycopg2._psycopg.connection.__mro__[-2]), name)


def base_class(dsn, name):
    return use(psycopg2.extensions.connection.__mro__[-2](dsn), name)


def replication_class(dsn, name):
    from psycopg2.extras import LogicalReplicationConnection

    return use(LogicalReplicationConnection(dsn), name)


def pq_connection(dsn, name):
    connection = psycopg.pq.PGconn.connect(dsn.encode())
    connection.exec_(create(name).encode())
    return (
        connection.db if connection.status == psycopg.pq.ConnStatus.OK else connection.error_message
    ).decode()


def connection_factory(dsn, name):
    return use(
        psycopg2.connect("", connection_factory=lambda _: psycopg2.extensions.connection.__mro__[-2](dsn)),
        name,
    )


def without_listeners(dsn, name):
    """Take our listeners off, wherever they are."""
    import sqlalchemy as sa
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    gc.unfreeze()
    for thing in gc.get_objects():
        for identifier, target, method in (
            ("do_connect", sa.Engine, "before_connecting"),
            ("connect", Pool, "connected"),
            ("checkout", Pool, "checked_out"),
            ("engine_connect", sa.Engine, "handed_out"),
        ):
            if type(thing).__name__ == "Guard" and event.contains(target, identifier, getattr(thing, method)):
                event.remove(target, identifier, getattr(thing, method))
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    engine = sa.create_engine("postgresql+psycopg2://localhost", connect_args=given)
    with engine.begin() as connection:
        connection.exec_driver_sql(create(name))
        return connection.exec_driver_sql("SELECT current_database()").scalar()


def without_patches(dsn, name):
    """Find the driver's own function in the closure of ours."""
    for cell in psycopg.Connection.connect.__func__.__closure__ or ():
        function = cell.cell_contents
        if callable(function) and getattr(function, "__module__", "") == "psycopg.connection":
            return use(function(psycopg.Connection, dsn), name)
    return use(psycopg.connect(dsn), name)


def own_socket(dsn, name):
    """A client of our own, as far as the question for a password, which the server itself has to ask."""
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    if given["host"].startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{given['host']}/.s.PGSQL.{given['port']}")
    else:
        connection = socket.create_connection((given["host"], int(given["port"])), 10)
    words = b"\0".join([b"user", given["user"].encode(), b"database", given["dbname"].encode(), b"\0"])
    connection.sendall(struct.pack("!II", len(words) + 8, 3 << 16) + words)
    connection.settimeout(20)
    answer = connection.recv(1000)
    return "production" if answer.startswith(b"R") else repr(answer)
