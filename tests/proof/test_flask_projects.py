"""Projects with Flask-Migrate, written by the real `flask db init`; env.py is never edited."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from .conftest import Production
from .running import commutes, refused, unevaluated

APP = """\
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
migrate = Migrate(directory={directory!r})

class Account(db.Model):
    id = db.Column(db.Integer, primary_key=True)

def {signature}:
    app = Flask(__name__)
    app.config.update({config})
    db.init_app(app)
    migrate.init_app(app, db)
    return app
"""


class FlaskProject:
    """A project made by `flask db init`, with two heads on one base made by `flask db revision`."""

    def __init__(self, root: Path, *, directory: str = "migrations", binds: tuple[str, ...] = ()) -> None:
        from flask import Flask
        from flask_migrate import Migrate
        from flask_sqlalchemy import SQLAlchemy

        root.mkdir()
        self.root = root
        self.directory = directory
        app = Flask("shop")
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        if binds:
            app.config["SQLALCHEMY_BINDS"] = dict.fromkeys(binds, "sqlite://")
        Migrate(app, SQLAlchemy(app), directory=str(root / directory))

        def flask(*arguments: str) -> None:
            result = app.test_cli_runner().invoke(args=["db", *arguments])
            assert result.exit_code == 0, result.output

        flask("init", *(["--multidb"] if binds else []))
        flask("revision", "-m", "work", "--rev-id", "base0001")
        for head in ("aaaa0001", "bbbb0001"):
            flask("revision", "-m", "work", "--rev-id", head, "--head", "base0001", "--splice")
        for bind in ("", *binds) if binds else (None,):
            self.upgrade("base0001", "CREATE TABLE accounts (id INTEGER PRIMARY KEY)", bind=bind)
            self.upgrade("aaaa0001", "ALTER TABLE accounts ADD COLUMN email VARCHAR(50)", bind=bind)
            self.upgrade("bbbb0001", "CREATE TABLE orders (id INTEGER)", bind=bind)

    def upgrade(self, revision: str, statement: str, *, bind: str | None = None) -> None:
        (path,) = self.root.glob(f"{self.directory}/versions/{revision}_*.py")
        name = "upgrade" if bind is None else f"upgrade_{bind}"
        text, count = re.subn(
            rf"(def {name}\(\):\n)    .*",
            lambda found: f"{found[1]}    op.execute({statement!r})",
            path.read_text(),
        )
        assert count == 1
        path.write_text(text)

    def app(self, name: str, config: str = "", *, signature: str = "create_app()", more: str = "") -> None:
        """Write the application; without a URL in `config` it reads DATABASE_URL."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        config = config or "SQLALCHEMY_DATABASE_URI=__import__('os').environ['DATABASE_URL']"
        text = APP.format(directory=self.directory, signature=signature, config=config)
        path.write_text(text + more)


@pytest.fixture
def project(tmp_path: Path) -> FlaskProject:
    return FlaskProject(tmp_path / "p")


# -- how the application is found


@pytest.mark.parametrize(
    ("name", "flask_app", "signature"),
    [
        ("shop/__init__.py", "shop", "create_app()"),
        ("shop/__init__.py", "shop:create_app", "create_app()"),
        ("shop/__init__.py", "shop:create_app()", "create_app(mode='x')"),
        ("shop/main.py", "shop.main:make('testing', debug=True)", "make(mode, *, debug)"),
        ("run.py", "run.py:make_it", "make_it()"),
    ],
)
def test_flask_app(project: FlaskProject, name: str, flask_app: str, signature: str) -> None:
    project.app(name, signature=signature)
    commutes(project.root, database_url="sqlite://", flask_app=flask_app)


@pytest.mark.parametrize("name", ["wsgi.py", "app.py"])
def test_found_by_its_file(project: FlaskProject, name: str) -> None:
    project.app(name)
    commutes(project.root, database_url="sqlite://")


@pytest.mark.parametrize("file", [".flaskenv", ".env"])
def test_found_from_a_file_of_variables(project: FlaskProject, production: Production, file: str) -> None:
    """It may name a database too, of whatever dialect: the variable that we set is not overwritten by it."""
    project.app("shop/factory.py")
    (project.root / file).write_text(
        f"FLASK_APP=shop.factory:create_app\nDATABASE_URL={production.url()}\nSECRET_KEY=x\n"
    )
    commutes(project.root, database_url="sqlite://")


