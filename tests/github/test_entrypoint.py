"""The process that the image starts: what it keeps to itself, how it stops, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from converger.converge import converge as use_case
from converger.github.install import Installed
from converger.github.run import Collaborators, run
from converger.outcome import Options, Outcome, Progress
from tests.alembic_project import AlembicProject
from tests.github.running import VERSIONS, Job, parse_outputs
from tests.github.server.world import TOKEN

ROOT = Path(__file__).parent.parent.parent
ENTRYPOINT = [sys.executable, "-I", "-B", str(ROOT / "entrypoint.py")]
# As in a container, whose root may not trace other processes.
LIKE_A_CONTAINER = ["setpriv", "--bounding-set=-sys_ptrace,-perfmon,-sys_admin"] if os.geteuid() == 0 else []


def revision(job: Job, body: str) -> None:
    """A second head on feature, whose upgrade is `body`."""
    path = AlembicProject(job.folder / "made").revision("aaaa0001", "base0001", body)
    job.store.commit("feature", {f"{VERSIONS}/{path.name}": path.read_bytes()})


LOOK = """
import os
found = []
process = os.getppid()
while process > 0:
    name = open(f"/proc/{process}/cmdline", "rb").read()
    if TOKEN in name:
        found.append("cmdline")
    for file in ("environ", "mem"):
        try:
            with open(f"/proc/{process}/{file}", "rb") as opened:
                if file == "mem" or TOKEN in opened.read():
                    found.append(file)
        except OSError as error:
            found.append(type(error).__name__)
    if b"entrypoint.py" in name:
        break
    process = int(open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[1])
with open(SEEN, "a") as file:
    file.write(" ".join(found) + "\\n")
"""


def test_a_migration_looks_for_the_token(job: Job) -> None:
    """In whatever the kernel shows of the processes above it, as another process of the same user."""
    seen = job.folder / "seen"
    revision(job, f"TOKEN, SEEN = {TOKEN.encode()!r}, {str(seen)!r}\n{LOOK}")
    environment, summary, _ = job.environment("pull_request", job.pull(), mode="check", comment="false")
    done = subprocess.run(
        [*LIKE_A_CONTAINER, *ENTRYPOINT], env=environment, capture_output=True, text=True, cwd=job.folder
    )
    assert done.returncode == 1 and "fit together" in summary.read_text(), done.stdout + done.stderr
    looks = seen.read_text().split("\n")[:-1]
    # Of the worker everything is to be seen, and nothing is there; of us nothing is.
    assert looks and all(look.split()[-2:] == ["PermissionError"] * 2 for look in looks), looks
    assert not any(word in look.split() for look in looks for word in ("environ", "cmdline")), looks


def test_not_even_root_finds_it_in_the_environment(job: Job) -> None:
    """From before the first call: whoever may look at every process sees variables without values."""
    job.world.github.silence = 3.0
    job.world.github.fault("GIT refs", "timeout", 9)
    job.extra |= {"ACTIONS_RUNTIME_TOKEN": "runtime-s3cr3t", "MY_SECRET": "job-s3cr3t"}
    environment, _, _ = job.environment("pull_request", job.pull(), mode="check")
    process = subprocess.Popen(
        ENTRYPOINT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=job.folder
    )
    try:
        wait_for(lambda: bool(job.world.github.requests))
        with pytest.raises(PermissionError) if os.geteuid() else _nothing():
            data = Path(f"/proc/{process.pid}/environ").read_bytes()
            assert b"s3cr3t" not in data and TOKEN.encode() not in data and b"INPUT_TOKEN" in data
        for child in children_of(process.pid):
            data = Path(f"/proc/{child}/environ").read_bytes() if not os.geteuid() else b""
            assert b"INPUT_" not in data and b"runtime-s3cr3t" not in data
    finally:
        process.kill()
        process.communicate()


def _nothing() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def wait_for(happened: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in listed.split()]


def below(pid: int) -> set[int]:
    found = set(children_of(pid))
    return found.union(*(below(one) for one in found)) if found else found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_job(job: Job, tmp_path: Path, number: signal.Signals) -> None:
    """While a migration hangs: SIGINT and then SIGTERM is what a runner sends."""
    started = tmp_path / "started"
    revision(job, f"import time\nopen({str(started)!r}, 'w').close()\ntime.sleep(300)")
    folder = tmp_path / "temporary"
    folder.mkdir()
    job.extra["TMPDIR"] = str(folder)
    environment, _, output = job.environment("pull_request", job.pull())
    process = subprocess.Popen(
        ENTRYPOINT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=job.folder
    )
    try:
        wait_for(started.exists)
        ours = below(process.pid)
        run_folders = {
            path for path in Path("/tmp").glob("converger-run-*") if f"{process.pid}" in mark(path)
        }
        assert run_folders
        process.send_signal(number)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 128 + number, said + complained
    assert complained == "" and "Traceback" not in said
    begin = next(line for line in said.splitlines() if line.startswith("::stop-commands::"))
    assert f"::{begin.rpartition(':')[2]}::" in said.splitlines()
    assert "stopped by SIG" in said.splitlines()[-1]
    assert not [pid for pid in ours if Path(f"/proc/{pid}").exists()]
    assert not [path for path in run_folders if path.exists()] and list(folder.iterdir()) == []
    assert parse_outputs(output.read_text())["status"] == "unevaluated"
    assert job.store.comments == [] and job.world.github.writes == []


def mark(folder: Path) -> str:
    try:
        return str(json.loads((folder / "converger.json").read_text())["pid"])
    except (OSError, ValueError):
        return ""


def test_what_a_migration_writes_for_the_runner_is_taken_back(job: Job, tmp_path: Path) -> None:
    """Its root can write where the runner takes outputs and the variables of later steps; a daemon of it also later."""
    files = {name: tmp_path / f"set_{name}" for name in ("ENV", "PATH", "STATE")}
    for name, path in files.items():
        path.touch()
        job.extra[f"GITHUB_{name}"] = str(path)
    files["ENV"].write_text("FROM=the runner\n")
    elsewhere, pids = tmp_path / "elsewhere", tmp_path / "pids"
    elsewhere.write_text("mine\n")
    summary, output = job.folder / "run1" / "summary", job.folder / "run1" / "output"
    body = f"""
