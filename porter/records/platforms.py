"""Whether a platform can be used now, and what was looked at for that."""

from __future__ import annotations

from porter.records.base import Record
from porter.records.training import Credential, Platform


class PlatformCheck(Record, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        name: a word for it.
        ok: whether it is as jobs need it.
        required: whether no job starts without it.
        found: what there is.
        next_step: the command that mends it; empty where nothing is to be mended.
    """

    name: str
    ok: bool
    required: bool = True
    found: str
    next_step: str = ""


class PlatformState(Record, frozen=True, kw_only=True):
    """A platform.

    Attributes:
        usable: whether every check that is required is good.
        credentials: names that jobs may be given; which of them one needs, its plan says.
    """

    platform: Platform
    usable: bool
    checks: tuple[PlatformCheck, ...]
    credentials: tuple[Credential, ...]
