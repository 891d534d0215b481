"""Prints of values: numbers that do not depend on how the values are laid out.

Two models may hold one activation as (N, C, H, W) and as (N, tokens, C), or in windows; its print is the
same. The print of parts together is the sum of their prints, and zeros that pad it change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

TOLERANCE = 1e-5
"""Relative. Both models run in float64, but here and there one of them calculates in float32."""

_POWERS = (0.5, 1.0, 1.5, 2.0, 3.0)

Print = tuple[float, ...]
"""Sums of ``|x|^p``, then of ``sign(x) |x|^p``."""


def print_of(values: torch.Tensor) -> Print:
    """Return the print of *values*; zeros where they are no real numbers."""
    if not values.is_floating_point():
        return (0.0,) * (2 * len(_POWERS))
    flat = values.detach().reshape(-1).double()
    size, sign = flat.abs(), flat.sign()
    powers = [size**power for power in _POWERS]
    sums = [each.sum() for each in powers] + [(each * sign).sum() for each in powers]
    return tuple(torch.stack(sums).tolist())


def together(prints: Sequence[Print]) -> Print:
    """Return the print of all values of *prints*."""
    return tuple(sum(each) for each in zip(*prints, strict=True))


def apart(one: Print, other: Print) -> float:
    """Return how far two prints are apart, relative to their sizes; 1 where one of them is empty."""
    half = len(_POWERS)
    worst = 0.0
    for place, (first, second) in enumerate(zip(one, other, strict=True)):
        size = max(abs(one[place % half]), abs(other[place % half]))
        if not 0 < size < float("inf"):
            return 1.0
        worst = max(worst, abs(first - second) / size)
    return worst


def same(one: Print, other: Print) -> bool:
    """Return whether two prints are of the same values, as far as rounding lets one tell."""
    return apart(one, other) <= TOLERANCE
