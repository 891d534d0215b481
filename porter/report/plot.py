"""Where the marks of a parity plot lie: percentages of a width, so that the plot fits every screen."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from porter.records.review import ReviewHop, ReviewSeries

WORST = sys.float_info.max
"""What the probes answer for a difference that is no number."""

_LEFT, _RIGHT = 12.0, 92.0
_EXACT, _BROKEN = 4.0, 97.0
_LOWEST, _HIGHEST = -16, 4
_TICKS = 6
_ROW = 26.0


@dataclass(frozen=True)
class Tick:
    """A power of ten on the axis."""

    x: float
    label: str


@dataclass(frozen=True)
class Mark:
    """One measured value: where it lies, and whether it is on the side of the tolerance where it belongs."""

    x: float
    y: float
    good: bool
    text: str


@dataclass(frozen=True)
class Strip:
    """The marks of one comparison in a row of :data:`_ROW` pixels."""

    series: ReviewSeries
    marks: tuple[Mark, ...]
    said: str


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis from ``10**low`` to ``10**high``; zero and what is no number lie beside it."""

    low: int
    high: int

    def place(self, value: float) -> float:
        """Return the place of a value in percent of the width."""
        if value <= 0:
            return _EXACT
        if not math.isfinite(value) or value >= WORST:
            return _BROKEN
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(_LEFT + min(1.0, max(0.0, share)) * (_RIGHT - _LEFT), 2)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """The powers of ten that have room for a label on a phone."""
        step = max(1, math.ceil((self.high - self.low) / _TICKS))
        return tuple(
            Tick(self.place(10.0**power), f"1e{power}") for power in range(self.low, self.high + 1, step)
        )


@dataclass(frozen=True)
class Plot:
    """A hop with its marks."""

    hop: ReviewHop
    axis: Axis
    bound: float | None
    strips: tuple[Strip, ...]


def axis_of(hops: Sequence[ReviewHop]) -> Axis:
    """Return one axis for all hops, so that they can be compared by eye."""
    values = [value for hop in hops for series in hop.series for value in series.values]
    values += [hop.tolerance for hop in hops if hop.tolerance is not None]
    powers = [math.log10(value) for value in values if 0 < value < WORST]
    low = max(_LOWEST, math.floor(min(powers, default=-8)))
    high = min(_HIGHEST, math.ceil(max(powers, default=-3)))
    return Axis(min(low, _HIGHEST - 1), max(high, low + 1))


def plot_of(hop: ReviewHop, axis: Axis) -> Plot:
    """Return the marks of a hop on *axis*."""
    bound = axis.place(hop.tolerance) if hop.tolerance is not None else None
    return Plot(hop, axis, bound, tuple(_strip(series, hop.tolerance, axis) for series in hop.series))


def shown(value: float) -> str:
    """Return a measured value as text."""
    if not math.isfinite(value) or value >= WORST:
        return "no number"
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.3g}"
    mantissa, _, power = f"{value:.2e}".partition("e")
    # Trailing zeros of a tolerance say nothing, and neither does the first of 1e-05.
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"


def _strip(series: ReviewSeries, tolerance: float | None, axis: Axis) -> Strip:
    count = len(series.values)
    marks = []
    for place, value in enumerate(series.values):
        name = series.names[place] if place < len(series.names) else f"input {place + 1}"
        within = tolerance is None or value <= tolerance
        # Values that are equal would hide each other on one line.
        y = _ROW / 2 if count == 1 else 7 + place * (_ROW - 14) / (count - 1)
        marks.append(
            Mark(axis.place(value), round(y, 2), within != series.control, f"{name}: {shown(value)}")
        )
    wrong = sum(not mark.good for mark in marks)
    verdict = "not seen" if series.control else "beyond the bound"
    said = f"{series.label}: {count} values from {shown(min(series.values))} to {shown(max(series.values))}"
    return Strip(series, tuple(marks), f"{said}; {wrong} {verdict}" if wrong else said)
