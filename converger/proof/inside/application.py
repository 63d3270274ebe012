"""The Flask application in whose context a Flask-Migrate env.py runs."""

import contextlib
import os


class NoApplication(Exception):
    """The Flask application cannot be found."""


@contextlib.contextmanager
def application(flask):
    """Within it the application's context is pushed; gives a function that completes a Config.

    `flask` is None for a project without one, else {"app": what --flask-app says or None}. The application is
    found as `flask db upgrade` finds it: FLASK_APP (also from .flaskenv or .env), wsgi.py, app.py.
    """
    if flask is None:
        yield lambda config: config
        return
    from flask.cli import NoAppException, ScriptInfo, load_dotenv

    load_dotenv()
    try:
        app = ScriptInfo(app_import_path=flask["app"] or os.environ.get("FLASK_APP")).load_app()
    except NoAppException as error:
        if isinstance(error.__context__, ImportError):  # Flask puts its traceback into the message
            raise error.__context__ from None
        raise NoApplication(str(error)) from error
    with app.app_context():
        yield lambda config: _completed(app, config)


def _completed(app, config):
    """The Config with what Flask-Migrate adds to it: the application's own `configure` callbacks."""
    extension = app.extensions.get("migrate")
    if extension is None:
        raise NoApplication(
            "the application %r has no Flask-Migrate: `Migrate(app, db)` was not called for it" % app.name
        )
    if getattr(config.cmd_opts, "x", None) is None:
        config.cmd_opts.x = []
    complete = getattr(getattr(extension, "migrate", None), "call_configure_callbacks", None)
    return complete(config) if complete is not None else config
