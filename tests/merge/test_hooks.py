"""Post-write hooks with real tools: ruff, and small programs written here."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from converger.hooks import run_hooks
from converger.mergefile import RenderedMerges
from converger.write import write_merges
from tests.merge.support import Case


def hook(**options: str) -> dict[str, str]:
    return {"_hook_name": "tidy", "options": "", **options}


def program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


def render(case: Case, *hooks: dict[str, str]) -> RenderedMerges:
    """Render with hooks; nothing of the project may change by it."""
    case.settings(hooks=hooks)
    before = case.files.digest()
    rendered = case.render(python=sys.executable)
    assert case.files.digest() == before
    return rendered


def body(rendered: RenderedMerges) -> str:
    return rendered.files[0].content.decode()


RUFF = hook(type="exec", executable="ruff", options="format REVISION_SCRIPT_FILENAME")
APPEND = "path = sys.argv[-1]; open(path, 'a').write('# tidied\\n')"


class TestRun:
    def test_ruff_with_the_projects_settings(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p")
        (tmp_path / "p" / "pyproject.toml").write_text("[tool.ruff.format]\nquote-style = 'single'\n")
        single = body(render(case, RUFF))
        (tmp_path / "p" / "migrations" / "ruff.toml").write_text("[format]\nquote-style = 'double'\n")
        double = body(render(case, RUFF))
        assert "\nrevision = 'ba4ee8b292d6'\n" in single
        assert '\nrevision = "ba4ee8b292d6"\n' in double
        assert case.render(python=sys.executable).notes == ()
        write_merges(case.render(python=sys.executable).files)
        assert case.alembic_heads() == ("ba4ee8b292d6",)

    def test_ruff_as_a_module(self, tmp_path: Path) -> None:
        rendered = render(Case(tmp_path / "p"), hook(type="module", module="ruff", options="format"))
        # Without REVISION_SCRIPT_FILENAME the path is put first, so ruff says that this is no command.
        assert [note.kind for note in rendered.notes] == ["hook-failed"]
        rendered = render(
            Case(tmp_path / "q"),
            hook(type="module", module="ruff", options="format REVISION_SCRIPT_FILENAME"),
        )
        assert rendered.notes == ()
        assert '\nrevision = "ba4ee8b292d6"\n' in body(rendered)

    def test_console_script_beside_the_projects_interpreter(self, tmp_path: Path) -> None:
        program(tmp_path / "venv" / "bin" / "tidier", APPEND)
        (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
        case = Case(tmp_path / "p").settings(hooks=(hook(type="console_scripts", entrypoint="tidier"),))
        rendered = case.render(python=str(tmp_path / "venv" / "bin" / "python"))
        assert rendered.notes == ()
        assert body(rendered).endswith("    pass\n# tidied\n")

    def test_an_executable_of_the_project_and_its_settings_file(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p")
        program(
            tmp_path / "p" / "tools" / "tidy", "open(sys.argv[2], 'a').write(open(sys.argv[1][9:]).read())"
        )
        (tmp_path / "p" / "tools" / "words.txt").write_text("# from the settings\n")
        rendered = render(
            case,
            hook(
                type="exec",
                executable="./tidy",
                cwd="tools",
                options="--config=words.txt REVISION_SCRIPT_FILENAME",
            ),
        )
        assert rendered.notes == ()
        assert body(rendered).endswith("# from the settings\n")

    def test_hooks_run_in_order_each_on_what_the_one_before_left(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p")
        for n in "12":
            program(tmp_path / "p" / f"tidy{n}", f"open(sys.argv[1], 'a').write('# {n}\\n')")
        rendered = render(case, *(hook(type="exec", executable=f"./tidy{n}") for n in "12"))
        assert body(rendered).endswith("# 1\n# 2\n")

    def test_every_merge_is_tidied(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p", heads=("aaaa", "bbbb", "cccc"))
        program(tmp_path / "p" / "tidy", APPEND)
        rendered = render(case, hook(type="exec", executable="./tidy"))
        assert [file.content.endswith(b"# tidied\n") for file in rendered.files] == [True, True]

    def test_no_hook_runs_without_an_interpreter(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p").settings(hooks=(RUFF,))
        rendered = case.render()
        assert "'ba4ee8b292d6'" in body(rendered)
        assert rendered.notes == ()

    def test_no_token_reaches_a_hook(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_TOKEN", "secret")
        case = Case(tmp_path / "p")
        program(
            tmp_path / "p" / "tidy",
            "open(sys.argv[1], 'a').write('# ' + ' '.join(sorted(os.environ)) + '\\n')",
        )
        assert (
            "GITHUB_TOKEN" not in body(render(case, hook(type="exec", executable="./tidy"))).splitlines()[-1]
        )

    def test_a_hook_that_writes_where_it_stands_changes_nothing_of_the_project(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p")
        program(
            tmp_path / "p" / "tidy",
            "os.makedirs('migrations/versions', exist_ok=True)",
            "open('migrations/versions/aaaa_rev.py', 'w').write('# gone')",
            "open('.cache', 'w').write('x')",
        )
        render(case, hook(type="exec", executable="./tidy"))  # compares the whole tree


class TestNotRun:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (hook(type="exec", executable="no-such-tool"), "no-such-tool is not installed"),
            (hook(type="exec", executable="./no/such/tool"), "is not installed"),
            (hook(type="console_scripts", entrypoint="no-such-tool"), "no-such-tool is not installed"),
            (hook(type="module", module="no_such_module"), "there is no module no_such_module"),
            (hook(type="module", module="no.such.module"), "there is no module no.such.module"),
            (
                hook(type="console_scripts", entrypoint="pre-commit", options="run --files"),
                "in the repository only",
            ),
            (hook(type="our_own"), "its type is 'our_own'"),
            (hook(), "it has no type"),
            (hook(type="exec"), "it has no executable"),
            (hook(type="exec", executable="ruff", options="'unbalanced"), "No closing quotation"),
        ],
    )
    def test_says_why_and_leaves_the_file(self, tmp_path: Path, options: dict[str, str], said: str) -> None:
        case = Case(tmp_path / "p")
        plain = body(case.render())
        rendered = render(case, options)
        (note,) = rendered.notes
        assert note.kind == "hook-not-run"
        assert "'tidy'" in note.message
        assert said in note.message
        assert body(rendered) == plain


class TestDiscarded:
    @pytest.mark.parametrize(
        ("line", "kind", "said"),
        [
            ("open(sys.argv[1], 'a').write('op.drop_table(1)\\n')", "hook-discarded", "op.drop_table(1)"),
            (
                "open(sys.argv[1], 'a').write('down_revision = None\\n')",
                "hook-discarded",
                "not the two parents",
            ),
            ("open(sys.argv[1], 'w').write('(')", "hook-discarded", "not valid Python"),
            ("os.unlink(sys.argv[1])", "hook-discarded", "removed the file"),
            ("os.unlink(sys.argv[1]); os.mkdir(sys.argv[1])", "hook-discarded", "removed the file"),
            (
                "os.unlink(sys.argv[1]); os.symlink('/dev/zero', sys.argv[1])",
                "hook-discarded",
                "removed the file",
            ),
            ("time.sleep(60)", "hook-failed", "more than 1 seconds"),
        ],
    )
    def test_what_a_hook_breaks_is_put_back(self, tmp_path: Path, line: str, kind: str, said: str) -> None:
        case = Case(tmp_path / "p")
        program(tmp_path / "p" / "break", line)
        program(tmp_path / "p" / "tidy", APPEND)
        plain = case.render()
        case.settings(hooks=(hook(type="exec", executable="./break"), hook(type="exec", executable="./tidy")))
        hooked = run_hooks(case.project, plain, sys.executable, timeout=1)
        (file,), (note,) = hooked.files, hooked.notes
        assert note.kind == kind
        assert said in note.message
        assert file.content == plain.files[0].content + b"# tidied\n", "the next hook runs all the same"

    def test_an_exit_code_changes_nothing_as_with_alembic(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p")
        program(
            tmp_path / "p" / "tidy",
            APPEND,
            "print('some\\x1b[31m complaint', file=sys.stderr)",
            "sys.exit(3)",
        )
        rendered = render(case, hook(type="exec", executable="./tidy"))
        (note,) = rendered.notes
        assert note.kind == "hook-failed"
        assert "exit code 3: some [31m complaint" in note.message
        assert body(rendered).endswith("# tidied\n")

    def test_nothing_goes_on_running(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p")
        mark = tmp_path / "pid"
        program(
            tmp_path / "p" / "tidy",
            "pid = os.fork()",
            "if not pid: time.sleep(600)",
            f"open({str(mark)!r}, 'w').write(str(pid))",
        )
        render(case, hook(type="exec", executable="./tidy"))
        status = Path(f"/proc/{mark.read_text()}/stat")
        end = time.monotonic() + 5  # a killed process is gone some moments later
        while _runs(status):
            assert time.monotonic() < end, "it runs on"
            time.sleep(0.01)


def _runs(stat: Path) -> bool:
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
