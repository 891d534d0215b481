"""Where values lie in a drawing of pixels, and what is written beside its axes."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_LARGEST = 1e300
"""Greater values lie at the end of the axis: the span of two of them would be none that a number can be."""

_LEAST_SPAN = 1e-300
_TICKS = 5
_STEPS = (1.0, 2.0, 5.0, 10.0)
_CHARACTER = 6.4
"""Width of a digit in the axes' letters of 11 pixels, rounded up: fonts differ."""


@dataclass(frozen=True)
class Tick:
    """A value that is written beside an axis, and its pixel."""

    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """A linear axis: *low* lies at pixel *start*, and *high* at pixel *end*."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, *, whole: bool = False, most: int = _TICKS) -> tuple[Tick, ...]:
        """Return round values on the axis; *whole* ones where it counts something."""
        step = _step((self.high - self.low) / most)
        if whole:
            step = max(1.0, step)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [number * step for number in range(first, last + 1)]
        labels = [f"{value:.0f}" for value in values] if whole else _labels(values, step)
        return tuple(Tick(self.place(value), label) for value, label in zip(values, labels, strict=True))


def around(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis that holds some values with a little room; equal ones lie in its middle."""
    low = max(min(values, default=0.0), -_LARGEST)
    high = min(max(values, default=1.0), _LARGEST)
    low, high = min(low, _LARGEST), max(high, -_LARGEST)
    span = high - low
    if span < max(_LEAST_SPAN, max(abs(low), abs(high)) * 1e-9):
        half = abs(low) * 0.1 or 0.5
        return low - half, high + half
    return low - span * 0.06, high + span * 0.06


def width_of(labels: Sequence[str]) -> float:
    """Return the pixels that the longest of some labels takes."""
    return max((len(label) for label in labels), default=0) * _CHARACTER


def fitted(text: str, pixels: float, size: float) -> str:
    """Return text that is cut in its middle where letters of *size* pixels would not fit into *pixels*."""
    half = len(text) // 2
    shown = text
    while half and _measured(shown) * size > pixels:
        half -= 1
        shown = f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:] if half else ''}"
    return shown


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Return points with at most *most* left; of every stretch its lowest and its highest stay."""
    if len(points) <= most:
        return list(points)
    stretches = max(1, most // 2 - 1)
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(stretches):
        part = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        ends = (
            {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])} if part else set()
        )
        kept += sorted(ends)
    return [*kept, points[-1]]


def _measured(text: str) -> float:
    """Return the width of bold text in heights of its letters, rather too much than too little."""
    return sum(
        1.05
        if unicodedata.east_asian_width(letter) in "WF"
        else 0.95
        if letter in "MW@%&"
        else 0.8
        if letter.isupper()
        else 0.66
        for letter in text
    )


def _step(wanted: float) -> float:
    """Return the round step next above *wanted*."""
    power = 10.0 ** math.floor(math.log10(wanted))
    return next((factor * power for factor in _STEPS if factor * power >= wanted * (1 - 1e-9)), 10 * power)


def _labels(values: Sequence[float], step: float) -> list[str]:
    largest = max((abs(value) for value in values), default=0.0)
    if largest >= 1e5 or 0 < largest < 1e-3:
        for digits in range(10):
            labels = ["0" if value == 0 else f"{value:.{digits}e}".replace("e+", "e") for value in values]
            if all(
                abs(float(label) - value) < step / 100 for label, value in zip(labels, values, strict=True)
            ):
                break
        return labels
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{value + 0.0:.{min(decimals, 9)}f}" for value in values]
