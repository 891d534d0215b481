"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

from porter.launch.drivers.base import Driver
from porter.records.jobs import ENDED, JobState

_SECONDS = 90.0


def until(true: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.1)


def ended(driver: Driver, job: str) -> JobState:
    """Wait for the end of a job, and return its state."""
    until(lambda: driver.state(job) in ENDED)
    return driver.state(job)
