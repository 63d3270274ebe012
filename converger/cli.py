"""The command line: options in, a report and an exit code out. Everything slow is imported in a command."""

from __future__ import annotations

import functools
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converger.errors import EXIT_OK, EXIT_UNEVALUATED, EXIT_USAGE, ConvergerError

if TYPE_CHECKING:
    from converger.outcome import Options

PROGRAM = "alembic-converger"

_EXIT_CODES = """\b
Exit codes:
  0  {ok}
  1  {refused}
  2  bad configuration or usage
  3  could not evaluate
"""

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
            _say(["interrupted"])
            return 130
        except click.ClickException as error:
            error.show()
            return EXIT_USAGE
        return code if isinstance(code, int) else EXIT_OK


def _shared_options(formats: tuple[str, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
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


def _command(*formats: str) -> Callable[[Command], Callable[..., int]]:
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
        return _shared_options(formats)(click.pass_context(run))

    return decorate


def _guarded(function: Callable[[], int], *, verbose: bool) -> int:
    try:
        return function()
    except ConvergerError as error:
        from converger.report.text import reason_lines
        from converger.report.visible import one_line

        _say(reason_lines(f"error ({one_line(error.code)})", error, _look(sys.stderr)))
        return error.exit_code
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except OSError as error:
        # A full disk, a folder that may not be written: nothing that we could look behind.
        from converger.report.visible import one_line

        _traceback(verbose)
        _say([f"error: could not evaluate: {one_line(str(error))}"])
        return EXIT_UNEVALUATED
    except Exception as error:
        from converger.report.visible import one_line

        _traceback(verbose)
        _say(
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

        _say([visible(line) for line in traceback.format_exc().splitlines()])


def _say(lines: list[str]) -> None:
    from converger.terminal import emit

    emit(lines, sys.stderr)


def _look(stream: Any) -> Any:
    from converger.terminal import look_for

    return look_for(stream, os.environ)


def _options(shared: Shared, **more: Any) -> Options:
    from converger.outcome import Options

    config = Path(shared.alembic_config) if shared.alembic_config else None
    return Options(config=config, section=shared.name or "alembic", cwd=Path.cwd(), **more)


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    import importlib.metadata

    try:
        number = importlib.metadata.version("alembic-converger")
    except importlib.metadata.PackageNotFoundError:
        number = "(not installed)"
    click.echo(f"{PROGRAM} {number}")
    ctx.exit()


@click.group(
    cls=App,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EXIT_CODES.format(
        ok="converged, or merges written", refused="more than one head (check), or the proof refused"
    ),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show it."
)
@_shared_options(("text", "json", "mermaid", "dot"))
@click.pass_context
def main(
    ctx: click.Context, alembic_config: str | None, name: str | None, format: str | None, verbose: bool
) -> int:
    """Find the heads of an Alembic history, prove on scratch databases that the branches fit, and write
    the merge revisions.

    \b
    Example:
      alembic-converger check                  is there one head?
      alembic-converger converge --dry-run     prove the merge, write nothing
      alembic-converger converge               prove the merge and write it
    """
    ctx.obj = Shared(alembic_config, name, format, verbose)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return EXIT_USAGE
    return EXIT_OK


@main.command(
    short_help="Is there one head? Needs no database and nothing installed.",
    epilog=_EXIT_CODES.format(
        ok="one head, or one head in each line of history kept apart on purpose", refused="more than one head"
    ),
)
@click.option("--across-labels", is_flag=True, help="Count heads of different labels or bases as one line.")
@_command("text", "json")
def check(shared: Shared, across_labels: bool) -> int:
    """Is there one head? Reads the revision files only.

    Needs no database and none of the project's dependencies: not a line of the project's code is run.

    \b
    Example:
      alembic-converger check
      alembic-converger check -c services/api/alembic.ini --format json
    """
    from converger.inspection import inspect
    from converger.terminal import emit, emit_bytes

    inspection = inspect(_options(shared, across_labels=across_labels))
    _say_project(shared, inspection)
    if shared.format == "json":
        from converger.report.json import history_json, to_bytes

        emit_bytes(to_bytes(history_json(inspection.graph, inspection.problems)))
    else:
        from converger.report.text import check_text

        again = [PROGRAM, "converge", "--dry-run"]
        again += ["-c", shared.alembic_config] if shared.alembic_config else []
        again += ["-n", shared.name] if shared.name else []
        again += ["--across-labels"] if across_labels else []
        emit(check_text(inspection, _look(sys.stdout), shlex.join(again)))
    return inspection.exit_code


@main.command(
    short_help="Draw the graph: text, mermaid, dot or json.",
    epilog=_EXIT_CODES.format(ok="the graph was drawn", refused="(not used)"),
)
@click.option("--all", "everything", is_flag=True, help="Draw the whole history, however long.")
@_command("text", "mermaid", "dot", "json")
def graph(shared: Shared, everything: bool) -> int:
    """Draw the graph, newest first, heads marked. Reads the revision files only.

    Long histories are reduced to what lies between the common ancestor and the heads; --all draws
    everything. JSON always has the whole history.

    \b
    Example:
      alembic-converger graph
      alembic-converger graph --all --format dot | dot -Tsvg > history.svg
    """
    from converger.inspection import inspect
    from converger.report.selection import select
    from converger.terminal import emit, emit_bytes

    inspection = inspect(_options(shared))
    _say_project(shared, inspection)
    if shared.format == "json":
        from converger.report.json import history_json, to_bytes

        emit_bytes(to_bytes(history_json(inspection.graph, inspection.problems)))
        return EXIT_UNEVALUATED if inspection.errors else EXIT_OK
    view = select(inspection.graph, inspection.lines, everything=everything)
    if shared.format == "mermaid":
        from converger.report.mermaid import mermaid

        emit(mermaid(view))
    elif shared.format == "dot":
        from converger.report.dot import dot

        emit(dot(view))
    else:
        from converger.report.graph_text import graph_text

        emit(graph_text(view, _look(sys.stdout)))
    if inspection.problems:
        from converger.report.text import problem_lines

        _say(problem_lines(inspection.problems, _look(sys.stderr)))
    if inspection.errors:
        _say(["could not evaluate: the drawing shows what could be read"])
        return EXIT_UNEVALUATED
    return EXIT_OK


def _say_project(shared: Shared, inspection: Any) -> None:
    if not shared.verbose:
        return
    from converger.report.visible import one_line

    project = inspection.project
    where = " and ".join(one_line(str(p)) for p in (project.ini_path, project.toml_path) if p)
    lines = [f"configuration: {where} [{one_line(project.section)}]"]
    lines += [f"revisions in: {one_line(str(path))}" for path in project.version_locations]
    _say([*lines, f"revisions read: {len(inspection.graph.revisions)}"])


def _pairs(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    pairs = {}
    for text in values:
        name, equals, value = text.partition("=")
        # The value may be a secret: it is not repeated in the message.
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise click.BadParameter("expected NAME=VALUE, NAME of letters, digits and underscores")
        pairs[name] = value
    return pairs


def _seconds(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise click.BadParameter("expected a number of seconds above 0")
    return value


@main.command(
    short_help="Find the heads, prove, write the merge revisions.",
    epilog=_EXIT_CODES.format(
        ok="one head already, merges written, or (--dry-run) would be written",
        refused="refused: the branches do not fit, or merging would be wrong; nothing was written",
    ),
)
@click.option(
    "--from-revision",
    metavar="X",
    help="Merge only heads that descend from X: a revision, a unique prefix of one, or a git commit, branch"
    " or tag (then the heads at that commit). Default: the lowest common ancestor.",
)
@click.option(
    "--strategy",
    type=click.Choice(("pairwise", "single")),
    default="pairwise",
    show_default=True,
    help="pairwise: sorted heads folded left, N-1 merges of two. single: one merge of N.",
)
@click.option("--dry-run", is_flag=True, help="Do everything, the proof included, but write nothing.")
@click.option("--skip-validation", is_flag=True, help="Use no database and prove nothing. Said loudly.")
@click.option(
    "--database-url",
    metavar="URL",
    help="The server to create scratch databases on. Default: an embedded one, of the dialect that the"
    " project uses. A database that we did not create is never touched.",
)
@click.option(
    "--python",
    metavar="PATH",
    help="The project's interpreter, which runs env.py and the migrations. Default: VIRTUAL_ENV, a .venv"
    " beside the configuration, then the current one.",
)
@click.option(
    "--env",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="A variable for env.py and the migrations. Repeatable.",
)
@click.option(
    "--database-url-env",
    multiple=True,
    metavar="NAME",
    help="A variable in which env.py looks for its database; it gets the scratch database's URL. Repeatable.",
)
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    callback=_seconds,
    help="How long one step (one revision) may take.  [default: 300]",
)
@click.option(
    "--across-labels", is_flag=True, help="Merge heads of different branch labels or bases with each other."
)
@_command("text", "json")
def converge(shared: Shared, timeout: float | None, **chosen: Any) -> int:
    """Find the heads, prove the merge on scratch databases, write the merge revisions.

    The migrations run through the project's own env.py, with its own interpreter, on databases made for
    the purpose: from empty, from the common ancestor, and from each head alone. Only if every one of them
    gets to the same end are the merge revisions written. Existing migrations are never changed.

    \b
    Example:
      alembic-converger converge --dry-run
      alembic-converger converge --from-revision $(git merge-base origin/main HEAD) --dry-run
      alembic-converger converge --database-url postgresql://postgres@localhost/postgres
    """
    from converger.converge import converge as run
    from converger.report.progress import progress_for
    from converger.terminal import clean_stop, emit, emit_bytes, wants_colour

    if timeout is not None:
        chosen["timeout"] = timeout
    options = _options(shared, **chosen)
    if options.skip_validation:
        _say(["WARNING: --skip-validation: nothing will be proven"])
    colour = wants_colour(sys.stderr, os.environ)
    with clean_stop(), progress_for(sys.stderr, verbose=shared.verbose, colour=colour) as progress:
        outcome = run(options, progress)
    if shared.format == "json":
        from converger.report.json import outcome_json, to_bytes

        emit_bytes(to_bytes(outcome_json(outcome)))
    else:
        from converger.report.outcome_text import outcome_text

        emit(outcome_text(outcome, _look(sys.stdout), verbose=shared.verbose))
    return outcome.exit_code


@main.command(
    short_help="A small project with three heads, converged for real.",
    epilog=_EXIT_CODES.format(ok="three heads became one", refused="they did not"),
)
@click.option("--keep", is_flag=True, help="Keep the temporary folder and say where it is.")
@_command("text")
def demo(shared: Shared, keep: bool) -> int:
    """A small project with three heads, converged for real in a temporary folder.

    Starts an embedded PostgreSQL for the run and stops it at the end. Touches nothing of yours.
    """
    from converger.demo import run_demo
    from converger.report.progress import progress_for
    from converger.terminal import clean_stop, emit, wants_colour

    colour = wants_colour(sys.stderr, os.environ)
    with clean_stop(), progress_for(sys.stderr, verbose=shared.verbose, colour=colour) as progress:
        return run_demo(progress, emit, _look(sys.stdout), keep=keep, verbose=shared.verbose)


if __name__ == "__main__":  # for our own tests; `-m` puts the current folder on the path, the script does not
    main()
