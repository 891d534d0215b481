"""Reports of a job's progress."""

from __future__ import annotations


def status_callback(data_string: str) -> None:
    """Drop a status line: there is no service to tell, and the status file already has it."""
