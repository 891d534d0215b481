"""What phases 5 and 6 make of the runs of a repository's own tools."""

from __future__ import annotations

from porter.records.base import Record


class UnitTests(Record, frozen=True, kw_only=True):
    """How a run of unit tests ended.

    Attributes:
        passed: number of tests.
        failed: first line of the message by test, errors of fixtures and of collection included.
        skipped: number of tests by reason.
    """

    passed: int
    failed: dict[str, str]
    skipped: dict[str, int]
