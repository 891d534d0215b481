"""How one tensor of the target is made of tensors of the source, as the search tries it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import torch

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Fill:
    """What fills one target tensor; the fields are those of ``porter.records.weights.Operation``."""

    target: str
    op: str
    sources: tuple[str, ...] = ()
    axis: int = 0
    start: int = 0
    stop: int = 0
    axes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    def make(self, state: Mapping[str, torch.Tensor], shape: Shape) -> torch.Tensor:
        """Return the target tensor of *shape*."""
        parts = [state[name] for name in self.sources]
        if self.op == "zeros":
            return torch.zeros(shape)
        if self.op == "concat" and self.starts:
            made = parts[0].new_zeros(shape)
            for start, part in zip(self.starts, parts, strict=True):
                made.narrow(self.axis, start, part.shape[self.axis]).copy_(part)
            return made
        if self.op == "concat":
            return torch.cat(parts, dim=self.axis)
        if self.op == "slice":
            return parts[0].narrow(self.axis, self.start, self.stop - self.start)
        if self.op == "permute":
            return parts[0].permute(self.axes)
        return parts[0].reshape(shape)


class Taken:
    """Which tensors of the source are used up, and which parts of those that are cut."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._parts: dict[str, dict[int, int]] = {}

    def take(self, fill: Fill) -> None:
        """Remember what *fill* uses up."""
        if fill.op == "slice":
            self._parts.setdefault(fill.sources[0], {})[fill.start] = fill.stop - fill.start
        else:
            self._whole.update(fill.sources)

    def is_untouched(self, name: str) -> bool:
        """Return whether nothing of the tensor was taken."""
        return name not in self._whole and name not in self._parts

    def is_open(self, name: str, shape: Shape) -> bool:
        """Return whether something of the tensor is left."""
        length = shape[0] if shape else 1
        return name not in self._whole and sum(self._parts.get(name, {}).values()) < length

    def has_part(self, fill: Fill) -> bool:
        """Return whether the part that *fill* cuts is taken."""
        name = fill.sources[0]
        return name in self._whole or fill.start in self._parts.get(name, {})


def fills(target: str, shape: Shape, source: str, given: Shape, *, turn: bool = False) -> Iterator[Fill]:
    """Yield how *source* of shape *given* may become *target* of *shape*, the plainest way first.

    With *turn* a square matrix may have to be transposed although it fits as it is.
    """
    if math.prod(shape) != math.prod(given):
        return
    if shape == given:
        yield Fill(target, "copy", (source,))
    elif _bare(shape) == _bare(given):
        yield Fill(target, "reshape", (source,))
    if len(shape) == len(given) and (shape != given or turn):
        for axes in _orders(shape, given):
            yield Fill(target, "permute", (source,), axes=axes)
    if shape != given and _bare(shape) != _bare(given):
        yield Fill(target, "reshape", (source,))


def joined(target: str, shape: Shape, parts: Sequence[tuple[str, Shape] | None]) -> Fill | None:
    """Return the concatenation of *parts* along the first axis; None where they do not make *shape*.

    A part that is None is a missing bias: its equal share stays zero.
    """
    there = [part for part in parts if part is not None]
    if not shape or not there or any(given[1:] != shape[1:] for _, given in there):
        return None
    names = tuple(name for name, _ in there)
    if len(there) == len(parts):
        return Fill(target, "concat", names) if sum(given[0] for _, given in there) == shape[0] else None
    share = shape[0] // len(parts)
    if share * len(parts) != shape[0] or any(given[0] != share for _, given in there):
        return None
    starts = tuple(place * share for place, part in enumerate(parts) if part is not None)
    return Fill(target, "concat", names, starts=starts)


def cut(target: str, shape: Shape, source: str, given: Shape, part: int) -> Fill | None:
    """Return part number *part* of *source* along the first axis; None where it has no such equal part."""
    if not shape or given[1:] != shape[1:] or given[0] % shape[0] or (part + 1) * shape[0] > given[0]:
        return None
    start = part * shape[0]
    return Fill(target, "slice", (source,), start=start, stop=start + shape[0])


def _bare(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _orders(shape: Shape, given: Shape) -> Iterator[tuple[int, ...]]:
    if len(given) > 4:
        return
    for order in itertools.permutations(range(len(given))):
        # Moving axes of length one is no more than another shape.
        long = [axis for axis in order if given[axis] != 1]
        if long != sorted(long) and tuple(given[axis] for axis in order) == shape:
            yield order
