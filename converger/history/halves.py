"""Two halves of a list of work at the same time, on Linux with two processors; else one after the other."""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


def in_halves(work: Callable[[Sequence[Item]], Any], items: Sequence[Item], *, at_least: int) -> list[Any]:
    """`[work(first half), work(second half)]`, or `[work(items)]` where that would not pay or not be safe.

    `work` may only read; its result holds nothing but what `marshal` takes. With fewer than `at_least`
    items, on one processor, or in a process that has threads, nothing is forked. Should the child fail
    in any way, its half is done here.
    """
    if len(items) < at_least or not _can_fork():
        return [work(items)]
    middle = len(items) // 2
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _work_and_exit(work, items[middle:], writing)
    os.close(writing)
    try:
        first = work(items[:middle])
        with open(reading, "rb", closefd=False) as pipe:
            answer = pipe.read()
    finally:
        os.close(reading)  # a child that still writes ends by this
        _, status = os.waitpid(child, 0)
    second = marshal.loads(answer) if status == 0 else work(items[middle:])  # noqa: S302 (our own child's)
    return [first, second]


def _work_and_exit(work: Callable[[Sequence[Item]], Any], items: Sequence[Item], writing: int) -> None:
    """The child: never returns, never runs what the parent registered for its own end."""
    status = 1
    try:
        answer = memoryview(marshal.dumps(work(items)))
        while answer:
            answer = answer[os.write(writing, answer) :]
        status = 0
    finally:
        os._exit(status)


def _can_fork() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return len(os.sched_getaffinity(0)) > 1 and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False
