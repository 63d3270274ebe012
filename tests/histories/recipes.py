"""The real projects that are cut open and proven; one entry a project, with what is special about it.

`{folder}` is the project folder, `{bin}` the folder of its interpreter. docs/real-histories.md says what was
seen with each.
"""

from __future__ import annotations

from dataclasses import replace

from .dumps import Dump
from .projects import Recipe

LANGFLOW = ("langflow-base==1.13.0", "psycopg[binary]")

# Flask-Migrate with a script folder inside the package. Its `create` looks up the schema's revision in the
# database, and reads from the command line whether an upgrade is what runs.
FLEXMEASURES = Recipe(
    "flexmeasures",
    # passlib, which flask-security uses, needs the pkg_resources of an older setuptools.
    requirements=("flexmeasures==1.0.1", "flask-security-too<5.6", "sqlalchemy<2.1"),
    overrides=("setuptools<81",),
    checkout="flexmeasures",
    leave_out=("ui/static",),
    config="flexmeasures/data/migrations/alembic.ini",
    env={"SECRET_KEY": "for the proof only"},
)

# Flask-Migrate; making the application creates tables of Flask-AppBuilder (ab_*) in the database before any
# migration, and looks at others. Its settings name a database that does not exist.
SUPERSET = Recipe(
    "apache-superset",
    requirements=("apache-superset==6.1.0", "rich", "flask-caching==2.3.1", "psycopg2-binary"),
    checkout="superset",
    leave_out=("static/assets", "translations", "examples/data"),
    config="superset/migrations/alembic.ini",
    files={
        "superset_config.py": "SECRET_KEY = 'for-the-proof-only-0123456789-abcdefghij'\n"
        "SQLALCHEMY_DATABASE_URI = 'postgresql+psycopg2://superset@production.invalid/superset'\n"
    },
    env={"SUPERSET_CONFIG_PATH": "{folder}/superset_config.py"},
)

