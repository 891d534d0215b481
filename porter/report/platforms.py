"""Which platforms can be used: lines for people, JSON for machines; names of secrets, and never a value."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from porter.records.platforms import PlatformState
from porter.report.terminal import emit
from porter.report.training import credential

_WIDTH = 16


def show_platforms(states: Sequence[PlatformState], *, as_json: bool) -> None:
    """Show every platform with what was looked at, and what would mend it."""
    if as_json:
        emit(list(states))
        return
    for number, state in enumerate(states):
        if number:
            _say("")
        _say(f"{state.platform}: {'usable' if state.usable else 'not usable'}")
        for check in state.checks:
            mark = "ok" if check.ok else "missing" if check.required else "note"
            _say(f"  {mark:<9}{check.name:<{_WIDTH}}{check.found}")
            if check.next_step:
                _say(f"  {'':<9}{'':<{_WIDTH}}next: {check.next_step}")
        for one in state.credentials:
            _say(f"  {'variable':<9}{credential(one)}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
