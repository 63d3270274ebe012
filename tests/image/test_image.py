"""The image as a runner runs it: mounts of another user, variables with hyphens, no network where none is needed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.alembic_project import AlembicProject, two_harmless_heads
from tests.image.container import UID, WORKSPACE, Job, image, inspect

pytestmark = pytest.mark.docker

TOOL = "alembic-converger"
ENVIRONMENT = "/usr/local/lib/alembic-converger"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.fixture
def project(job: Job) -> AlembicProject:
    return AlembicProject(job.workspace)


def test_its_size_and_what_takes_it() -> None:
    size = inspect(image())["Size"] / 1e6
    assert size < 450
    listed = subprocess.run(
        ["docker", "run", "--rm", "--entrypoint", "sh", image(), "-c",
         "ls /usr/lib/postgresql/*/lib /usr/share/postgresql/*/extension /usr/bin; ls /usr/share/doc /usr/share/man; "
         "find / -xdev -name '*llvm*' -o -xdev -name '*.bc'; ls /var/lib/apt/lists /var/cache/apt 2>&1; true"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for contrib in ("citext.control", "pg_trgm.control", "postgres_fdw.control", "btree_gist.control"):
        assert contrib in listed, "contrib is there"
    assert "llvm" not in listed.lower() and "/bitcode/" not in listed


def test_it_starts_without_a_shell_and_as_root() -> None:
    config = inspect(image())["Config"]
    assert config["Entrypoint"][:2] == [f"{ENVIRONMENT}/bin/python", "-I"]
    assert config["Entrypoint"][-1].endswith("/entrypoint.py") and not config["Cmd"]
    assert config["User"] in ("", "0", "root") and config["WorkingDir"] in ("", "/") and not config["Volumes"]


def test_what_a_job_sets_arrives_and_changes_nothing_of_ours(job: Job) -> None:
    """dash would drop the hyphens; a job's PYTHONPATH would put its modules before ours."""
    (job.workspace / "json.py").write_text("raise SystemExit('not mine')\n")
    (job.workspace / "sitecustomize.py").write_text("raise SystemExit('not mine')\n")
    code = "import os, json, converger; print(os.environ['INPUT_FROM-REVISION'], converger.__file__)"
    done = job.run(
        "-I", "-B", "-c", code,
        entrypoint=f"{ENVIRONMENT}/bin/python",
        env={"INPUT_FROM-REVISION": "abc", "PYTHONPATH": WORKSPACE, "PYTHONSAFEPATH": ""},
    )  # fmt: skip
    assert done.stdout.startswith(f"abc {ENVIRONMENT}/"), done.stderr
    version = job.run("--version", env={"INPUT_FROM-REVISION": "abc", "PYTHONPATH": WORKSPACE})
    assert version.stdout.startswith("alembic-converger "), version.stderr


def test_one_head_in_two_seconds(job: Job, project: AlembicProject) -> None:
    two_harmless_heads(project).sql("merged01", ("aaaa0001", "bbbb0001"))
    project.commit()
    job.give_away()
    before = project_files(job)
    seconds: list[float] = []
    # What else the machine does must not decide.
    while not seconds or (min(seconds) >= 2 and len(seconds) < 5):
        began = time.monotonic()
        done = job.run("converge", "--format", "json", entrypoint=TOOL)
        seconds.append(time.monotonic() - began)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] == "converged"
    print("seconds from `docker run` to its end:", *(f"{one:.2f}" for one in seconds))
    assert min(seconds) < 2
    assert project_files(job) == before and job.files_at_home() == []


def test_two_heads_on_the_embedded_server_and_the_files_back_to_their_owner(
    job: Job, project: AlembicProject
) -> None:
    two_harmless_heads(project)
    project.sql("aaaa0002", "aaaa0001", "CREATE EXTENSION citext")
    project.commit()
    job.give_away()
    before = project_files(job)
    done = job.run("converge", "--format", "json", entrypoint=TOOL)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["status"] == "merged" and outcome["proof"]["verdict"] == "commute"
    assert outcome["proof"]["dialect"] == "postgresql"
    after = project_files(job)
    assert set(after) - set(before) == {outcome["merges"][0]["path"]}, "no bytecode, no leftovers"
    assert {path: after[path] for path in before} == before
    assert set(after.values()) == {(UID, UID)}
    assert job.files_at_home() == []


