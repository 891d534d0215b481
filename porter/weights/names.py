"""The templates of remap rules: which names they stand for, and back, exactly.

A template is a tensor name with placeholders in braces:

- ``{i}``, ``{j}``, ``{k}``: a number; ``{i+1}``, ``{i-1}``, ``{2*i}``, ``{2*i+1}`` and ``{4-i}`` are
  computed from it.
- ``{leaf}``: ``weight`` or ``bias``; ``{stat}``: what a batch norm has besides.
- ``{name}``: anything; a rule with it takes only what no other rule names.
- a counter of the rules: the place of several numbers among those that exist (see
  :class:`~porter.records.remap.Counter`).
- a word of the rules: one word on the source's side, another on the target's.

Every match is filled in again and must give the name that was matched, so that a binding leads from
a source name to the target name and back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from porter.records.remap import Counter, RemapRules

Side = Literal["source", "target"]

Binding = tuple[tuple[str, str], ...]
"""Values of a template's placeholders, sorted by placeholder; words stand as the source has them."""

INDICES = ("i", "j", "k")
ALTERNATIVES = {
    "leaf": ("weight", "bias"),
    "stat": ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
}
ANYTHING = "name"

_FIELD = re.compile(r"\{(?:(\d+)([*-]))?([a-z_]+)(?:([+-])(\d+))?\}")
_NUMBER = r"0|[1-9]\d*"


class Field(NamedTuple):
    """A placeholder; the number that stands in the name is ``factor * value + offset``."""

    name: str
    factor: int = 1
    offset: int = 0

    @property
    def is_computed(self) -> bool:
        """Whether the number in the name is not the value itself."""
        return (self.factor, self.offset) != (1, 0)


def fields(template: str) -> list[Field]:
    """Return the placeholders of *template* in their order.

    Raises:
        ValueError: a brace opens or closes something that is no placeholder.
    """
    found = [_field(each) for each in _FIELD.finditer(template)]
    if re.search(r"[{}]", _FIELD.sub("", template)):
        raise ValueError(f"{template} has a brace that belongs to no placeholder")
    return found


class Names:
    """The names of two tables under the templates of one set of rules, its prefix resolved."""

    def __init__(self, rules: RemapRules, source: Iterable[str], target: Iterable[str] = ()) -> None:
        self._tables: dict[Side, tuple[str, ...]] = {"source": tuple(source), "target": tuple(target)}
        self._words = rules.words
        self._places: dict[str, dict[tuple[str, ...], str]] = {}
        self._counted: dict[str, tuple[str, ...]] = {}
        for name, counter in rules.counters.items():
            self._counted[name] = tuple(field.name for field in fields(counter.over))
            self._places[name] = count(counter, self._tables[counter.of])
        self._numbers = {
            name: {place: numbers for numbers, place in places.items()}
            for name, places in self._places.items()
        }
        self._compiled: dict[tuple[str, Side], re.Pattern[str]] = {}

    def bindings(self, template: str, side: Side, names: Iterable[str] | None = None) -> list[Binding]:
        """Return the values of every name of that side (or of *names*) that *template* stands for."""
        listed = self._tables[side] if names is None else names
        found = (self.match(template, side, name) for name in listed)
        return [binding for binding in found if binding is not None]

    def match(self, template: str, side: Side, name: str) -> Binding | None:
        """Return the values under which *template* is *name*; None where there are none."""
        match = self._pattern(template, side).fullmatch(name)
        if match is None:
            return None
        values: dict[str, str] = {}
        for place, field in enumerate(fields(template)):
            part = self._read(field, match[f"_{place}"], side)
            if part is None or any(values.setdefault(key, part[key]) != part[key] for key in part):
                return None
        binding = tuple(sorted(values.items()))
        return binding if self.fill(template, binding, side) == name else None

    def fill(self, template: str, binding: Binding, side: Side) -> str | None:
        """Return the name that *template* is under *binding*; None where a number would be negative."""
        values, text, end = dict(binding), "", 0
        for match in _FIELD.finditer(template):
            part = self._write(_field(match), values, side)
            if part is None:
                return None
            text += template[end : match.start()] + part
            end = match.end()
        return text + template[end:]

    def _pattern(self, template: str, side: Side) -> re.Pattern[str]:
        key = (template, side)
        if key not in self._compiled:
            text, end = "", 0
            for place, match in enumerate(_FIELD.finditer(template)):
                text += re.escape(template[end : match.start()])
                text += f"(?P<_{place}>{self._alternatives(match[3], side)})"
                end = match.end()
            self._compiled[key] = re.compile(text + re.escape(template[end:]))
        return self._compiled[key]

    def _alternatives(self, name: str, side: Side) -> str:
        if name == ANYTHING:
            return ".+"
        if name in ALTERNATIVES:
            return "|".join(ALTERNATIVES[name])
        if name in self._words:
            words = self._words[name]
            return "|".join(re.escape(word) for word in (words if side == "source" else words.values()))
        return _NUMBER

    def _read(self, field: Field, text: str, side: Side) -> dict[str, str] | None:
        if field.name in ALTERNATIVES or field.name == ANYTHING:
            return {field.name: text}
        if field.name in self._words:
            words = self._words[field.name]
            known = text if side == "source" else next(key for key in words if words[key] == text)
            return {field.name: known}
        value, rest = divmod(int(text) - field.offset, field.factor)
        if rest or value < 0:
            return None
        if field.name in self._counted:
            numbers = self._numbers[field.name].get(str(value))
            return None if numbers is None else dict(zip(self._counted[field.name], numbers, strict=True))
        return {field.name: str(value)}

    def _write(self, field: Field, values: Mapping[str, str], side: Side) -> str | None:
        if field.name in self._words:
            word = values[field.name]
            return word if side == "source" else self._words[field.name][word]
        if field.name in ALTERNATIVES or field.name == ANYTHING:
            return values[field.name]
        value: str | None = values.get(field.name)
        if field.name in self._counted:
            numbers = tuple(values[each] for each in self._counted[field.name])
            value = self._places[field.name].get(numbers)
        if value is None:
            return None
        number = field.factor * int(value) + field.offset
        return str(number) if number >= 0 else None


def count(counter: Counter, names: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Return the place of each combination of numbers that *names* hold, counted in numeric order."""
    text, end = "", 0
    for field in _FIELD.finditer(counter.over):
        text += re.escape(counter.over[end : field.start()]) + f"({_NUMBER})"
        end = field.end()
    compiled = re.compile(text + re.escape(counter.over[end:]) + r"(?:\..+)?")
    found = {match.groups() for name in names if (match := compiled.fullmatch(name))}
    ordered = sorted(found, key=lambda numbers: tuple(int(each) for each in numbers))
    return {numbers: str(place) for place, numbers in enumerate(ordered)}


def _field(match: re.Match[str]) -> Field:
    leading, sign, name, then, trailing = match.groups()
    offset = int(trailing or 0) * (-1 if then == "-" else 1)
    if sign == "-":
        return Field(name, -1, int(leading) + offset)
    return Field(name, int(leading or 1), offset)
