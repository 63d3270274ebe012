"""What git fetches for a run, where the server does not give it at once."""

from __future__ import annotations

import pytest

from converger.github import repository
from tests.github.running import Job, Ran
from tests.github.server.http import FaultAt

# The requests of a shallow checkout's run: what there is, the commits, and the same for the files.
FIRST, COMMITS, FILES = 0, 2, 4
PASSING = [
    *(("429", FIRST), ("500", COMMITS), ("502", FIRST), ("502", FILES), ("timeout", FIRST)),
    *(("reset", FIRST), ("reset", FILES), ("cut-off", FIRST), ("cut-off", COMMITS), ("cut-off", FILES)),
]
FINAL = {
    "401": "GitHub does not accept the token",
    "403": "The requested URL returned error: 403",
    "404": "not found",
    "garbage": "",
}


def run(job: Job) -> Ran:
    return job.again("pull_request", job.pull(), mode="check", comment="false", skip_validation="true")


@pytest.mark.parametrize(("kind", "number"), PASSING)
def test_what_is_over_at_the_second_attempt(
    job: Job, kind: str, number: int, fetch_waits: list[float]
) -> None:
    job.world.github.fault_at = FaultAt(number, kind)
    ran = run(job)
    assert (ran.code, ran.status) == (0, "converged"), ran.log
    # Git itself repeats a request on a connection that the server had closed by then.
    assert len(fetch_waits) == sum("; trying again in 1 s" in line for line in ran.log)
    assert fetch_waits == [1.0] or (kind == "reset" and number != FIRST and fetch_waits == [])


@pytest.mark.parametrize("kind", ["502", "reset"])
def test_what_is_never_over(job: Job, kind: str, fetch_waits: list[float]) -> None:
    job.world.github.fault_at = FaultAt(FIRST, kind, for_good=True)
    ran = run(job)
    assert (ran.code, ran.status, fetch_waits) == (3, "unevaluated", [1.0, 4.0])
    (message,) = ran.commands("error")
    assert (
        "the branch main and" in message and "could not be fetched" in message and "contents: read" in message
    )


@pytest.mark.parametrize("kind", FINAL)
def test_what_another_attempt_would_not_change(job: Job, kind: str, fetch_waits: list[float]) -> None:
    job.world.github.fault_at = FaultAt(FIRST, kind)
    ran = run(job)
    assert (ran.code, ran.status, fetch_waits) == (3, "unevaluated", [])
    (message,) = ran.commands("error")
    assert FINAL[kind] in message and "Username" not in message


def test_a_server_that_says_nothing(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up where nothing comes, long before the time for a fetch is over."""
    monkeypatch.setitem(repository._SETTINGS, "http.lowSpeedTime", "1")
    monkeypatch.setattr("converger.github.repository._WAITS", ())
    job.world.github.silence = 30
    job.world.github.fault_at = FaultAt(COMMITS, "timeout")
    ran = run(job)
    assert (ran.code, ran.status) == (3, "unevaluated")
    assert "could not be fetched" in "".join(ran.commands("error"))
