"""Which models of timm may be the architecture of a classifier of transformers."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from porter.records.finder import TimmCandidate
from porter.resources import tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = "timm_candidates.toml"


def candidates(model_type: str, path: Path | None = None) -> tuple[TimmCandidate, ...]:
    """Return the candidates for *model_type* in the order in which they are tried; often there are none."""
    path = path or tree("references") / _FILE
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return msgspec.convert(table.get(model_type, ()), tuple[TimmCandidate, ...], strict=True)