def test_found_from_our_environment(project: FlaskProject) -> None:
    import os

    project.app("shop/factory.py")
    environment = {**os.environ, "FLASK_APP": "shop.factory:create_app"}
    commutes(project.root, database_url="sqlite://", environment=environment)


def test_found_from_a_variable_that_is_given(project: FlaskProject) -> None:
    project.app("shop/factory.py")
    commutes(project.root, database_url="sqlite://", env={"FLASK_APP": "shop.factory"})


def test_not_found(project: FlaskProject) -> None:
    reason = unevaluated(project.root, database_url="sqlite://")
    assert reason.code == "no-application"
    assert "--flask-app MODULE:FACTORY" in (reason.hint or "")


@pytest.mark.parametrize(
    ("flask_app", "said"),
    [
        ("shop:nothing", "Failed to find attribute 'nothing' in 'shop'"),
        ("shop:create_app", "could not be called with the specified arguments"),
        ("shop:Account", "A valid Flask application was not obtained"),
    ],
)
def test_named_wrongly(project: FlaskProject, flask_app: str, said: str) -> None:
    project.app("shop/__init__.py", signature="create_app(mode)")
    reason = unevaluated(project.root, database_url="sqlite://", flask_app=flask_app)
    assert reason.code == "no-application"
    assert said in reason.message


def test_another_folder(tmp_path: Path, production: Production, postgres_url: str) -> None:
    """`Migrate(directory=…)`: its alembic.ini does not say where it is."""
    project = FlaskProject(tmp_path / "p", directory="db_work")
    project.app("app.py", f"SQLALCHEMY_DATABASE_URI={production.url('psycopg2')!r}")
    commutes(project.root, database_url=postgres_url, config=Path("db_work/alembic.ini"))


# -- where it keeps its data


def test_a_url_in_the_configuration(project: FlaskProject, production: Production, postgres_url: str) -> None:
    """With the options of a pool, an event, and a query when the application is made."""
    project.app(
        "app.py",
        f"SQLALCHEMY_DATABASE_URI={production.url()!r},"
        " SQLALCHEMY_ENGINE_OPTIONS={'pool_pre_ping': True, 'connect_args': {'connect_timeout': 5}}",
        more="\napp = create_app()\nwith app.app_context():\n"
        "    VERSION = db.session.execute(db.text('SHOW server_version')).scalar()\n    db.session.remove()\n",
    )
    commutes(project.root, database_url=postgres_url)


def test_a_clash(project: FlaskProject, production: Production, postgres_url: str) -> None:
    project.app("app.py", f"SQLALCHEMY_DATABASE_URI={production.url()!r}")
    project.upgrade("base0001", "CREATE TABLE accounts (id INTEGER PRIMARY KEY, score INTEGER)")
    project.upgrade("aaaa0001", "ALTER TABLE accounts DROP COLUMN score")
    project.upgrade("bbbb0001", "CREATE INDEX ix_score ON accounts (score)")
    proof = refused(project.root, database_url=postgres_url)
    assert proof.verdict == "one-order"
    assert proof.conflicts[0].revisions == ("aaaa0001", "bbbb0001")


def test_a_sqlite_file_in_the_instance_folder(project: FlaskProject) -> None:
    project.app("app.py", "SQLALCHEMY_DATABASE_URI='sqlite:///shop.db'")
    commutes(project.root, database_url="sqlite://")
    assert not list(project.root.rglob("*.db"))


def test_a_url_of_another_dialect(project: FlaskProject, postgres_url: str) -> None:
    project.app("app.py", "SQLALCHEMY_DATABASE_URI='sqlite:///shop.db'")
    reason = unevaluated(project.root, database_url=postgres_url)
    assert reason.code == "foreign-connection"
    assert "a sqlite database, " in reason.message
    assert "--database-url sqlite://" in (reason.hint or "")


