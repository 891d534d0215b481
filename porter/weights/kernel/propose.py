"""What may fill the tensors that one use of the target reads, the likeliest first.

What the use was given is compared with what the source's uses were given, and what it makes with what
they made; a proposal names the output that must come out where that is known.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from porter.weights.kernel.fills import Fill, Taken, cut, fills, joined
from porter.weights.kernel.flow import Slot, Use
from porter.weights.kernel.prints import Print, same, together

_MOST = 24
"""Ways of one pairing that are tried; four tensors of one shape can be ordered in 24 ways."""

_WINDOW = 8
"""Open uses of the source that are looked at where the values give no hint."""

_PARTS = 4


@dataclasses.dataclass(frozen=True)
class Proposal:
    """Fills for all tensors that a use reads first.

    Attributes:
        uses: places of the source's uses that it draws on, in the order in which they are joined.
        expected: print of what must come out; None where the source never makes that.
        way: how it came about: ``input`` (one use that was given the same), ``joined``, ``cut``,
            ``chain`` (two uses in a row), ``output`` (only what comes out is the same) or ``order``.
        rank: tells equal ways apart, in a form that means the same in every layer.
        epsilon: of the source's norm; None for everything else.
    """

    fills: tuple[Fill, ...]
    uses: tuple[int, ...]
    expected: Print | None
    way: str
    rank: tuple[int, ...] = ()
    epsilon: float | None = None


class Proposer:
    """Proposes from the uses of the source."""

    def __init__(self, uses: Sequence[Use]) -> None:
        self._uses = uses

    def module(self, use: int) -> str:
        """Return the path of the source's module that runs a use."""
        return self._uses[use].module

    def by_value(
        self, family: str, slots: Sequence[Slot], inputs: Sequence[Print], taken: Taken
    ) -> list[Proposal]:
        """Return what draws on uses that were given the same values."""
        alike = [place for place in self._open(taken) if _same_inputs(inputs, self._uses[place].inputs)]
        found: list[Proposal] = []
        for rank, place in enumerate(alike):
            use = self._uses[place]
            if use.family == family:
                found += self._from_one(slots, place, taken, "input", use.output, rank)
        if family == "linear":
            linear = [place for place in alike if self._uses[place].family == "linear"]
            found += self._from_joined(slots, linear, taken)
            found += self._from_cut(slots, linear, taken)
        for rank, place in enumerate(alike):
            found += self._from_chain(slots, place, taken, rank)
        return found

    def by_output(self, slots: Sequence[Slot], taken: Taken) -> list[Proposal]:
        """Return what draws on the next open uses and must make what they made."""
        found: list[Proposal] = []
        for rank, place in enumerate(self._open(taken)[:_WINDOW]):
            found += self._from_one(slots, place, taken, "output", self._uses[place].output, rank)
            found += self._from_chain(slots, place, taken, rank)
        return found

    def by_order(self, family: str, slots: Sequence[Slot], taken: Taken) -> list[Proposal]:
        """Return what draws on the next open uses of its kind, whatever comes out."""
        found: list[Proposal] = []
        places = self._open(taken)[:_WINDOW]
        places.sort(key=lambda place: self._uses[place].family != family)
        for rank, place in enumerate(places):
            found += self._from_one(slots, place, taken, "order", None, rank)
        return found

    def _open(self, taken: Taken) -> list[int]:
        return [
            place
            for place, use in enumerate(self._uses)
            if any(taken.is_open(slot.name, slot.shape) for slot in use.slots)
        ]

    def _left(self, place: int, taken: Taken) -> list[Slot]:
        return [slot for slot in self._uses[place].slots if taken.is_untouched(slot.name)]

    def _from_one(
        self,
        slots: Sequence[Slot],
        place: int,
        taken: Taken,
        way: str,
        expected: Print | None,
        rank: int,
    ) -> Iterator[Proposal]:
        left = self._left(place, taken)
        if left:
            for number, made in enumerate(itertools.islice(_pairings(slots, left), _MOST)):
                yield Proposal(made, (place,), expected, way, (rank, number), self._uses[place].epsilon)

    def _from_joined(self, slots: Sequence[Slot], places: Sequence[int], taken: Taken) -> Iterator[Proposal]:
        for count in range(2, min(len(places), _PARTS) + 1):
            for chosen in itertools.permutations(range(len(places)), count):
                uses = [places[each] for each in chosen]
                made = _joined([self._left(place, taken) for place in uses], slots)
                if made:
                    expected = together([self._uses[place].output for place in uses])
                    yield Proposal(made, tuple(uses), expected, "joined", chosen)

    def _from_cut(self, slots: Sequence[Slot], places: Sequence[int], taken: Taken) -> Iterator[Proposal]:
        for rank, place in enumerate(places):
            parts = {slot.role: slot for slot in self._uses[place].slots}
            for part in range(_PARTS):
                made = _cut(slots, parts, part)
                if made and not any(fill.sources and taken.has_part(fill) for fill in made):
                    yield Proposal(made, (place,), None, "cut", (rank, part))

    def _from_chain(self, slots: Sequence[Slot], place: int, taken: Taken, rank: int) -> Iterator[Proposal]:
        first = self._uses[place]
        for after in range(place + 1, min(place + _WINDOW, len(self._uses))):
            second = self._uses[after]
            if any(same(first.output, given) for given in second.inputs):
                left = [*self._left(place, taken), *self._left(after, taken)]
                if len(left) == len(slots):
                    for number, made in enumerate(itertools.islice(_orderings(slots, left), _MOST)):
                        yield Proposal(made, (place, after), second.output, "chain", (rank, number))


