"""Templates from names: which placeholders stand for the numbers of many names that belong together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from porter.records.remap import Counter, RemapRules
from porter.weights.names import INDICES, Names, count

_NUMBER = re.compile(r"\d+")
_NEGATIVE = re.compile(r"\{\d*\*?[a-z]+-")
_FACTORS = (1, 2, -1)
_DEEPEST = 2

Row = tuple[str, ...]
"""The names of one instance: its sources, then its targets."""


class Pattern(NamedTuple):
    """Templates that stand for several instances, in the order of their names.

    Attributes:
        counters: what the placeholders besides the indices count, by placeholder.
    """

    templates: tuple[str, ...]
    counters: dict[str, Counter]
    rows: tuple[Row, ...]


def skeleton(name: str) -> str:
    """Return a name without its numbers; names of one skeleton may share a template."""
    return _NUMBER.sub("#", name)


class Patterns:
    """Finds templates; knows both tables, because a counter counts what is there.

    Args:
        source, target: the names of the tables.
        sources: how many of a row's names are sources.
        taken: counters that exist already, by placeholder; equal ones are used again, new ones are added.
        exact: whether templates may stand for nothing but the rows.
    """

    def __init__(
        self,
        source: Sequence[str],
        target: Sequence[str],
        sources: int,
        taken: dict[str, Counter],
        *,
        exact: bool = True,
    ) -> None:
        self._exact = exact
        self._names: dict[str, tuple[str, ...]] = {"source": tuple(source), "target": tuple(target)}
        self._sources = sources
        self._taken = taken

    def find(self, rows: Sequence[Row], depth: int = 0) -> list[Pattern]:
        """Return the fewest patterns that were found for *rows*, which share one skeleton."""
        one = self._one(rows)
        if one is not None:
            return [one]
        best: list[Pattern] | None = None
        if depth < _DEEPEST:
            for column in _varying(_numbers(rows)):
                parts: dict[int, list[Row]] = {}
                for row, numbers in zip(rows, _numbers(rows), strict=True):
                    parts.setdefault(numbers[column], []).append(row)
                found = [each for part in parts.values() for each in self.find(part, depth + 1)]
                if best is None or len(found) < len(best):
                    best = found
        return best or [Pattern(row, {}, (row,)) for row in rows]

    def _one(self, rows: Sequence[Row]) -> Pattern | None:
        """Return the pattern of all rows; None where there is none."""
        numbers = _numbers(rows)
        varying = _varying(numbers)
        if not varying:
            return Pattern(rows[0], {}, tuple(rows)) if len(rows) == 1 else None
        found = [self._based(rows, numbers, varying, name) for name in dict.fromkeys((0, self._sources))]
        good = [each for each in found if each is not None]
        # A number that is counted from below cannot be less than nothing, whatever table it is read from.
        good.sort(key=lambda each: any(_NEGATIVE.search(template) for template in each.templates))
        if not good:
            return None
        self._taken.update(good[0].counters)
        return good[0]

    def _based(
        self, rows: Sequence[Row], numbers: Sequence[tuple[int, ...]], varying: Sequence[int], name: int
    ) -> Pattern | None:
        """Return the pattern of all rows whose indices are the numbers of one of the names."""
        owner = _owners(rows[0])
        base = [column for column in varying if owner[column] == name]
        if not 0 < len(base) <= len(INDICES):
            return None
        fields = {column: (f"{{{INDICES[place]}}}", {place}) for place, column in enumerate(base)}
        counters: dict[str, Counter] = {}
        for column in varying:
            if column not in fields:
                found = _affine(numbers, base, column) or self._counted(
                    rows, numbers, base, column, name, counters
                )
                if found is None:
                    return None
                fields[column] = found
        if not _complete(owner, fields, len(base), len(rows[0])):
            return None
        templates = _fill(rows[0], {column: text for column, (text, _) in fields.items()})
        if self._exact and self._exceeds(templates, counters, rows):
            return None
        return Pattern(templates, counters, tuple(rows))

    def _exceeds(self, templates: Sequence[str], counters: dict[str, Counter], rows: Sequence[Row]) -> bool:
        """Return whether the templates stand for other tensors that are there, too."""
        rules = RemapRules(source="", target="", counters=counters)
        names = Names(rules, self._names["source"], self._names["target"])
        there = {*self._names["source"]}, {*self._names["target"]}
        for binding in names.bindings(templates[0], "source"):
            row = tuple(
                names.fill(template, binding, "source" if place < self._sources else "target")
                for place, template in enumerate(templates)
            )
            known = all(name in there[place >= self._sources] for place, name in enumerate(row))
            if known and row not in rows:
                return True
        return False

    def _counted(
        self,
        rows: Sequence[Row],
        numbers: Sequence[tuple[int, ...]],
        base: Sequence[int],
        column: int,
        name: int,
        counters: dict[str, Counter],
    ) -> tuple[str, set[int]] | None:
        """Return the field of a number that counts the base numbers through."""
        if len(base) < 2:
            return None
        side = "source" if name < self._sources else "target"
        for first in range(len(base) - 1):
            pair = base[first : first + 2]
            over = _beginning(rows[0], name, {c: f"{{{INDICES[base.index(c)]}}}" for c in pair}, pair[-1])
            if over is None:
                continue
            counter = Counter(over=over, of="source" if side == "source" else "target")
            places = count(counter, self._names[side])
            values = [places.get(tuple(str(each[c]) for c in pair)) for each in numbers]
            if any(value is None for value in values):
                continue
            offset = numbers[0][column] - int(values[0] or 0)
            if all(
                each[column] == int(value or 0) + offset for each, value in zip(numbers, values, strict=True)
            ):
                label = self._label(counter, counters)
                return _field(label, 1, offset), {first, first + 1}
        return None

    def _label(self, counter: Counter, counters: dict[str, Counter]) -> str:
        for label, known in {**self._taken, **counters}.items():
            if known == counter:
                counters[label] = counter
                return label
        label = f"n{'n' * len({**self._taken, **counters})}"
        counters[label] = counter
        return label


def _numbers(rows: Sequence[Row]) -> list[tuple[int, ...]]:
    return [tuple(int(each) for name in row for each in _NUMBER.findall(name)) for row in rows]


def _owners(row: Row) -> list[int]:
    """Return which name of the row each number stands in."""
    return [place for place, name in enumerate(row) for _ in _NUMBER.findall(name)]


def _varying(numbers: Sequence[tuple[int, ...]]) -> list[int]:
    return [column for column in range(len(numbers[0])) if len({each[column] for each in numbers}) > 1]


def _affine(
    numbers: Sequence[tuple[int, ...]], base: Sequence[int], column: int
) -> tuple[str, set[int]] | None:
    """Return the field of a number that is computed from one of the base numbers."""
    for factor in _FACTORS:
        for place, other in enumerate(base):
            offset = numbers[0][column] - factor * numbers[0][other]
            if factor == -1 and offset < 0:
                continue
            if all(each[column] == factor * each[other] + offset for each in numbers):
                return _field(INDICES[place], factor, offset), {place}
    return None


def _field(name: str, factor: int, offset: int) -> str:
    if factor == -1:
        return f"{{{offset}-{name}}}"
    leading = f"{factor}*" if factor != 1 else ""
    trailing = f"{offset:+d}" if offset else ""
    return f"{{{leading}{name}{trailing}}}"


def _complete(owner: Sequence[int], fields: dict[int, tuple[str, set[int]]], base: int, names: int) -> bool:
    """Return whether every name tells all the base numbers, so that it leads to the others."""
    for name in range(names):
        told: set[int] = set()
        for column, (_, places) in fields.items():
            if owner[column] == name:
                told |= places
        if len(told) != base:
            return False
    return True


def _fill(row: Row, fields: dict[int, str]) -> tuple[str, ...]:
    column = -1
    templates = []
    for name in row:
        text, end = "", 0
        for match in _NUMBER.finditer(name):
            column += 1
            text += name[end : match.start()] + fields.get(column, match[0])
            end = match.end()
        templates.append(text + name[end:])
    return tuple(templates)


def _beginning(row: Row, name: int, fields: dict[int, str], last: int) -> str | None:
    """Return the template of a name up to number *last*; None where a part of the name ends elsewhere."""
    column = sum(len(_NUMBER.findall(each)) for each in row[:name]) - 1
    text, end = "", 0
    for match in _NUMBER.finditer(row[name]):
        column += 1
        text += row[name][end : match.start()] + fields.get(column, match[0])
        end = match.end()
        if column == last:
            rest = row[name][end:]
            return text if not rest or rest.startswith(".") else None
    return None