def test_configure_callbacks(project: FlaskProject, postgres_url: str) -> None:
    """`@migrate.configure` may change the Config, as it does for `flask db`."""
    project.app(
        "app.py",
        more="\n@migrate.configure\ndef configure(config):\n"
        "    config.attributes['seen'] = 'by the callback'\n    assert config.cmd_opts.x == []\n    return config\n",
    )
    (path,) = project.root.glob("migrations/versions/bbbb0001_*.py")
    path.write_text(
        path.read_text().replace(
            "    op.execute",
            "    assert op.get_context().config.attributes['seen'] == 'by the callback'\n    op.execute",
        )
    )
    commutes(project.root, database_url=postgres_url)


# -- what goes wrong


def test_an_application_without_migrate(project: FlaskProject) -> None:
    (project.root / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    reason = unevaluated(project.root, database_url="sqlite://")
    assert reason.code == "no-application"
    assert "`Migrate(app, db)` was not called for it" in reason.message


def test_a_factory_that_raises(project: FlaskProject) -> None:
    project.app("app.py", "SECRET=__import__('os').environ['SHOP_SECRET']")
    reason = unevaluated(project.root, database_url="sqlite://")
    assert reason.code == "env-failed"
    assert re.match(r"app\.py:\d+: KeyError: 'SHOP_SECRET'", reason.message)
    assert "--env NAME=VALUE" in (reason.hint or "")


def test_an_application_with_a_missing_dependency(project: FlaskProject) -> None:
    project.app("app.py", more="\nimport acme_payments\n")
    reason = unevaluated(project.root, database_url="sqlite://")
    assert reason.code == "missing-dependency"
    assert "acme_payments" in reason.message
    assert "app.py:" in reason.message


# -- several databases


class TestBinds:
    FILES = (
        "SQLALCHEMY_DATABASE_URI='sqlite:///shop.db',"
        " SQLALCHEMY_BINDS={'users': 'sqlite:///users.db', 'logs': {'url': 'sqlite:///logs.db'}}"
    )

    @pytest.fixture
    def project(self, tmp_path: Path) -> FlaskProject:
        return FlaskProject(tmp_path / "p", binds=("users", "logs"))

    def test_on_postgresql(self, project: FlaskProject, production: Production, postgres_url: str) -> None:
        project.app("app.py", self.config(production))
        began = time.monotonic()
        commutes(project.root, database_url=postgres_url)
        assert time.monotonic() - began < 60, "nobody waits for another's lock"

    def test_on_sqlite(self, project: FlaskProject) -> None:
        project.app("app.py", self.FILES)
        commutes(project.root, database_url="sqlite://")
        assert not list(project.root.rglob("*.db"))

    @pytest.mark.parametrize("bind", ["", "users", "logs"])
    def test_a_clash_in_one(self, project: FlaskProject, bind: str) -> None:
        project.app("app.py", self.FILES)
        project.upgrade("base0001", "CREATE TABLE accounts (id INTEGER, score INTEGER)", bind=bind)
        project.upgrade("aaaa0001", "ALTER TABLE accounts DROP COLUMN score", bind=bind)
        project.upgrade("bbbb0001", "DELETE FROM accounts WHERE score = 1", bind=bind)
        proof = refused(project.root, database_url="sqlite://")
        assert proof.verdict == "one-order"
        assert proof.conflicts[0].revisions == ("aaaa0001", "bbbb0001")

    def test_a_difference_in_one(
        self, project: FlaskProject, production: Production, postgres_url: str
    ) -> None:
        project.app("app.py", self.config(production))
        project.upgrade("aaaa0001", "CREATE TABLE IF NOT EXISTS same (id INTEGER)", bind="logs")
        project.upgrade("bbbb0001", "CREATE TABLE IF NOT EXISTS same (id BIGINT)", bind="logs")
        proof = refused(project.root, database_url=postgres_url)
        assert proof.verdict == "differ"
        assert {name.partition(": ")[0] for name in proof.conflicts[0].objects} == {f"{production.name}_logs"}

    @staticmethod
    def config(production: Production) -> str:
        binds = {name: f"{production.url()}_{name}" for name in ("users", "logs")}
        return f"SQLALCHEMY_DATABASE_URI={production.url()!r}, SQLALCHEMY_BINDS={binds!r}"