def _same_inputs(inputs: Sequence[Print], others: Sequence[Print]) -> bool:
    return all(any(same(one, other) for other in others) for one in inputs)


def _pairings(slots: Sequence[Slot], left: Sequence[Slot]) -> Iterator[tuple[Fill, ...]]:
    """Yield fills that pair tensors of one role; where roles say nothing, tensors that fit."""
    roles = {slot.role: slot for slot in left}
    wanted = [slot.role for slot in slots]
    if len(roles) == len(left) and len(set(wanted)) == len(wanted) and "state" not in wanted:
        ways = []
        for slot in slots:
            if slot.role in roles:
                part = roles[slot.role]
                ways.append(list(fills(slot.name, slot.shape, part.name, part.shape)))
            elif slot.role == "bias":
                ways.append([Fill(slot.name, "zeros")])
            else:
                ways = []
                break
        if ways:
            yield from itertools.product(*ways)
            return
    yield from _orderings(slots, left)


def _orderings(slots: Sequence[Slot], left: Sequence[Slot]) -> Iterator[tuple[Fill, ...]]:
    if len(left) < len(slots) or len(left) > _PARTS + 4:
        return
    for chosen in itertools.permutations(left, len(slots)):
        ways = [
            list(fills(slot.name, slot.shape, part.name, part.shape, turn=True))
            for slot, part in zip(slots, chosen, strict=True)
        ]
        yield from itertools.product(*ways)


def _joined(parts: Sequence[Sequence[Slot]], slots: Sequence[Slot]) -> tuple[Fill, ...]:
    """Return the fills that join the parts' tensors role by role; nothing where they do not fit."""
    made: list[Fill] = []
    alone = [slot for slot in slots if slot.role == "part of bias"]
    for slot in slots:
        if slot in alone:
            continue
        own = [next(((s.name, s.shape) for s in part if s.role == slot.role), None) for part in parts]
        if slot.role == "bias" and not any(own):
            fill: Fill | None = Fill(slot.name, "zeros")
        elif slot.role == "bias" or all(own):
            fill = joined(slot.name, slot.shape, own)
        else:
            fill = None
        if fill is None:
            return ()
        made.append(fill)
    biases = [each for part in parts for each in part if each.role == "bias"]
    if alone:
        if [each.shape for each in biases] != [slot.shape for slot in alone]:
            return ()
        made += [Fill(slot.name, "copy", (each.name,)) for slot, each in zip(alone, biases, strict=True)]
    return tuple(made)


def _cut(slots: Sequence[Slot], parts: dict[str, Slot], part: int) -> tuple[Fill, ...]:
    made = []
    for slot in slots:
        if slot.role not in parts and slot.role == "bias":
            made.append(Fill(slot.name, "zeros"))
            continue
        whole = parts.get(slot.role)
        fill = cut(slot.name, slot.shape, whole.name, whole.shape, part) if whole else None
        if fill is None or (whole and whole.shape == slot.shape):
            return ()
        made.append(fill)
    return tuple(made)
