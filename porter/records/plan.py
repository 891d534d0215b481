"""The file plan and what applying it did."""

from __future__ import annotations

from typing import Literal

from porter.records.base import Record
from porter.records.reference import Repo


class PlannedFile(Record, frozen=True, kw_only=True):
    """One file of a clone that the port creates, edits or removes.

    Attributes:
        path: relative to the clone, ``/`` separated.
        content: the whole new text; empty for ``remove``.
        produced_by: template or codemod that made it.
        executable: mode bit.
    """

    repo: Repo
    path: str
    action: Literal["create", "edit", "remove"]
    content: str = ""
    produced_by: str
    executable: bool = False


class FilePlan(Record, frozen=True, kw_only=True):
    """Every file to create, edit or remove, sorted by repo and path."""

    files: tuple[PlannedFile, ...]


class Applied(Record, frozen=True, kw_only=True):
    """What the write gate did with one file."""

    repo: Repo
    path: str
    outcome: Literal["created", "identical", "updated", "merged", "kept", "removed", "conflict"]
    detail: str = ""


class Pending(Record, frozen=True, kw_only=True):
    """A change that the write gate is about to make, on record while it does.

    Attributes:
        result: digest that the working file will have; empty for a removal.
        render: digest that the pristine copy will have; empty for none.
    """

    repo: Repo
    path: str
    outcome: Literal["created", "identical", "updated", "merged", "kept", "removed"]
    detail: str
    result: str
    render: str


class Conflict(Record, frozen=True, kw_only=True):
    """A file that a person has to settle, with the digests of what disagreed; empty for no file."""

    repo: Repo
    path: str
    base: str
    working: str
    render: str
