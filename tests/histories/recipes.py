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

# env.py chooses the versions folder of the database's dialect when it runs, so its alembic.ini names none:
# a second one does. It runs an async engine in a thread of its own.
PREFECT = Recipe(
    "prefect",
    version="3.8.8",  # what installed when this was written; expected.json holds 3.9.1
    requirements=("prefect==3.8.8",),
    checkout="prefect",
    leave_out=("server/ui", "server/ui-v2", "server/ui_build", "server/ui-v2_build"),
    versions="prefect/server/database/_migrations/versions/postgresql",
    config="converge.ini",
    files={
        "converge.ini": "[alembic]\n"
        "script_location = %(here)s/prefect/server/database/_migrations\n"
        "version_locations = %(here)s/prefect/server/database/_migrations/versions/postgresql\n"
    },
    env={"PREFECT_HOME": "{folder}/prefect-home"},
    options=("--database-url-env", "PREFECT_API_DATABASE_CONNECTION_URL"),
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
    options=(
        *("--command", f"alembic {GALAXY_URLS} upgrade {{revision}}"),
        *("--base-sql", "{dump}"),
    ),
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

RECIPES = [
    # 143 revisions; its env.py needs the application's settings, its revisions nothing.
    Recipe("skyvern", "2c34dee3304e", own_env=False),
    # A branch label, and an env.py that takes sqlalchemy.url or config.attributes["connection"].
    Recipe(
        "quetz-server", "ea6eba9a9ffc", requirements=("quetz-server==0.10.4", "alembic", "psycopg[binary]")
    ),
    # An async env.py with an advisory lock and a naming convention; two heads, then three. SQLite is
    # what its alembic.ini names.
    Recipe("langflow-base", "844cad9a53fa", requirements=LANGFLOW, name_server=True),
    Recipe("langflow-base", "a6d8e0f2b4c7", requirements=LANGFLOW, name_server=True),
    replace(FLEXMEASURES, merge="3bc1e29ca1f4", options=("--flask-app", "flexmeasures.app:create")),
    replace(
        FLEXMEASURES,
        merge="55d8936a55f9",
        options=("--command", "flexmeasures db upgrade {revision}"),
        label="command",
    ),
    replace(SUPERSET, merge="eb1c288c71c4", options=("--command", "superset db upgrade {revision}")),
    replace(SUPERSET, options=("--flask-app", "superset.app:create_app")),
    AIRFLOW,
    replace(PREFECT, label="env.py"),
    replace(
        PREFECT,
        options=(*PREFECT.options, "--command", "prefect server database upgrade -y -r {revision}"),
        label="command",
    ),
    replace(GALAXY, merge="75b461a2b24a"),
]

# Renames data_categories in one branch, adds a column to it in the other. Their merge revision is empty too:
# a database that ran aaa81d97a6f6 first cannot be upgraded, and one starting from empty may run that first.
# What is installed with it is of 2022: Alembic 1.8 and SQLAlchemy 1.4.
FIDES = Recipe(
    "ethyca-fides",
    "4fc34906c389",
    requirements=("ethyca-fides==2.78.2", "setuptools<81", "psycopg2-binary"),
    own_env=False,
    name_server=True,
)
