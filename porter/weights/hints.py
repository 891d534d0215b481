"""What a leftover tensor may correspond to: a help for whoever writes the rules, never used to place one."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from porter.records.inspection import TensorInfo
from porter.records.weights import Hint, Ledger, LedgerRow

Shape = Literal["same", "reordered", "reshaped", "other"]

MOST = 3
_LEAST = 0.5
_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])")


def with_hints(ledger: Ledger, source: Sequence[TensorInfo], target: Sequence[TensorInfo]) -> Ledger:
    """Return *ledger* with the nearest open tensors of the other side on every leftover row.

    Only tensors that are left over themselves are candidates. Rows that name both sides need none.
    """
    left = {name for row in ledger.leftovers for name in row.sources}
    right = {name for row in ledger.leftovers for name in row.targets}
    sources = {each.name: each for each in source if each.name in left}
    targets = {each.name: each for each in target if each.name in right}
    near_targets, near_sources = Candidates(targets.values()), Candidates(sources.values())
    rows = []
    for row in ledger.rows:
        if row.fate == "leftover" and bool(row.sources) != bool(row.targets):
            own, others = (sources, near_targets) if row.sources else (targets, near_sources)
            names = dict.fromkeys((*row.sources, *row.targets))
            found = [hint for name in names for hint in others.nearest(own[name])]
            row = msgspec.structs.replace(row, hints=tuple(found))
        rows.append(row)
    return Ledger(rows=tuple(rows))


class Candidates:
    """Tensors by what is common to their layers: the name without its numbers, and the shape."""

    def __init__(self, tensors: Iterable[TensorInfo]) -> None:
        self._groups: dict[tuple[str, tuple[int, ...]], dict[tuple[str, ...], str]] = {}
        for each in tensors:
            group = self._groups.setdefault((_role(each.name), each.shape), {})
            group.setdefault(tuple(_NUMBER.findall(each.name)), each.name)

    def nearest(self, tensor: TensorInfo) -> list[Hint]:
        """Return the candidates, best first, one of each group: the one of the same layer, if there is."""
        numbers, role = tuple(_NUMBER.findall(tensor.name)), _role(tensor.name)
        hints = []
        for (other, shape), group in self._groups.items():
            alike = _alike(role, other) * (1.0 if numbers in group else 0.9)
            name = group.get(numbers) or next(iter(group.values()))
            hint = Hint(of=tensor.name, name=name, alike=round(alike, 2), shape=_shape(tensor.shape, shape))
            hints += [hint] if _score(hint) >= _LEAST else []
        return sorted(hints, key=lambda hint: (-_score(hint), hint.name))[:MOST]


def said(row: LedgerRow) -> str:
    """Return the hints of a row as text; empty where it has none."""
    named = [f"{hint.name} ({_how(hint)})" for hint in row.hints]
    return f"nearest by name and shape, and only a hint: {', '.join(named)}" if named else ""


def _shape(one: tuple[int, ...], other: tuple[int, ...]) -> Shape:
    if one == other:
        return "same"
    if sorted(one) == sorted(other):
        return "reordered"
    return "reshaped" if math.prod(one) == math.prod(other) else "other"


def _role(name: str) -> str:
    return _NUMBER.sub("#", name)


@lru_cache(maxsize=4096)
def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _score(hint: Hint) -> float:
    return hint.alike + {"same": 0.3, "reordered": 0.2, "reshaped": 0.1, "other": 0.0}[hint.shape]


def _how(hint: Hint) -> str:
    shape = {"same": "same shape", "reordered": "axes in another order", "reshaped": "as many elements"}
    return f"{shape.get(hint.shape, 'another shape')}, name {hint.alike:.0%} alike"