# An application-wide engine made at import, from settings; transaction_per_migration.
AIRFLOW = Recipe(
    "apache-airflow-core",
    requirements=("apache-airflow-core==3.3.2", "psycopg2-binary", "asyncpg"),
    env={"AIRFLOW_HOME": "{folder}/airflow-home"},
    options=("--database-url-env", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"),
)

# env.py chooses the versions folder of the database's dialect when it runs, so prefect's alembic.ini names
# none: one of our own does. It runs an async engine, and only inside prefect's own command.
PREFECT_INI = (
    "[alembic]\nscript_location = %(here)s/prefect/server/database/_migrations\nversion_locations = %(here)s/"
)
PREFECT_VERSIONS = "prefect/server/database/_migrations/versions/"
PREFECT = Recipe(
    "prefect",
    version="3.8.8",  # what installed when this was written; expected.json holds 3.9.1
    requirements=("prefect==3.8.8",),
    checkout="prefect",
    leave_out=("server/ui", "server/ui-v2", "server/ui_build", "server/ui-v2_build"),
    versions=PREFECT_VERSIONS + "postgresql",
    config="converge.ini",
    files={"converge.ini": PREFECT_INI + PREFECT_VERSIONS + "postgresql\n"},
    env={"PREFECT_HOME": "{folder}/prefect-home"},
    options=(
        *("--database-url-env", "PREFECT_API_DATABASE_CONNECTION_URL"),
        *("--command", "prefect server database upgrade -y -r {revision}"),
    ),
)

# Two labelled trees. env.py wants two URLs as -x arguments, and looks at the revision on the command line to
# choose between them. Its base expects the tables of release 22.01; release 24.2 makes its own database and
# stamps it with two revisions, one of each tree.
GALAXY_URLS = " ".join(
    f"-x {tree}_url=postgresql+psycopg2://galaxy@production.invalid/galaxy" for tree in ("gxy", "tsi")
)
GALAXY = Recipe(
    "galaxy-data",
    requirements=("galaxy-data==26.1.2", "psycopg2-binary"),
    options=("--command", f"alembic {GALAXY_URLS} upgrade {{revision}}"),
    dump=Dump(
        "galaxy-data",
        "24.2.4",
        requirements=("galaxy-data==24.2.4", "psycopg2-binary", "sqlalchemy<2.1", "setuptools<81"),
        command=(
            *("{bin}/python", "-c"),
            "import sys, sqlalchemy; from galaxy.model.migrations import verify_databases;"
            " engine = sqlalchemy.create_engine(sys.argv[1]);"
            " verify_databases(engine, None, None, None, None, None, True)",
            "postgresql+psycopg2://{url}",
        ),
    ),
)

# The base revision expects the tables of MLflow 0.8, which the application makes: here by its own models.
MLFLOW = Recipe(
    "mlflow",
    version="3.17.2",
    versions="mlflow/store/db_migrations/versions",
    requirements=("mlflow==3.17.2", "psycopg2-binary"),
    checkout="mlflow",
    leave_out=("server/js",),
    config="mlflow/store/db_migrations/alembic.ini",
    files={
        "prepare.py": "import os\n"
        "from mlflow.store.tracking.dbmodels.initial_models import Base\n"
        "from sqlalchemy import create_engine\n"
        "Base.metadata.create_all(create_engine(os.environ['DATABASE_URL']))\n"
    },
    options=("--prepare", "python prepare.py"),
)

# Flask-Migrate. The base revision, of 2015, expects the tables of that day. Release 3.13.2 makes its tables
# and stamps them with the revision where the merge's two branches begin.
PI_SETTINGS = """\
SECRET_KEY = "for the proof only"
PI_PEPPER = "for the proof only"
PI_ENCFILE = "{folder}/enckey"
PI_LOGFILE = "{folder}/privacyidea.log"
"""
PRIVACYIDEA = Recipe(
    "privacyidea",
    requirements=("privacyidea==3.14", "psycopg2-binary"),
    checkout="privacyidea",
    leave_out=("static", "static_old", "translations"),
    config="privacyidea/migrations/alembic.ini",
    # Its settings name SQLite where they are not told otherwise.
    options=(
        *("--base-sql", "{dump}"),
        *("--database-url-env", "PRIVACYIDEA_SQLALCHEMY_DATABASE_URI"),
    ),
    files={"pi.cfg": PI_SETTINGS},
    env={"PRIVACYIDEA_CONFIGFILE": "{folder}/pi.cfg"},
    dump=Dump(
        "privacyidea",
        "3.13.2",
        requirements=("privacyidea==3.13.2", "psycopg2-binary"),
        command=("{bin}/pi-manage", "setup", "create_tables"),
        files={"pi.cfg": PI_SETTINGS},
        env={
            "PRIVACYIDEA_CONFIGFILE": "{folder}/pi.cfg",
            "PRIVACYIDEA_SQLALCHEMY_DATABASE_URI": "postgresql+psycopg2://{url}",
        },
    ),
)

# The base revision expects tables of 2023; it also creates enumerations and moves data. Release 0.56 makes
# its tables and stamps them with the common ancestor of the merge d5988aa750ae.
NO_SOURCE_PSYCOPG2 = ("psycopg2; sys_platform == 'never'",)
QCFRACTAL = Recipe(
    "qcfractal",
    requirements=("qcfractal==0.71", "psycopg2-binary"),
    overrides=NO_SOURCE_PSYCOPG2,
    checkout="qcfractal",
    config="qcfractal/alembic.ini",
    options=("--base-sql", "{dump}"),
    dump=Dump(
        "qcfractal",
        "0.56",
        requirements=("qcfractal==0.56", "qcportal==0.56", "sqlalchemy<2.1", "psycopg2-binary"),
        overrides=NO_SOURCE_PSYCOPG2,
        command=("{bin}/python", "create.py", "postgresql://{url}"),
        # What `qcfractal-server init-db` does once it has a server.
        files={
            "create.py": "import sys\n"
            "from qcfractal.config import DatabaseConfig\n"
            "from qcfractal.db_socket.socket import SQLAlchemySocket\n"
            "SQLAlchemySocket.create_database_tables(DatabaseConfig(\n"
            "    base_folder='.', full_uri=sys.argv[1], own=False, username='-', password='-'))\n"
        },
    ),
)

# An async env.py; transaction_per_migration, and a transaction of its own around all of it. SQLite is what
# most of its users run.
PHOENIX = Recipe(
    "arize-phoenix",
    requirements=("arize-phoenix==20.26.1", "asyncpg"),
    checkout="phoenix",
    leave_out=("server/static",),
    config="phoenix/db/alembic.ini",
    env={"PHOENIX_WORKING_DIR": "{folder}/home"},
)

# Settings of oslo.config, which only the project's own command reads, and an engine that they make. Expand and
# contract lines that depend on each other, with labels that are read from a module.
GLANCE = Recipe(
    "glance",
    beside="2024_1_expand01",
    requirements=("glance==33.0.0", "psycopg2-binary"),
    checkout="glance",
    config="glance/db/sqlalchemy/alembic_migrations/alembic.ini",
    files={
        "glance.conf": "[database]\nconnection = postgresql+psycopg2://glance@production.invalid/glance\n"
    },
    options=("--command", "glance-manage --config-file {folder}/glance.conf db upgrade --version {revision}"),
)

# Expand and contract under labels, a folder for each release. The code names these folders, alembic.ini does
# not: a second one finds them. The first revision looks up options that only the project's own commands
# register; env.py reads the logging sections.
KEYSTONE = Recipe(
    "keystone",
    beside="742c857f1dfb",
    requirements=("keystone==30.0.0", "psycopg2-binary"),
    checkout="keystone",
    config="converge.ini",
    files={
        "converge.ini": "[alembic]\n"
        "script_location = %(here)s/keystone/common/sql/migrations\n"
        "recursive_version_locations = true\n"
        "[loggers]\nkeys = root\n[handlers]\nkeys =\n[formatters]\nkeys =\n[logger_root]\nhandlers =\n",
        "keystone.conf": "[database]\n"
        "connection = postgresql+psycopg2://keystone@production.invalid/keystone\n",
    },
    options=(
        "--command",
        "python -m keystone.common.sql.migrations.manage --config-file {folder}/keystone.conf upgrade {revision}",
    ),
    quick=True,
)

# env.py overwrites sqlalchemy.url from settings, and imports the models. Of the hundred packages that it
# requires (torch among them), these are what that takes.
OPEN_WEBUI = Recipe(
    "open-webui",
    alone=("open-webui==0.12.4",),
    requirements=(
        *("alembic==1.18.4", "sqlalchemy[asyncio]==2.0.50", "aiosqlite==0.22.1", "psycopg[binary]==3.3.4"),
        *("psycopg2-binary==2.9.12", "pydantic==2.13.4", "fastapi==0.136.3", "aiohttp==3.14.5"),
        *("python-socketio==5.16.2", "pillow", "typer", "uvicorn", "markdown", "beautifulsoup4", "bcrypt"),
        *("cryptography", "orjson", "pyjwt", "python-mimeparse", "pytz", "redis", "requests", "validators"),
    ),
    checkout="open_webui",
    leave_out=("frontend", "static"),
    config="open_webui/alembic.ini",
    env={"WEBUI_SECRET_KEY": "for the proof only", "DATA_DIR": "{folder}/data"},
)

RECIPES = [
    # 143 revisions; its env.py needs the application's settings, its revisions nothing.
    Recipe("skyvern", "2c34dee3304e", own_env=False, quick=True),
    # A branch label, and an env.py that takes sqlalchemy.url or config.attributes["connection"].
    Recipe(
        "quetz-server",
        "ea6eba9a9ffc",
        requirements=("quetz-server==0.10.4", "alembic", "psycopg[binary]"),
        quick=True,
    ),
    # An async env.py with an advisory lock and a naming convention; two heads, then three. SQLite is
    # what its alembic.ini names.
    Recipe("langflow-base", "844cad9a53fa", requirements=LANGFLOW, name_server=True),
    Recipe("langflow-base", "a6d8e0f2b4c7", requirements=LANGFLOW, name_server=True),
    Recipe("langflow-base", "a6d8e0f2b4c7", requirements=LANGFLOW, dialect="sqlite"),
    replace(FLEXMEASURES, merge="3bc1e29ca1f4", options=("--flask-app", "flexmeasures.app:create")),
    replace(
        FLEXMEASURES,
        merge="55d8936a55f9",
        options=("--command", "flexmeasures db upgrade {revision}"),
        label="command",
    ),
    replace(SUPERSET, merge="eb1c288c71c4", options=("--command", "superset db upgrade {revision}")),
    replace(SUPERSET, options=("--flask-app", "superset.app:create_app"), label="flask-app"),
    AIRFLOW,
    replace(AIRFLOW, dialect="sqlite"),
    PREFECT,
    replace(
        PREFECT,
        dialect="sqlite+aiosqlite",
        versions=PREFECT_VERSIONS + "sqlite",
        files={"converge.ini": PREFECT_INI + PREFECT_VERSIONS + "sqlite\n"},
    ),
    replace(GALAXY, merge="75b461a2b24a", options=(*GALAXY.options, "--base-sql", "{dump}")),
    MLFLOW,
    replace(MLFLOW, dialect="sqlite", quick=True),
    replace(
        PRIVACYIDEA,
        merge="f1a2b3c4d5e6",
        options=(*PRIVACYIDEA.options, "--flask-app", "privacyidea.app:create_app"),
    ),
    replace(
        PRIVACYIDEA,
        options=(
            *PRIVACYIDEA.options,
            "--command",
            "pi-manage db upgrade -d privacyidea/migrations {revision}",
        ),
        label="command",
    ),
    replace(QCFRACTAL, merge="d5988aa750ae"),
    replace(QCFRACTAL, merge="0c0b1dea52dc"),
    PHOENIX,
    replace(PHOENIX, dialect="sqlite"),
    GLANCE,
    KEYSTONE,
    OPEN_WEBUI,
    replace(OPEN_WEBUI, dialect="sqlite"),
]

# Renames data_categories in one branch, adds a column to it in the other. Their merge revision is empty too:
# a database that ran aaa81d97a6f6 first cannot be upgraded, and one starting from empty may run that first.
# What is installed with it is of 2022: Alembic 1.8 and SQLAlchemy 1.4.
FIDES = Recipe(
    "ethyca-fides",
    "4fc34906c389",
    requirements=("ethyca-fides==2.78.2", "setuptools<81", "psycopg2-binary"),
    own_env=False,
    # Another history of fides lies beside it, with a base of its own.
    options=("--from-revision", "26934c96ec80"),
    name_server=True,
)

# What a person is told who leaves an option out: the code, and words of the message.
TOLD = [
    (
        replace(GALAXY, merge="75b461a2b24a", label="without a dump"),
        "cannot-start-from-empty",
        (
            "alembic/versions_gxy/b182f655505f",
            'relation "workflow" does not exist',
            "--base-sql",
            "--prepare",
        ),
    ),
    (
        replace(PREFECT, options=PREFECT.options[:2], label="without the command"),
        "env-failed",
        ("NoEventLoopError", "--command"),
    ),
    (
        replace(PREFECT, config="prefect/server/database/alembic.ini", label="as it is configured"),
        "revisions-below",
        ("postgresql/ and sqlite/",),
    ),
    (
        replace(MLFLOW, options=(), quick=True, label="without its first tables"),
        "cannot-start-from-empty",
        ("451aebb31d03", 'relation "metrics" does not exist', "--prepare"),
    ),
    (
        replace(KEYSTONE, options=(), label="without the command"),
        "cannot-start-from-empty",
        ("27e647c0fad4", "no such option saml", "--command"),
    ),
    (
        replace(GLANCE, options=(), label="without the command"),
        "env-failed",
        ("No sql_connection parameter is established", "--command"),
    ),
    (
        replace(
            PRIVACYIDEA,
            options=(*PRIVACYIDEA.options[:2], "--flask-app", "privacyidea.app:create_app"),
            label="without its URL's name",
        ),
        "foreign-connection",
        ("a sqlite database", "--database-url-env"),
    ),
]
