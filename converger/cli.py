"""The command line: options in, a report and an exit code out. Everything slow is imported in a command."""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converger.commands import PROGRAM, App, Shared, command, look, say, shared_options
from converger.errors import EXIT_OK, EXIT_UNEVALUATED, EXIT_USAGE

if TYPE_CHECKING:
    from converger.outcome import Options

_EXIT_CODES = """\b
Exit codes:
  0  {ok}
  1  {refused}
  2  bad configuration or usage
  3  could not evaluate
"""


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
@shared_options(("text", "json", "mermaid", "dot"))
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
@click.option(
    "--static",
    is_flag=True,
    help="Also guess, from the source alone, how the branches would clash. A guess, not a verdict: it does not"
    " change the exit code.",
)
@command("text", "json")
def check(shared: Shared, across_labels: bool, static: bool) -> int:
    """Is there one head? Reads the revision files only.

    Needs no database and none of the project's dependencies: not a line of the project's code is run.

    \b
    Example:
      alembic-converger check
      alembic-converger check -c services/api/alembic.ini --format json
      alembic-converger check --static         guess what would clash, without a database
    """
    from converger.inspection import guess_about, inspect
    from converger.terminal import emit, emit_bytes

    inspection = inspect(_options(shared, across_labels=across_labels))
    _say_project(shared, inspection)
    guesses = guess_about(inspection) if static else None
    if shared.format == "json":
        from converger.report.json import history_json, to_bytes

        found = history_json(inspection.graph, inspection.problems)
        if static:
            from converger.report.static import static_json

            found["static"] = static_json(guesses)
        emit_bytes(to_bytes(found))
    else:
        from converger.report.text import check_text

        again = [PROGRAM, "converge", "--dry-run"]
        again += ["-c", shared.alembic_config] if shared.alembic_config else []
        again += ["-n", shared.name] if shared.name else []
        again += ["--across-labels"] if across_labels else []
        lines = check_text(inspection, look(sys.stdout), shlex.join(again))
        if static:
            from converger.report.static import static_text

            lines += ["", *static_text(guesses, look(sys.stdout))]
        emit(lines)
    return inspection.exit_code


@main.command(
    short_help="Draw the graph: text, mermaid, dot or json.",
    epilog=_EXIT_CODES.format(ok="the graph was drawn", refused="(not used)"),
)
@click.option("--all", "everything", is_flag=True, help="Draw the whole history, however long.")
@command("text", "mermaid", "dot", "json")
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

        emit(graph_text(view, look(sys.stdout)))
    if inspection.problems:
        from converger.report.text import problem_lines

        say(problem_lines(inspection.problems, look(sys.stderr)))
    if inspection.errors:
        say(["could not evaluate: the drawing shows what could be read"])
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
    say([*lines, f"revisions read: {len(inspection.graph.revisions)}"])


