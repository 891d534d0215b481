"""Which models of timm may be the architecture of a classifier of transformers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from porter.records.finder import TimmCandidate
from porter.resources import tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = "timm_candidates.toml"


def candidates(
    model_type: str, config: Mapping[str, Any] | None = None, *, path: Path | None = None
) -> tuple[TimmCandidate, ...]:
    """Return the candidates for *model_type* in the order in which they are tried; often there are none.

    Those that what *config* states speaks against are left out; what it leaves to transformers' defaults is
    known in the sandbox only.
    """
    path = path or tree("references") / _FILE
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    found = msgspec.convert(table.get(model_type, ()), tuple[TimmCandidate, ...], strict=True)
    stated = config or {}
    return tuple(
        each for each in found if all(stated.get(name, value) == value for name, value in each.when.items())
    )
