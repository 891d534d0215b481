"""Likely cause and fix of a failing gate, looked up in ``references/failures.toml``."""

from __future__ import annotations

import functools
import re
import sys
from typing import Any

from porter import resources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@functools.cache
def _table() -> tuple[dict[str, Any], ...]:
    path = resources.tree("references") / "failures.toml"
    with path.open("rb") as file:
        return tuple(tomllib.load(file)["failure"])


def likely_cause(log: str) -> tuple[str, str]:
    """Return (cause, fix) for the text of a log; two empty strings where nothing is known."""
    for entry in _table():
        match = re.search(entry["pattern"], log)
        if match:
            name = match.group(1) if match.re.groups and match.group(1) else ""
            return entry["cause"].replace("{1}", name), entry["fix"].replace("{1}", name)
    return "", ""