def _pairs(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    pairs = {}
    for text in values:
        name, equals, value = text.partition("=")
        # The value may be a secret: it is not repeated in the message.
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise click.BadParameter("expected NAME=VALUE, NAME of letters, digits and underscores")
        pairs[name] = value
    return pairs


def _words(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} cannot be read as a command: {error}") from None
        if not words:
            raise click.BadParameter("the command is empty")
    return value


def _command(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and "{revision}" not in value:
        raise click.BadParameter("the command has no {revision}, for the revision to upgrade to")
    return _words(ctx, param, value)


def _start(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    # An empty one would quietly mean "all heads". No revision id and no name in git starts with a hyphen.
    if value is not None and (not value.strip() or value.startswith("-")):
        raise click.BadParameter(
            f"{value!r} is no revision, commit, branch or tag. If it came from a command in $(…),"
            " that command printed nothing."
        )
    return value


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
    callback=_start,
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
    "--flask-app",
    metavar="MODULE:FACTORY",
    help="The Flask application of a project with Flask-Migrate. Default: found as `flask` does, from"
    " FLASK_APP, .flaskenv, wsgi.py or app.py.",
)
@click.option(
    "--command",
    "upgrade_command",
    metavar="COMMAND",
    callback=_command,
    help="The project's own way to upgrade, where env.py alone is not enough; {revision} stands for the"
    " target. For instance 'flask db upgrade {revision}'.",
)
@click.option(
    "--base-sql",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A dump to load first, for a history that does not start from an empty database.",
)
@click.option(
    "--prepare",
    metavar="COMMAND",
    callback=_words,
    help="The project's own set-up, run first on each new scratch database, for a history that does not start"
    " from an empty one.",
)
@click.option(
    "--seed-sql",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Rows to load at the common ancestor, so that what the branches do to data is compared, too.",
)
@click.option(
    "--allow-network",
    is_flag=True,
    help="Let env.py and the migrations use the network. Default: they reach the scratch server only, where"
    " the system can see to that.",
)
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    callback=_seconds,
    help="How long one step (one revision) may take.  [default: 300]",
)
@click.option(
    "--proof-budget",
    type=float,
    metavar="SECONDS",
    callback=_seconds,
    help="How long to compare the orders of pairs of revisions; the verdict says when that was cut short."
    "  [default: 120]",
)
@click.option(
    "--require-downgrade",
    is_flag=True,
    help="Refuse where merging breaks downgrades, too. Default: they are reported only.",
)
@click.option(
    "--across-labels", is_flag=True, help="Merge heads of different branch labels or bases with each other."
)
@command("text", "json")
def converge(shared: Shared, timeout: float | None, proof_budget: float | None, **chosen: Any) -> int:
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
    from converger.child import hide_from_children
    from converger.converge import converge as run
    from converger.report.progress import progress_for
    from converger.terminal import clean_stop, emit, emit_bytes, wants_colour

    if timeout is not None:
        chosen["timeout"] = timeout
    if proof_budget is not None:
        chosen["proof_budget"] = proof_budget
    chosen["command"] = chosen.pop("upgrade_command")
    options = _options(shared, **chosen)
    hide_from_children()
    if options.skip_validation:
        say(["WARNING: --skip-validation: nothing will be proven"])
    colour = wants_colour(sys.stderr, os.environ)
    with clean_stop(), progress_for(sys.stderr, verbose=shared.verbose, colour=colour) as progress:
        outcome = run(options, progress)
    if shared.format == "json":
        from converger.report.json import outcome_json, to_bytes

        emit_bytes(to_bytes(outcome_json(outcome)))
    else:
        from converger.report.outcome_text import outcome_text

        emit(outcome_text(outcome, look(sys.stdout), verbose=shared.verbose))
    return outcome.exit_code


@main.command(
    short_help="What a kind of conflict is, with a bad and a good example, and what to do.",
    epilog=_EXIT_CODES.format(ok="explained, or listed", refused="(not used)"),
)
@click.argument("kind", required=False)
@command("text")
def explain(shared: Shared, kind: str | None) -> int:
    """What a kind of conflict is: what happens, a bad and a good example, and what to do.

    KIND is what `converge` calls a conflict. Without it all kinds are listed.

    \b
    Example:
      alembic-converger explain
      alembic-converger explain duplicate-column
    """
    from converger.proof.kinds import KINDS, explain_kind, near_kinds
    from converger.report.visible import one_line
    from converger.terminal import emit

    if kind is None:
        width = max(len(each.name) for each in KINDS)
        emit([f"{each.name:{width}}  {each.title}" for each in KINDS])
        return EXIT_OK
    try:
        section = explain_kind(kind)
    except LookupError:
        near = near_kinds(kind)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise click.UsageError(
            f"there is no kind of conflict called '{one_line(kind)}'.{hint} `{PROGRAM} explain` lists all."
        ) from None
    emit(section.splitlines())
    return EXIT_OK


@main.command(
    short_help="A small project with three heads, converged for real.",
    epilog=_EXIT_CODES.format(ok="three heads became one", refused="they did not"),
)
@click.option("--keep", is_flag=True, help="Keep the temporary folder and say where it is.")
@command("text")
def demo(shared: Shared, keep: bool) -> int:
    """A small project with three heads, converged for real in a temporary folder.

    Starts an embedded PostgreSQL for the run and stops it at the end. Touches nothing of yours.
    """
    from converger.demo import run_demo
    from converger.report.progress import progress_for
    from converger.terminal import clean_stop, emit, wants_colour

    colour = wants_colour(sys.stderr, os.environ)
    with clean_stop(), progress_for(sys.stderr, verbose=shared.verbose, colour=colour) as progress:
        return run_demo(progress, emit, look(sys.stdout), keep=keep, verbose=shared.verbose)


if __name__ == "__main__":  # for our own tests; `-m` puts the current folder on the path, the script does not
    main()
