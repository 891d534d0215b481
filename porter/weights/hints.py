"""What a leftover tensor may correspond to: a help for whoever writes the rules, never used to place one."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from porter.records.inspection import TensorInfo
from porter.records.weights import Hint, Ledger, LedgerRow

MOST = 3
_LEAST = 0.5
_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])")


def with_hints(ledger: Ledger, source: Sequence[TensorInfo], target: Sequence[TensorInfo]) -> Ledger:
    """Return *ledger* with the nearest open tensors of the other side on every leftover row.

    Only tensors that are left over themselves are candidates. Rows that name both sides need none.
    """
    left = {name for row in ledger.leftovers for name in row.sources}
    right = {name for row in ledger.leftovers for name in row.targets}
    sources = [each for each in _unique(source) if each.name in left]
    targets = [each for each in _unique(target) if each.name in right]
    rows = []
    for row in ledger.rows:
        if row.fate == "leftover" and bool(row.sources) != bool(row.targets):
            own, others = (sources, targets) if row.sources else (targets, sources)
            named = {*row.sources, *row.targets}
            found = [hint for each in own if each.name in named for hint in nearest(each, others)]
            row = msgspec.structs.replace(row, hints=tuple(found))
        rows.append(row)
    return Ledger(rows=tuple(rows))


def nearest(tensor: TensorInfo, others: Iterable[TensorInfo]) -> list[Hint]:
    """Return the candidates of the other side, best first."""
    hints = [_hint(tensor, other) for other in others]
    close = [hint for hint in hints if _score(hint) >= _LEAST]
    return sorted(close, key=lambda hint: (-_score(hint), hint.name))[:MOST]


def said(row: LedgerRow) -> str:
    """Return the hints of a row as text; empty where it has none."""
    named = [f"{hint.name} ({_how(hint)})" for hint in row.hints]
    return f"nearest by name and shape, and only a hint: {', '.join(named)}" if named else ""


def _hint(tensor: TensorInfo, other: TensorInfo) -> Hint:
    if tensor.shape == other.shape:
        shape = "same"
    elif sorted(tensor.shape) == sorted(other.shape):
        shape = "reordered"
    else:
        shape = "reshaped" if math.prod(tensor.shape) == math.prod(other.shape) else "other"
    alike = _alike(_NUMBER.sub("#", tensor.name), _NUMBER.sub("#", other.name))
    if _NUMBER.findall(tensor.name) != _NUMBER.findall(other.name):
        alike *= 0.9
    return Hint(of=tensor.name, name=other.name, alike=round(alike, 2), shape=shape)  # type: ignore[arg-type]


@lru_cache(maxsize=4096)
def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _score(hint: Hint) -> float:
    return hint.alike + {"same": 0.3, "reordered": 0.2, "reshaped": 0.1, "other": 0.0}[hint.shape]


def _how(hint: Hint) -> str:
    shape = {"same": "same shape", "reordered": "axes in another order", "reshaped": "as many elements"}
    return f"{shape.get(hint.shape, 'another shape')}, name {hint.alike:.0%} alike"


def _unique(table: Sequence[TensorInfo]) -> list[TensorInfo]:
    return list({each.name: each for each in table}.values())
