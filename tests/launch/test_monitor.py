"""Waiting for jobs of a platform that says what a test has it say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from porter.errors import PorterError
from porter.launch import catalog
from porter.launch.monitor import Monitor
from porter.records.jobs import Job, JobState
from porter.records.progress import Progress
from tests.report.runs import run

FOUND = catalog.entry("dino")
JOB = Job(name="train", action="train", id="1", results="/r", state="pending")


def running(times: int) -> list[JobState]:
    return ["running"] * times


class Platform:
    """Answers with states, one after the other; an error is raised."""

    def __init__(self, *states: JobState | PorterError) -> None:
        self._states: Iterator[JobState | PorterError] = iter(states)
        self.log = "line"
        self.status: bytes | None = None

    def state(self, _job: str) -> JobState:
        found = next(self._states)
        if isinstance(found, PorterError):
            raise found
        return found

    def logs(self, _job: str, _tail: int | None = None) -> str:
        return self.log

    def read(self, _results: str, _path: str) -> bytes | None:
        return self.status


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes on while somebody sleeps, a minute at a time."""
    now = [1000.0]
    monkeypatch.setattr("porter.launch.monitor.time.monotonic", lambda: now[0])
    monkeypatch.setattr("porter.launch.monitor.time.sleep", lambda _: now.__setitem__(0, now[0] + 60))
    return now


def wait(platform: Platform, minutes: float = 5) -> tuple[Any, list[JobState], list[str]]:
    told: list[JobState] = []
    warned: list[str] = []

    def tell(_run: object, _job: Job, state: JobState, _seen: Progress) -> None:
        told.append(state)

    state = Monitor(tell, warned.append, minutes=minutes).wait(platform, run(), JOB, FOUND)  # type: ignore[arg-type]
    return state, told, warned


@pytest.mark.usefixtures("clock")
def test_a_job_is_told_of_when_it_begins_every_few_minutes_and_at_its_end() -> None:
    assert wait(Platform("pending", *running(12), "complete"))[:2] == (
        "complete",
        ["running", "running", "running", "complete"],
    )


@pytest.mark.usefixtures("clock")
def test_a_platform_that_does_not_answer_for_a_while_is_borne() -> None:
    away = [PorterError("Docker does not say how the job is.")] * 10
    assert wait(Platform("running", *away, "running", *away, "complete"))[0] == "complete"


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("answer", ["unknown", PorterError("It is away.", why="no route")])
def test_a_platform_that_has_lost_the_job_ends_the_waiting(answer: Any) -> None:
    with pytest.raises(PorterError, match="does not say any more how train of dino-1 is") as caught:
        wait(Platform("running", *[answer] * 30))
    assert "porter resume dino-1" in caught.value.next_step


@pytest.mark.usefixtures("clock")
def test_a_job_that_says_nothing_is_warned_of() -> None:
    _, _, warned = wait(Platform(*running(40), "complete"))
    assert warned
    assert "train has said nothing for 30 minutes" in warned[0]


def test_a_job_that_still_prints_is_not(clock: list[float]) -> None:
    class Talking(Platform):
        def logs(self, _job: str, _tail: int | None = None) -> str:
            return str(clock[0])

    assert wait(Talking(*running(40), "complete"))[2] == []