import os, pathlib, time
pathlib.Path({str(files["ENV"])!r}).write_text("LD_PRELOAD=/tmp/x.so")
state = pathlib.Path({str(files["STATE"])!r})
if not state.is_symlink():
    state.unlink()
    state.symlink_to({str(elsewhere)!r})
open({str(output)!r}, "a").write("status=converged")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(pids)!r}, "a").write(f"{{os.getpid()}} ")
        while True:
            open({str(files["PATH"])!r}, "w").write("/tmp/evil")
            open({str(summary)!r}, "a").write("x")
            time.sleep(0.001)
    os._exit(0)
time.sleep(0.2)
"""
    revision(job, body)
    environment, _, _ = job.environment("pull_request", job.pull(), mode="check", comment="false")
    done = subprocess.run(ENTRYPOINT, env=environment, capture_output=True, text=True, cwd=job.folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert [path.read_text() for path in files.values()] == ["FROM=the runner\n", "", ""]
    assert elsewhere.read_text() == "mine\n" and not files["STATE"].is_symlink()
    assert parse_outputs(output.read_text())["status"] == "would-merge" and summary.read_text().startswith(
        "#"
    )
    warning = next(line for line in done.stdout.splitlines() if line.startswith("::warning"))
    assert "somebody wrote to GITHUB_ENV" in warning and "GITHUB_OUTPUT" in warning
    assert pids.read_text() and not [pid for pid in pids.read_text().split() if Path(f"/proc/{pid}").exists()]


def test_the_first_process_of_a_container_waits_for_no_removal(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converger.github.evaluate._is_first_process", lambda: True)
    job.store.commit("feature", {"app.py": b"two\n"})
    assert job.run("pull_request", job.pull()).status == "converged"
    wait_for(
        lambda: not [path for path in Path("/tmp").glob("converger-run-*") if mark(path) == str(os.getpid())]
    )


def test_bad_inputs_have_outputs(job: Job) -> None:
    ran = job.run("pull_request", job.pull(), mode="comit")
    assert (ran.code, ran.status) == (2, "unevaluated") and "cannot be used" in ran.summary
    ran = job.run("pull_request_target", job.pull())
    assert (ran.code, ran.status) == (2, "unevaluated") and "Refused" in ran.summary
    ran = job.run("pull_request", {"pull_request": "<img src=x> @everyone"})
    assert (ran.code, ran.status) == (3, "unevaluated") and "<img" not in ran.summary


def test_daemons_are_ended(tmp_path: Path) -> None:
    """What an installer left behind in a session of its own."""
    daemon = "sleep 300 & echo $! > pid"
    program = f"""
import subprocess, time
from pathlib import Path
from converger.github.seclusion import adopt_orphans, end_children
adopt_orphans()
subprocess.run(["setsid", "sh", "-c", {daemon!r}], check=True)
pid = Path("pid").read_text().strip()
assert Path("/proc", pid).exists()
end_children()
print(Path("/proc", pid).exists())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "False", done.stderr


def test_nothing_of_the_project_runs_beside_a_fetch(job: Job) -> None:
    """git has the token in its environment, where root reads it: also when the branch moved, and all is done again."""
    revision(job, "op.execute('CREATE TABLE x (id INTEGER)')")
    environment, _, _ = job.environment("pull_request", job.pull(), skip_validation="true")
    events: list[tuple[str, int]] = []

    def fetches() -> int:
        return sum(name.startswith("GIT") for name in job.world.github.requests)

    def converge(options: Options, progress: Progress) -> Outcome:
        if not events:
            job.store.commit("feature", {"app.py": b"moved\n"})
        events.append(("converge", fetches()))
        return use_case(options, progress)

    with_whom = Collaborators(
        write=lambda line: None,
        connect=lambda *_: job.world.client,
        converge=converge,
        end_children=lambda: events.append(("end", fetches())),
    )
    assert run(environment, with_whom) == 0
    assert [name for name, _ in events] == ["converge", "end", "converge", "end", "end"]
    counts = [count for _, count in events]
    assert counts[0] == counts[1] < counts[2] == counts[3], "ended before the next fetch"


def test_bytecode_of_what_was_installed(job: Job, tmp_path: Path) -> None:
    """It is made once, for all upgrades, and none of it is in the project's tree."""
    seen = tmp_path / "seen"
    body = f"""
import os, sys
tree = [name for _, folders, _ in os.walk(os.getcwd()) for name in folders]
with open({str(seen)!r}, "a") as file:
    file.write(f"{{sys.pycache_prefix}} {{sys.dont_write_bytecode}} {{'__pycache__' in tree}}\\n")
"""
    revision(job, body)
    environment, _, _ = job.environment("pull_request", job.pull(), mode="check", comment="false")
    lines: list[str] = []
    installed = Installed(sys.executable, "a test", 0.0)
    with_whom = Collaborators(
        write=lines.append, connect=lambda *_: job.world.client, install=lambda *_, **__: installed
    )
    assert run(environment, with_whom) == 1, lines
    (said,) = set(seen.read_text().splitlines())
    prefix, *others = said.split()
    assert "converger-run-" in prefix and others == ["False", "False"] and not Path(prefix).exists()
