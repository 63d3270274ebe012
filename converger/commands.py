"""How every command runs: the options that all share, and errors that become messages and exit codes."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from converger.errors import EXIT_OK, EXIT_UNEVALUATED, EXIT_USAGE, ConvergerError

PROGRAM = "alembic-converger"

Command = Callable[..., int]


@dataclass
class Shared:
    """The options that every command has; each may stand before or behind the command's name."""

    alembic_config: str | None = None
    name: str | None = None
    format: str | None = None
    verbose: bool = False


class App(click.Group):
    """A group whose commands return their exit code, with our codes for what click does not know."""

    def main(self, args: Any = None, prog_name: Any = None, *_: Any, **extra: Any) -> Any:
        """Run; returns the exit code, or ends the process with it in click's standalone mode."""
        standalone = extra.pop("standalone_mode", True)
        code = self._run(args, prog_name or PROGRAM, extra)
        if standalone:
            sys.exit(code)
        return code

    def _run(self, args: Any, prog_name: str, extra: dict[str, Any]) -> int:
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.Abort:
            say(["interrupted"])
            return 130
        except click.ClickException as error:
            error.show()
            return EXIT_USAGE
        return code if isinstance(code, int) else EXIT_OK


def shared_options(formats: tuple[str, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds the options of all commands, with these choices for `--format`."""
    options = (
        click.option(
            "-c",
            "--alembic-config",
            metavar="PATH",
            help="The Alembic configuration, an ini file or pyproject.toml. Default: alembic.ini, then"
            " pyproject.toml with [tool.alembic], then migrations/alembic.ini (Flask-Migrate).",
        ),
        click.option(
            "-n",
            "--name",
            metavar="SECTION",
            help="The section of the ini file to use, as Alembic's own -n.  [default: alembic]",
        ),
        click.option("--format", type=click.Choice(formats), help="The form of the output.  [default: text]"),
        click.option(
            "-v", "--verbose", is_flag=True, help="Say more, on standard error; tracebacks of our own errors."
        ),
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def command(*formats: str) -> Callable[[Command], Callable[..., int]]:
    """The shared options, merged with those before the command's name; errors become exit codes."""

    def decorate(function: Command) -> Callable[..., int]:
        def run(
            ctx: click.Context,
            alembic_config: str | None,
            name: str | None,
            format: str | None,
            verbose: bool,
            **rest: Any,
        ) -> int:
            before = ctx.find_object(Shared) or Shared()
            shared = Shared(
                alembic_config or before.alembic_config,
                name or before.name,
                format or before.format or "text",
                verbose or before.verbose,
            )
            if shared.format not in formats:
                raise click.BadParameter(
                    f"{shared.format!r} is not one of {', '.join(formats)}", ctx, param_hint="'--format'"
                )
            return _guarded(functools.partial(function, shared, **rest), verbose=shared.verbose)

        functools.update_wrapper(run, function)
        return shared_options(formats)(click.pass_context(run))

    return decorate


def _guarded(function: Callable[[], int], *, verbose: bool) -> int:
    try:
        return function()
    except ConvergerError as error:
        from converger.report.text import reason_lines
        from converger.report.visible import one_line

        say(reason_lines(f"error ({one_line(error.code)})", error, look(sys.stderr)))
        return error.exit_code
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except OSError as error:
        # A full disk, a folder that may not be written: nothing that we could look behind.
        from converger.report.visible import one_line

        _traceback(verbose)
        say([f"error: could not evaluate: {one_line(str(error))}"])
        return EXIT_UNEVALUATED
    except Exception as error:
        from converger.report.visible import one_line

        _traceback(verbose)
        say(
            [
                f"internal error: {type(error).__name__}: {one_line(str(error), 300)}",
                "This is a bug in alembic-converger, and the result is not known. Please report it, with the",
                "command and"
                + ("" if verbose else " what it prints with -v and")
                + " the output of --version.",
            ]
        )
        return EXIT_UNEVALUATED


def _traceback(verbose: bool) -> None:
    if verbose:
        import traceback

        from converger.report.visible import visible

        say([visible(line) for line in traceback.format_exc().splitlines()])


def say(lines: list[str]) -> None:
    """Write lines to standard error."""
    from converger.terminal import emit

    emit(lines, sys.stderr)


def look(stream: Any) -> Any:
    """The Look that fits a stream of this process."""
    from converger.terminal import look_for

    return look_for(stream, os.environ)
