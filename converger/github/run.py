"""One run of the Action, from the runner's environment to the exit code. Collaborators are passed in."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from converger.errors import EXIT_OK, EXIT_UNEVALUATED, EXIT_USAGE, ConvergerError, CouldNotEvaluate
from converger.github.annotations import Annotation, annotations_for
from converger.github.comment import Existing, decide_comment
from converger.github.commenting import Commented, keep_comment
from converger.github.evaluate import Evaluator
from converger.github.events import Evaluate, Ignore, PullRequest, Refuse, decide, read_event
from converger.github.failures import NotPermitted
from converger.github.log import Log, LogProgress, secrets_of, write_line
from converger.github.marker import configuration_key
from converger.github.origins import find_origins
from converger.github.outputs import Outputs, output_file, outputs_of
from converger.github.reportfile import write_report
from converger.github.runnerfiles import RunnerFiles
from converger.github.settings import BadInputs, Settings, read_settings
from converger.github.summary import notice, summary
from converger.github.writing import Done, Writer
from converger.report.json import relative_path
from converger.report.markdown import headline
from converger.report.result import Local, Result
from converger.report.visible import one_line

if TYPE_CHECKING:
    from converger.github.api import GitHub
    from converger.github.comment import Create, Keep, Update
    from converger.github.install import Installed
    from converger.outcome import Options, Outcome, Progress


def connect(settings: Settings, say: Callable[[str], None]) -> GitHub | None:
    """The GitHub that the settings name; None without a token."""
    from converger.github.calling import Patience
    from converger.github.client import PyGithubClient

    if not settings.inputs.token:
        return None
    runner = settings.runner
    return PyGithubClient(settings.inputs.token, runner.repository, runner.api_url, Patience(say=say))


def install(*arguments: object, **more: object) -> Installed:
    """`install.install_project`, loaded when it is needed."""
    from converger.github.install import install_project

    return install_project(*arguments, **more)  # type: ignore[arg-type]


def converge(options: Options, progress: Progress) -> Outcome:
    """`converge.converge`, loaded when it is needed."""
    from converger.converge import converge as use_case

    return use_case(options, progress)


@dataclass(frozen=True)
class Collaborators:
    """Who does what reaches out of the process: lines to the runner, GitHub, installing, proving.

    `end_children` ends what the project's code left running, before the runner's files are written.
    """

    write: Callable[[str], None] = write_line
    connect: Callable[[Settings, Callable[[str], None]], GitHub | None] = connect
    install: Callable[..., Installed] = install
    converge: Callable[[Options, Progress], Outcome] = converge
    end_children: Callable[[], None] = lambda: None


def run(environment: Mapping[str, str], collaborators: Collaborators | None = None) -> int:
    """Do what the event asks for; gives the exit code of docs/action.md. Raises nothing that is an error."""
    with_whom = collaborators if collaborators is not None else Collaborators()
    log = Log(with_whom.write, secrets_of(environment))
    log.mask()
    end = _End(RunnerFiles(environment), with_whom.end_children, log)
    try:
        return _run(environment, with_whom, log, end)
    except BadInputs as error:
        found = [Annotation("error", text, f"Input {name}") for name, text in error.findings]
        log.annotate(found)
        log.say(f"{error.message}. {error.hint or ''}")
        end.without_result("The inputs cannot be used", _text_of(error))
        return error.exit_code
    except ConvergerError as error:
        log.annotate([_of_error(error)])
        end.without_result("Could not evaluate", _text_of(error))
        return error.exit_code
    except Exception as error:
        if environment.get("RUNNER_DEBUG") == "1":
            import traceback

            for line in traceback.format_exc().splitlines():
                log.say(line)
        kind = "" if isinstance(error, OSError) else f"internal error: {type(error).__name__}: "
        message = f"{kind}{one_line(log.clean(str(error)), 300)}"
        log.annotate([Annotation("error", f"could not evaluate: {message}", "Alembic Converger")])
        end.without_result("Could not evaluate", message)
        return EXIT_UNEVALUATED
    except (KeyboardInterrupt, SystemExit) as stop:
        # A runner cancels a job with SIGINT, then SIGTERM, and has no patience: only what is short.
        code = 128 + signal.SIGINT if isinstance(stop, KeyboardInterrupt) else _code_of(stop)
        end.without_result("Stopped", "the run was stopped before it had a result")
        log.say(f"stopped by {signal.Signals(code - 128).name}; nothing more is written")
        return code


def _run(environment: Mapping[str, str], with_whom: Collaborators, log: Log, end: _End) -> int:
    settings = read_settings(environment)
    try:
        data = Path(settings.runner.event_path).read_bytes()
    except OSError as error:
        raise CouldNotEvaluate(
            f"the event of this run cannot be read: {error.strerror}",
            code="unreadable-event",
            hint="GITHUB_EVENT_PATH must be the file that the runner wrote for GITHUB_EVENT_NAME",
        ) from error
    decision = decide(read_event(data), settings)
    if isinstance(decision, Ignore):
        log.annotate([Annotation("notice", decision.notice, "Alembic Converger")])
        end.hand_over(lambda already: notice("Nothing to do", decision.notice), Outputs())
        return EXIT_OK
    if isinstance(decision, Refuse):
        log.annotate([Annotation("error", f"{decision.message}\n{decision.hint}", "Alembic Converger")])
        end.without_result("Refused", f"{decision.message}. {decision.hint}")
        return EXIT_USAGE
    github = with_whom.connect(settings, log.say)
    try:
        return _evaluate(settings, decision, environment, with_whom, github, log, end)
    finally:
        if github is not None:
            github.close()


def _evaluate(
    settings: Settings,
    decision: Evaluate,
    environment: Mapping[str, str],
    with_whom: Collaborators,
    github: GitHub | None,
    log: Log,
    end: _End,
) -> int:
    evaluator = Evaluator(
        settings,
        environment,
        log.command,
        with_whom.install,
        with_whom.converge,
        LogProgress(log),
        partial(find_origins, subject=decision.subject, github=github),
        log.secrets,
        with_whom.end_children,
    )
    key = configuration_key(settings.inputs)
    make = partial(result_of, settings, decision)
    done = Writer(settings, decision, evaluator, github, key, make).run()
    result = make(done)
    log.say(looked_at(result))
    log.say(headline(result).lstrip("# "))
    annotations = list(annotations_for(result))
    if done.failure is not None:
        annotations.append(_of_error(done.failure))
    elif done.exit_code and done.not_written:
        annotations.append(
            Annotation("error", f"Nothing was written: {done.not_written}", "Alembic Converger")
        )
    annotations += [Annotation("warning", note, "Alembic Converger") for note in done.notes]

    commented = Commented("none")
    if github is not None and decision.comment_on is not None:

        def decide_it(existing: Iterable[Existing], me: str) -> Create | Update | Keep:
            return decide_comment(result, key, existing, me)

        try:
            commented = keep_comment(github, decision.comment_on, decide_it)
        except ConvergerError as error:
            quiet = isinstance(error, NotPermitted) and decision.why_not is not None
            annotations.append(
                Annotation(
                    "notice" if quiet else "warning",
                    f"The comment could not be written, the summary of the run has it all: {error.message}",
                    "Alembic Converger",
                )
            )
    log.annotate(annotations)
    report = write_report(Path(settings.runner.workspace), key, done.evaluation.outcome)
    end.hand_over(lambda already: summary(result, already=already), _outputs(done, commented, report))
    return done.exit_code


def result_of(settings: Settings, decision: Evaluate, done: Done) -> Result:
    """What was done as the one view that all reports are written from."""
    from converger import __version__

    found, subject, runner = done.evaluation, decision.subject, settings.runner
    base = found.merged.base
    checkout = subject.head_branch if isinstance(subject, PullRequest) else found.merged.head.branch
    address = f"{runner.server_url}/{runner.repository}.git" if decision.from_fork else "origin"
    configuration = _configuration(settings, found.outcome)
    inputs = settings.inputs
    options = ["-c", configuration] if configuration else []
    if inputs.from_revision is not None:
        options += ["--from-revision", inputs.from_revision]
    if inputs.strategy != "pairwise":
        options += ["--strategy", inputs.strategy]
    return Result(
        found.outcome,
        found.situation,
        runner.repository,
        found.merged.head,
        base,
        server_url=runner.server_url,
        pull_request=subject.number if isinstance(subject, PullRequest) else None,
        from_fork=decision.from_fork,
        git_conflicts=found.merged.conflicts,
        origins=found.origins,
        files_at=found.files_at,
        sources=found.sources,
        written=done.written,
        not_written=done.not_written,
        local=Local(checkout, address, base.branch if base is not None else None, tuple(options)),
        configuration=configuration,
        run_url=runner.run_url,
        version=__version__,
    )


def looked_at(result: Result) -> str:
    """Which commits were looked at, for the log."""
    head = f"Looked at {result.head.branch} at {result.head.commit}"
    if result.base is None:
        return head
    return f"{head}, merged in memory with {result.base.branch} at {result.base.commit}"


def _configuration(settings: Settings, outcome: Outcome) -> str:
    """The Alembic configuration by its path in the repository, where it is not simply the one at its top."""
    inputs, project = settings.inputs, outcome.project
    if inputs.working_directory == "." and inputs.alembic_config is None:
        return ""
    path = project.ini_path or project.toml_path if project is not None else None
    if path is None or project is None:
        return f"{inputs.working_directory}/{inputs.alembic_config or ''}".removeprefix("./").rstrip("/")
    return relative_path(path, project.root)


def _outputs(done: Done, commented: Commented, report: str) -> Outputs:
    written = done.written
    outputs = outputs_of(done.evaluation.outcome, comment_url=commented.url or "", report_path=report)
    if written is not None:
        outputs = replace(outputs, commit_sha=written.commit, branch=written.branch)
        if done.pull is not None:
            number = str(done.pull.number)
            outputs = replace(outputs, pull_request_number=number, pull_request_url=done.pull.url)
    return outputs


@dataclass(frozen=True)
class _End:
    """The end of a run: the files of the runner. One that cannot be written is said; the exit code still tells."""

    files: RunnerFiles
    end_children: Callable[[], None]
    log: Log

    def hand_over(self, said: Callable[[int], bytes], outputs: Outputs) -> None:
        """Write the summary and the outputs, once. `said` is given the size that the summary has already."""
        if self.files.handed_over:
            return
        log = self.log
        try:
            self.end_children()
            changed = self.files.restore()
            text = output_file(outputs.as_mapping(), secrets.token_hex(16))
            self.files.hand_over(
                lambda already: log.clean(said(already).decode("utf-8")).encode("utf-8"), text
            )
        except OSError as error:
            problem = f"the summary or the outputs could not be written: {error}"
            log.annotate([Annotation("warning", problem, "Alembic Converger")])
            return
        if changed:
            problem = f"While the project's code ran, somebody wrote to {' and '.join(changed)}; that was taken back."
            log.annotate([Annotation("warning", problem, "Alembic Converger")])

    def without_result(self, heading: str, text: str) -> None:
        """The same for a run that looked at nothing, or could not."""
        message = notice(heading, self.log.clean(text))
        self.hand_over(lambda already: message, Outputs(status="unevaluated"))


def _code_of(stop: SystemExit) -> int:
    return stop.code if isinstance(stop.code, int) and 128 < stop.code < 160 else 128 + signal.SIGTERM


def _text_of(error: ConvergerError) -> str:
    return f"{error.message}. {error.hint or ''}"


def _of_error(error: ConvergerError) -> Annotation:
    hint = f"\n{error.hint}" if error.hint else ""
    return Annotation("error", f"{error.message}{hint}", f"Alembic Converger: {error.code}")
