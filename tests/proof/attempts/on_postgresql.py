"""Attempts to reach the PostgreSQL database `production`."""

from common import PRODUCTION, Attempts, attempt

HOW = {name: PRODUCTION[name] for name in ("host", "port", "user", "password")}
BARE = "postgresql://{user}:{password}@{host}:{port}/production".format(**HOW)


def url(driver):
    return BARE.replace("://", f"+{driver}://")


def _psycopg2():
    import psycopg2

    return psycopg2.connect(BARE)


def _psycopg():
    import psycopg

    return psycopg.connect(BARE)


def _pg8000():
    import pg8000.dbapi

    return pg8000.dbapi.connect(database="production", **HOW)


async def _asyncpg():
    import asyncpg

    return await asyncpg.connect(BARE)


async def _psycopg_async():
    import psycopg

    return await psycopg.AsyncConnection.connect(BARE)


class OnPostgresql(Attempts):
    def __init__(self):
        super().__init__(
            "postgresql",
            ("psycopg2", "psycopg", "pg8000"),
            ("asyncpg", "psycopg"),
            url,
            {"psycopg2": _psycopg2, "psycopg": _psycopg, "pg8000": _pg8000},
            {"asyncpg": _asyncpg, "psycopg": _psycopg_async},
            "SELECT current_database()",
        )

    def raw_drivers(self):
        super().raw_drivers()
        attempt("asyncpg_connect", self._asyncpg)
        attempt("asyncpg_pool", self._asyncpg_pool)
        attempt("psycopg_async_connect", self._psycopg_async)
        attempt("psycopg_pool", self._psycopg_pool)
        attempt("psycopg2_pool", self._psycopg2_pool)
        attempt("pg8000_native", self._pg8000_native)

    async def _asyncpg(self, name):
        connection = await _asyncpg()
        try:
            await connection.execute(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)")
            return await connection.fetchval(self.where)
        finally:
            await connection.close()

    async def _asyncpg_pool(self, name):
        import asyncpg

        async with asyncpg.create_pool(BARE, min_size=1, max_size=1) as pool:
            await pool.execute(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)")
            return await pool.fetchval(self.where)

    async def _psycopg_async(self, name):
        async with await _psycopg_async() as connection:
            await connection.execute(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)")
            return (await (await connection.execute(self.where)).fetchone())[0]

    def _psycopg_pool(self, name):
        import psycopg_pool

        with (
            psycopg_pool.ConnectionPool(BARE, min_size=1, open=True, timeout=5, reconnect_timeout=1) as pool,
            pool.connection() as connection,
        ):
            connection.execute(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)")
            return connection.execute(self.where).fetchone()[0]

    def _psycopg2_pool(self, name):
        import psycopg2.pool

        return self.raw(psycopg2.pool.SimpleConnectionPool(1, 1, BARE).getconn(), name)

    def _pg8000_native(self, name):
        import pg8000.native

        connection = pg8000.native.Connection(database="production", **HOW)
        connection.run(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)")
        found = connection.run(self.where)[0][0]
        connection.close()
        return found


ATTEMPTS = OnPostgresql()