def test_git_reads_a_tree_of_somebody_else(job: Job, project: AlembicProject) -> None:
    head = project.commit()
    job.give_away()
    done = job.run("rev-parse", "HEAD", entrypoint="git")
    assert done.stdout.strip() == head, done.stderr
    assert job.files_at_home() == [], "the host's own configuration is not written to"
    clone = job.run(
        "-c", f"git clone -q file://{WORKSPACE} /tmp/c && git -C /tmp/c log --format=%H", entrypoint="sh"
    )
    assert clone.stdout.strip() == head, clone.stderr


def test_debians_packages_and_the_projects_own(job: Job) -> None:
    """What was unpacked without apt is in nobody's way, and a project's environment is one of its own."""
    (job.workspace / "requirements.txt").write_text("six==1.16.0\n")
    job.give_away()
    code = """
import os, pathlib, subprocess
from converger.github.install import install_project
from converger.github.settings import Inputs
here = pathlib.Path.cwd()
done = install_project(Inputs(system_packages=("tree",)), repository=here, folder=here, into=pathlib.Path("/tmp/project"),
                       own=os.environ, say=lambda line: print("|", line))
print(subprocess.run([done.python, "-c", "import six; print(six.__file__)"], capture_output=True, text=True).stdout)
print(subprocess.run(["tree", "--version"], capture_output=True, text=True).stdout)
print(subprocess.run(["apt-get", "check"], capture_output=True, text=True).returncode)
"""
    done = job.run("-I", "-c", code, entrypoint=f"{ENVIRONMENT}/bin/python", network="host")
    assert done.returncode == 0, done.stdout + done.stderr
    installed, tree, consistent = [
        line for line in done.stdout.splitlines() if line and not line.startswith("|")
    ]
    assert installed.startswith("/tmp/project/environment/") and tree.startswith("tree v"), done.stdout
    assert consistent == "0"
    assert sorted(os.listdir(job.workspace)) == ["requirements.txt"] and job.files_at_home() == []


def test_a_package_that_is_not_there_is_named(job: Job) -> None:
    code = """
import os, pathlib
from converger.errors import CouldNotEvaluate
from converger.github.install import install_project
from converger.github.settings import Inputs
here = pathlib.Path.cwd()
try:
    install_project(Inputs(install="none", system_packages=("no-such-package",)), repository=here, folder=here,
                    into=pathlib.Path("/tmp/project"), own=os.environ, say=lambda line: None)
except CouldNotEvaluate as error:
    print(error.code, error.message)
"""
    done = job.run("-I", "-c", code, entrypoint=f"{ENVIRONMENT}/bin/python", network="host")
    assert done.stdout.startswith("system-packages-failed ") and "no-such-package" in done.stdout, done.stderr


def test_a_cancelled_job_ends_at_once(job: Job, project: AlembicProject) -> None:
    """The first process of a container gets no signal that it does not ask for; ten seconds later it is killed."""
    two_harmless_heads(project)
    project.revision("cccc0001", "base0001", "import time; time.sleep(120)")
    job.give_away()
    name = f"converger-{os.getpid()}"
    command = job.command("converge")
    command[2:2] = ["--name", name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "orders" in line:
                break
        began = time.monotonic()
        subprocess.run(["docker", "stop", "--time", "30", name], capture_output=True, check=True)
        seconds = time.monotonic() - began
        process.stderr.read()
    assert process.returncode in (130, 143) and seconds < 10
    assert not [path for path in project_files(job) if "merge" in path]


def project_files(job: Job) -> dict[str, tuple[int, int]]:
    """The files of the workspace, and whom they belong to."""
    return {
        str(path.relative_to(job.workspace)): (path.stat().st_uid, path.stat().st_gid)
        for path in job.workspace.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
