"""All merges appear or none: errors, kills at every moment, and other people's files."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from converger.errors import ConfigurationError
from converger.mergefile import MergeFile
from converger.plan import PlannedMerge
from converger.write import Steps, write_merges

REPOSITORY = Path(__file__).parents[2]
NAMELESS_OR_NOT = pytest.mark.parametrize("without_tmpfile", [False, True], ids=["tmpfile", "named"])


def merge_file(path: Path, content: bytes = b"# merge\n") -> MergeFile:
    return MergeFile(PlannedMerge("c", ("a", "b"), datetime(2024, 1, 1), "merge a and b"), path, content)


def tree(root: Path) -> dict[str, bytes | None]:
    """Everything below root, hidden files and folders too, but not git's own."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if ".git" not in path.relative_to(root).parts
    }


class TestWrite:
    @NAMELESS_OR_NOT
    def test_files_and_folders_appear(self, tmp_path: Path, without_tmpfile: bool) -> None:
        files = [
            merge_file(tmp_path / "one.py", b"1\r\n\xff"),
            merge_file(tmp_path / "2024" / "01" / "two.py", b"2" * 300_000),
            merge_file(tmp_path / "2024" / "three.py", b""),
        ]
        write_merges(files, steps=Steps(without_tmpfile=without_tmpfile))
        assert tree(tmp_path) == {
            "one.py": b"1\r\n\xff",
            "2024": None,
            "2024/01": None,
            "2024/01/two.py": b"2" * 300_000,
            "2024/three.py": b"",
        }
        assert {os.stat(file.path).st_nlink for file in files} == {1}

    def test_nothing_to_write(self) -> None:
        write_merges([])

    @NAMELESS_OR_NOT
    @pytest.mark.parametrize("in_the_way", ["file", "folder", "link"])
    def test_nothing_is_overwritten_and_the_others_are_undone(
        self, tmp_path: Path, without_tmpfile: bool, in_the_way: str
    ) -> None:
        taken = tmp_path / "b.py"
        if in_the_way == "file":
            taken.write_text("mine")
        elif in_the_way == "folder":
            taken.mkdir()
        else:
            taken.symlink_to("nowhere")
        before = tree(tmp_path)
        files = [merge_file(tmp_path / "new" / "a.py"), merge_file(taken), merge_file(tmp_path / "c.py")]
        with pytest.raises(ConfigurationError) as caught:
            write_merges(files, steps=Steps(without_tmpfile=without_tmpfile))
        assert caught.value.code == "file-exists"
        assert str(taken) in caught.value.message
        assert tree(tmp_path) == before
        assert in_the_way != "link" or os.readlink(taken) == "nowhere"

    @NAMELESS_OR_NOT
    def test_two_files_of_one_name(self, tmp_path: Path, without_tmpfile: bool) -> None:
        files = [merge_file(tmp_path / "a.py", b"1"), merge_file(tmp_path / "a.py", b"2")]
        with pytest.raises(ConfigurationError):
            write_merges(files, steps=Steps(without_tmpfile=without_tmpfile))
        assert tree(tmp_path) == {}

    def test_a_file_where_a_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "2024").write_text("mine")
        with pytest.raises(ConfigurationError):
            write_merges([merge_file(tmp_path / "a.py"), merge_file(tmp_path / "2024" / "b.py")])
        assert tree(tmp_path) == {"2024": b"mine"}

    def test_what_the_system_refuses(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            write_merges([merge_file(tmp_path / "a.py"), merge_file(tmp_path / ("x" * 300) / "b.py")])
        assert caught.value.code == "cannot-write"
        assert os.strerror(errno.ENAMETOOLONG) in caught.value.message
        assert tree(tmp_path) == {}

    def test_a_read_only_folder(self, tmp_path: Path) -> None:
        # /proc cannot be written, not even by root.
        with pytest.raises(ConfigurationError) as caught:
            write_merges([merge_file(tmp_path / "a.py"), merge_file(Path("/proc/b.py"))])
        assert caught.value.code == "cannot-write"
        assert tree(tmp_path) == {}

    @NAMELESS_OR_NOT
    def test_the_umask_counts(self, tmp_path: Path, without_tmpfile: bool) -> None:
        old = os.umask(0o027)
        try:
            write_merges([merge_file(tmp_path / "a.py")], steps=Steps(without_tmpfile=without_tmpfile))
        finally:
            os.umask(old)
        assert stat.S_IMODE((tmp_path / "a.py").stat().st_mode) == 0o640

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    @NAMELESS_OR_NOT
    def test_root_writes_for_the_owner_of_the_folder(self, tmp_path: Path, without_tmpfile: bool) -> None:
        os.chown(tmp_path, 12345, 54321)
        files = [merge_file(tmp_path / "a.py"), merge_file(tmp_path / "x" / "y" / "b.py")]
        write_merges(files, steps=Steps(without_tmpfile=without_tmpfile))
        for name in ("a.py", "x", "x/y", "x/y/b.py"):
            found = (tmp_path / name).stat()
            assert (found.st_uid, found.st_gid) == (12345, 54321), name


KILLED = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from converger.mergefile import MergeFile
from converger.write import Steps, write_merges

root, step, without_tmpfile, pause = Path(sys.argv[2]), sys.argv[3], sys.argv[4] == "True", float(sys.argv[5])
def reached(name):
    if name == step:
        os.killpg(0, signal.SIGKILL)
files = [MergeFile(None, root / "versions" / f"m{n}.py", f"# merge {n}\\n".encode() * 3000) for n in range(6)]
print("ready", flush=True)
write_merges(files, steps=Steps(reached, pause, without_tmpfile))
"""


def merge_files(root: Path) -> list[MergeFile]:
    return [merge_file(root / "versions" / f"m{n}.py", f"# merge {n}\n".encode() * 3000) for n in range(6)]


class TestKilled:
    """A real process is killed with its whole process group; then the tree is unchanged or complete."""

    def start(
        self, root: Path, *, step: str = "", without_tmpfile: bool, pause: float = 0.0
    ) -> subprocess.Popen[bytes]:
        arguments = [str(REPOSITORY), str(root), step, str(without_tmpfile), str(pause)]
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, *arguments], start_new_session=True, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    def repository(self, root: Path) -> Path:
        (root / "versions").mkdir()
        (root / "versions" / "old.py").write_text("# old\n")
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", *command], cwd=root, check=True)
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, "commit", "-qm", "x"], cwd=root, check=True)
        return root

    def outcome(self, root: Path, *, patience: float = 20.0) -> str:
        """Wait for the child to be done, if there is one at work; then say what is there."""
        done = {f"versions/{file.path.name}": file.content for file in merge_files(root)}
        unchanged = {"versions": None, "versions/old.py": b"# old\n"}
        deadline = time.monotonic() + patience
        # Any: this one may have its job and not have opened a file yet.
        while _children_at_work():
            assert time.monotonic() < deadline, "the child never ended"
            time.sleep(0.01)
        found = tree(root)
        if found == unchanged:
            status = subprocess.run(
                ["git", "status", "--porcelain", "--ignored"], cwd=root, capture_output=True, check=True
            )
            assert status.stdout == b""
            return "unchanged"
        assert found == {**unchanged, **done}, sorted(found)
        return "complete"

    @NAMELESS_OR_NOT
    @pytest.mark.parametrize(
        ("step", "expected"),
        [
            ("begun", "unchanged"),
            ("started", "unchanged"),
            ("half sent", "unchanged"),
            ("sent", "complete"),
            ("written", "complete"),
        ],
    )
    def test_between_steps(self, tmp_path: Path, step: str, expected: str, without_tmpfile: bool) -> None:
        root = self.repository(tmp_path)
        process = self.start(root, step=step, without_tmpfile=without_tmpfile)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        assert self.outcome(root) == expected

    @NAMELESS_OR_NOT
    def test_between_two_files(self, tmp_path: Path, without_tmpfile: bool) -> None:
        root = self.repository(tmp_path)
        # Six files to prepare and six names to give, 50 ms after each: the kill is in the middle of the names.
        process = self.start(root, without_tmpfile=without_tmpfile, pause=0.05)
        while not (root / "versions" / "m1.py").exists():
            assert process.poll() is None
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (root / "versions" / "m5.py").exists(), "killed too late to show anything"
        assert self.outcome(root) == "complete"

    @NAMELESS_OR_NOT
    def test_at_any_moment(self, tmp_path: Path, without_tmpfile: bool) -> None:
        def killed_after(seconds: float, name: str) -> float:
            root = tmp_path / name
            root.mkdir()
            self.repository(root)
            process = self.start(root, without_tmpfile=without_tmpfile)
            begun = time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            assert self.outcome(root) in ("unchanged", "complete")
            return time.monotonic() - begun

        whole = killed_after(60, "whole")
        moments = random.Random(7)
        for round in range(20):
            killed_after(moments.random() * 1.2 * whole, str(round))

    def test_killing_the_child_itself_leaves_no_incomplete_file(self, tmp_path: Path) -> None:
        # Only a kill of everything, as by a container's end, gets here: then names may be missing, but
        # nothing has half of its bytes and no temporary file stays.
        root = self.repository(tmp_path)
        process = self.start(root, without_tmpfile=False, pause=0.05)
        while not (pids := _children_at_work(root)):
            time.sleep(0.002)
        time.sleep(0.2)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == 1
        expected = {f"versions/{file.path.name}": file.content for file in merge_files(root)}
        left = {
            name: content
            for name, content in tree(root).items()
            if name not in ("versions", "versions/old.py")
        }
        assert left.items() <= expected.items()

    def test_the_next_run_removes_what_a_killed_child_left(self, tmp_path: Path) -> None:
        root = self.repository(tmp_path)
        process = self.start(root, without_tmpfile=True, pause=0.1)
        while not list(root.glob("versions/.#converger-*")):
            time.sleep(0.002)
        in_use = {path.name for path in root.glob("versions/.#converger-*")}
        write_merges([merge_file(root / "versions" / "other.py")], steps=Steps(without_tmpfile=True))
        assert in_use <= {path.name for path in root.glob("versions/.#converger-*")}, (
            "took a running one's files"
        )
        for pid in _children_at_work(root):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        assert list(root.glob("versions/.#converger-*"))
        write_merges(merge_files(root)[:1])
        assert not list(root.glob("versions/.#converger-*"))


def _children_at_work(root: Path | None = None) -> list[int]:
    """The write children that are running; with `root`, only those that have a file in it open."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if b"write_child.py" not in Path(f"/proc/{entry}/cmdline").read_bytes():
                continue
            if root is None or any(path.startswith(f"{root}/") for path in _opened(entry)):
                found.append(int(entry))
        except OSError:
            continue
    return found


def _opened(process: str) -> Iterator[str]:
    """What a process has open; a file that it closes while we look is passed over, not the process."""
    for descriptor in os.listdir(f"/proc/{process}/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{process}/fd/{descriptor}")


def test_the_job_is_one_line(tmp_path: Path) -> None:
    """Without its newline a job is not begun: the parent may have died in the middle of it."""
    job = {"pause": 0, "without_tmpfile": False, "files": [{"path": str(tmp_path / "a.py"), "content": ""}]}
    child = REPOSITORY / "converger" / "write_child.py"
    for ending, expected in ((b"", []), (b"\n", ["a.py"])):
        subprocess.run(
            [sys.executable, "-I", "-S", child], input=json.dumps(job).encode() + ending, check=True
        )
        assert os.listdir(tmp_path) == expected
