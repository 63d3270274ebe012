"""Which of a project's own arguments to a driver are kept: those that say how to connect, not where.

Lists of what is kept, not of what is dropped: an argument that nobody here knows may lead elsewhere. Dropped
with the address are TLS, service and option files, and whatever belongs to the other server's users.
"""

_LIBPQ = (
    "options application_name fallback_application_name connect_timeout client_encoding"
    " keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout"
)
_MYSQL = "charset sql_mode conv use_unicode client_flag init_command autocommit connect_timeout local_infile"

_HOW = {
    # SQLAlchemy's own words for a driver are among them: `prepared_statement_cache_size`, `async_fallback`.
    "psycopg2": _LIBPQ + " connection_factory cursor_factory async async_",
    "psycopg": _LIBPQ + " autocommit prepare_threshold context row_factory cursor_factory",
    "asyncpg": (
        "loop timeout command_timeout statement_cache_size max_cached_statement_lifetime"
        " max_cacheable_statement_size connection_class record_class server_settings"
        " prepared_statement_cache_size prepared_statement_name_func async_fallback"
    ),
    "pg8000": "timeout tcp_keepalive application_name startup_params",
    "pymysql": _MYSQL
    + " collation cursorclass max_allowed_packet defer_connect read_timeout write_timeout binary_prefix program_name",
    "mysqldb": _MYSQL
    + " collation cursorclass multi_statements read_timeout write_timeout binary_prefix executemany_fallback"
    " local_infile_dir",
    "mysqlconnector": (
        "use_unicode charset collation converter_class converter_str_fallback autocommit time_zone sql_mode"
        " get_warnings raise_on_warnings connection_timeout connect_timeout read_timeout write_timeout client_flags"
        " buffered raw consume_results conn_attrs use_pure init_command allow_local_infile allow_local_infile_in_path"
        " pool_name pool_size pool_reset_session"
    ),
    "aiomysql": _MYSQL + " cursorclass echo loop program_name async_fallback",
    "asyncmy": _MYSQL
    + " cursor_cls cursorclass max_allowed_packet read_timeout binary_prefix program_name echo query_callback"
    " stmt_cache_size async_fallback",
    "sqlite3": "timeout detect_types isolation_level check_same_thread factory cached_statements autocommit",
    "aiosqlite": (
        "timeout detect_types isolation_level check_same_thread factory cached_statements autocommit"
        " loop iter_chunk_size async_fallback"
    ),
}
_HOW = {driver: frozenset(words.split()) for driver, words in _HOW.items()}

# What the broker's arguments may hold because SQLAlchemy wants it so; others' connections do not.
_SQLALCHEMYS = ("buffered", "client_flag", "client_flags", "context", "raise_on_warnings")

_WHERE = {
    "database": ("database", "dbname", "db"),
    "host": ("host", "unix_socket", "unix_sock", "hostaddr"),
    "port": ("port",),
    "user": ("user",),
}


def how_arguments(driver, given):
    """Those of the keyword arguments `given` to a driver that say how to connect."""
    kept = _HOW.get(driver, ())
    return {name: value for name, value in given.items() if name in kept}


def where_arguments(given):
    """The others, as {"database", "host", "port", "user"}: text, or None where there is none."""
    found = {}
    for part, names in _WHERE.items():
        values = [given[name] for name in names if given.get(name) not in (None, "")]
        found[part] = _text(values[0]) if values else None
    return found


def redirected(broker, driver, given):
    """What to connect with, by keyword, when `given` was asked for. The broker may refuse instead."""
    arguments = dict(broker.arguments(driver, where_arguments(given)))
    for name in _SQLALCHEMYS:
        arguments.pop(name, None)
    arguments.update(how_arguments(driver, given))
    return arguments


def _text(value):
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    try:
        return str(value)
    except Exception:  # an object of the project's
        return None
