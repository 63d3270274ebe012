"""Attempts to reach the MariaDB database `production`."""

from common import PRODUCTION, Attempts, attempt

HOW = {name: PRODUCTION[name] for name in ("host", "port", "user", "password")}
_BARE = "mysql://{user}:{password}@{host}:{port}/production".format(**HOW)


def url(driver):
    return _BARE.replace("://", f"+{driver}://")


def _pymysql():
    import pymysql

    return pymysql.connect(database="production", **HOW)


def _mysqlconnector():
    import mysql.connector

    return mysql.connector.connect(database="production", **HOW)


def _mysqldb():
    import MySQLdb

    return MySQLdb.connect(database="production", **HOW)


async def _aiomysql():
    import aiomysql

    return await aiomysql.connect(db="production", **HOW)


async def _asyncmy():
    import asyncmy

    return await asyncmy.connect(db="production", **HOW)


class OnMysql(Attempts):
    def __init__(self):
        makers = {"pymysql": _pymysql, "mysqlconnector": _mysqlconnector}
        if PRODUCTION["mysqldb"]:
            makers["mysqldb"] = _mysqldb
        super().__init__(
            "mysql",
            tuple(makers),
            ("aiomysql", "asyncmy"),
            url,
            makers,
            {"aiomysql": _aiomysql, "asyncmy": _asyncmy},
            "SELECT DATABASE()",
        )

    def raw_drivers(self):
        super().raw_drivers()
        for driver, make in self.async_makers.items():

            async def reach(name, make=make):
                connection = await make()
                try:
                    cursor = await connection.cursor() if make is _aiomysql else connection.cursor()
                    await cursor.execute(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)")
                    await cursor.execute(self.where)
                    return (await cursor.fetchone())[0]
                finally:
                    connection.close()

            attempt(f"{driver}_connect", reach)


ATTEMPTS = OnMysql()
