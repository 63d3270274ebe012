"""`converge` and `demo` as a person runs them: real Alembic, real databases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.alembic_project import AlembicProject, two_harmless_heads
from tests.cli.running import command, environment, run
from tests.report.test_json import OUTCOME, check


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path / "p", url="sqlite:///never.db")


@pytest.fixture
def clash(project: AlembicProject) -> AlembicProject:
    project.sql("base0001", None, "CREATE TABLE accounts (id INTEGER PRIMARY KEY)")
    project.sql("aaaa0001", "base0001", "ALTER TABLE accounts ADD COLUMN email VARCHAR(50)")
    project.sql("bbbb0001", "base0001", "ALTER TABLE accounts ADD COLUMN email TEXT")
    return project


def as_json(*arguments: str, cwd: Path) -> tuple[int, Any]:
    done = run("converge", "--format", "json", *arguments, cwd=cwd)
    value = json.loads(done.stdout)
    check(value, OUTCOME)
    assert done.stdout.count("\n") == 1
    return done.returncode, value


def test_merged(project: AlembicProject) -> None:
    two_harmless_heads(project)
    before = project.digest()
    done = run("converge", cwd=project.root)
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    (new,) = set(project.digest()) - set(before)
    revision = Path(new).name.split("_")[0]
    assert first.startswith(f"Merged 2 heads into {revision}, proven on SQLite ")
    assert f"◆ aaaa0001 + bbbb0001 → {revision}" in done.stdout
    assert new in done.stdout
    table = [line for line in done.stdout.splitlines() if line.split()[-2:-1] == ["ok"]]
    assert [line.split()[0] for line in table] == [
        "(empty)",
        "base0001",  # in both orders of the merge's parents
        "base0001",
        "aaaa0001",
        "bbbb0001",
    ]
    assert all(f"{revision}  " in line for line in table)
    again = run("converge", cwd=project.root)
    assert again.returncode == 0
    assert again.stdout.splitlines()[0].startswith(f"One head: {revision} ")
    assert run("check", cwd=project.root).returncode == 0


def test_dry_run_says_what_would_be_written(project: AlembicProject) -> None:
    two_harmless_heads(project)
    before = project.digest()
    done = run("converge", "--dry-run", cwd=project.root)
    assert done.returncode == 0
    assert done.stdout.startswith("Would merge 2 heads into ")
    assert done.stdout.splitlines()[1] == "Dry run: nothing was written."
    assert "down_revision" not in done.stdout
    verbose = run("converge", "--dry-run", "-v", cwd=project.root)
    assert "│ down_revision = ('aaaa0001', 'bbbb0001')" in verbose.stdout
    assert "upgrading" in verbose.stderr
    code, value = as_json("--dry-run", cwd=project.root)
    assert (code, value["status"], value["proof"]["verdict"]) == (0, "would-merge", "commute")
    assert value["final_head"] == value["merges"][-1]["revision"]
    assert project.digest() == before


def test_refused(clash: AlembicProject) -> None:
    before = clash.digest()
    done = run("converge", cwd=clash.root)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Refused (neither-order): ")
    assert lines[1] == "Nothing was written."
    assert "✗ conflict between aaaa0001 " in done.stdout
    assert " and bbbb0001 (revision bbbb0001) (duplicate-column)" in done.stdout
    assert "in             migrations/versions/bbbb0001_rev.py:" in done.stdout
    assert "and in         migrations/versions/aaaa0001_rev.py:" in done.stdout
    assert "concerning     accounts.email" in done.stdout
    assert "│ ALTER TABLE accounts ADD COLUMN email TEXT" in done.stdout
    assert "│ duplicate column name: email" in done.stdout
    assert "what to do" in done.stdout
    assert sum("FAILED" in line for line in lines) == 5
    code, value = as_json(cwd=clash.root)
    assert (code, value["status"], value["proof"]["verdict"]) == (1, "refused", "neither-order")
    assert clash.digest() == before


def test_skipping_validation_is_said_loudly(clash: AlembicProject) -> None:
    done = run("converge", "--skip-validation", cwd=clash.root)
    assert done.returncode == 0
    assert "WITHOUT ANY PROOF" in done.stdout.splitlines()[0]
    assert "WARNING: --skip-validation" in done.stderr


def test_could_not_look(project: AlembicProject) -> None:
    two_harmless_heads(project)
    (project.root / "migrations" / "env.py").write_text("import a_module_that_is_not_installed\n")
    before = project.digest()
    done = run("converge", cwd=project.root)
    assert done.returncode == 3
    assert done.stdout.startswith("Could not evaluate")
    assert "a_module_that_is_not_installed" in done.stdout
    assert "What to do:" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    code, value = as_json(cwd=project.root)
    assert (code, value["status"], value["proof"]["verdict"]) == (3, "unevaluated", "unevaluated")
    assert "a_module_that_is_not_installed" in value["problems"][0]["message"]
    assert project.digest() == before


def test_a_password_is_not_shown(project: AlembicProject) -> None:
    two_harmless_heads(project)
    url = "postgresql://me:hunter2@127.0.0.1:1/postgres"
    done = run("converge", "-v", "--database-url", url, "--env", "TOKEN=hunter2", cwd=project.root)
    assert done.returncode == 3
    assert "hunter2" not in done.stdout + done.stderr


def test_options_reach_the_run(project: AlembicProject) -> None:
    project.revision(
        "base0001", None, "import os\nassert os.environ['ALPHA'] == '1=2'\nassert os.environ['BETA'] == ''"
    )
    project.sql("aaaa0001", "base0001")
    project.sql("bbbb0001", "base0001")
    project.sql("cccc0001", "base0001")
    code, value = as_json(
        "--dry-run", "--env", "ALPHA=1=2", "--env", "BETA=", "--strategy", "single", cwd=project.root
    )
    assert (code, value["status"]) == (0, "would-merge")
    assert [merge["parents"] for merge in value["merges"]] == [["aaaa0001", "bbbb0001", "cccc0001"]]
    code, value = as_json("--dry-run", "--skip-validation", "--from-revision", "bbbb", cwd=project.root)
    assert (code, value["status"]) == (0, "converged")
    code, value = as_json("--dry-run", "--timeout", "0.001", cwd=project.root)
    assert code == 3
    missing = run("converge", "--python", "/no/such/python", cwd=project.root)
    assert missing.returncode == 3
    assert "/no/such/python" in missing.stdout


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_stopped_run_leaves_nothing_behind(
    project: AlembicProject, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    begun = tmp_path / "begun"
    project.sql("base0001", None)
    project.revision(
        "aaaa0001", "base0001", f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(120)"
    )
    project.sql("bbbb0001", "base0001")
    before = project.digest()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        command("converge"),
        cwd=project.root,
        env=environment(TMPDIR=str(scratch)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(begun, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code, (out, err)
    assert out == ""
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert "interrupted" in err
    assert project.digest() == before
    assert list(scratch.iterdir()) == []
    assert _folders_of(process.pid) == []
    end = time.monotonic() + 10
    while _processes_with(str(scratch)) and time.monotonic() < end:
        time.sleep(0.05)
    assert _processes_with(str(scratch)) == []


def _folders_of(pid: int) -> list[Path]:
    """Scratch folders that say that they belong to this process."""
    from converger import folders

    marks = [mark for base in folders.bases() for mark in Path(base).glob(f"converger-*/{folders.MARK_FILE}")]
    found = []
    for mark in marks:
        try:
            owner = json.loads(mark.read_text())["pid"]
        except (OSError, ValueError):  # another test's, on its way out
            continue
        if owner == pid:
            found.append(mark.parent)
    return found


def _processes_with(text: str) -> list[str]:
    """Command lines of the live processes whose environment has this text; the worker inherits TMPDIR."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in entry.joinpath("environ").read_bytes():
                found.append(entry.joinpath("cmdline").read_text())
        except OSError:
            continue
    return found


def worked() -> float:
    """Seconds that our child processes computed: unlike a clock's, no others make them more."""
    times = os.times()
    return times.children_user + times.children_system


def test_demo() -> None:
    with tempfile.TemporaryDirectory() as folder:
        before_it = worked()
        env = environment(TMPDIR=folder, VIRTUAL_ENV="/no/such/environment", GIT_DIR="/no/such/git")
        done = run("demo", cwd=Path(folder), env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert worked() - before_it < 30
        before, _, after = done.stdout.partition("$ alembic-converger converge")
        assert before.count("(head)") == 3
        assert "Merged 3 heads into" in after and "proven on PostgreSQL" in after
        last = after.partition("$ alembic-converger graph")[2]
        assert last.count("(head") == 1 and last.count("merge)") == 2
        assert os.listdir(folder) == []


def test_demo_keeps_the_folder_when_asked_to(tmp_path: Path) -> None:
    done = run("demo", "--keep", cwd=tmp_path, env=environment(TMPDIR=str(tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = tmp_path.iterdir()
    assert f"The project is in {folder}" in done.stdout
    assert run("check", cwd=folder).returncode == 0
    commits = subprocess.run(
        ["git", "log", "--oneline"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert commits.count("\n") == 1
