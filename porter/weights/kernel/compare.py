"""Numbers on how far two forms of a model are apart."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from porter.weights.kernel.operations import seed_of

WORST = sys.float_info.max
"""Stands for a difference that is no number (JSON has no infinity)."""


def seeded_images(count: int, size: Sequence[int], seed: int, *, label: str = "input") -> torch.Tensor:
    """Return images of *size* (channels, height, width), float32, as a normalising processor makes them.

    Smooth content with noise on top: white noise alone would leave position and patch tensors nearly
    unused. The images are equal on every machine with the same torch.
    """
    images = []
    channels, height, width = size
    for place in range(count):
        generator = torch.Generator().manual_seed(seed_of(label, seed, place))
        coarse = torch.randn((1, channels, 7, 7), generator=generator)
        smooth = torch.nn.functional.interpolate(
            coarse, size=(height, width), mode="bilinear", align_corners=False
        )
        noise = torch.randn((1, channels, height, width), generator=generator)
        images.append(smooth + 0.3 * noise)
    return torch.cat(images)


class Difference:
    """The largest differences over several pairs of tensors.

    Attributes:
        relative: largest ``|a-b| / |a|`` (L2) of a pair.
        max_abs: largest absolute difference.
        reference_max: largest absolute value of the first forms.
        each: ``|a-b| / |a|`` of every pair, in the order in which they were added.
    """

    def __init__(self) -> None:
        self.relative = 0.0
        self.max_abs = 0.0
        self.reference_max = 0.0
        self.each: list[float] = []

    def add(self, reference: torch.Tensor, candidate: torch.Tensor) -> None:
        """Take one pair, in float64; shapes that differ, or values that are not finite, are the worst."""
        if reference.shape != candidate.shape:
            self.relative = self.max_abs = WORST
            self.each.append(WORST)
            return
        first, second = reference.detach().double(), candidate.detach().double()
        apart = (first - second).abs()
        size = first.norm().item()
        distance = apart.norm().item()
        self.each.append(_finite(distance / size if size else (0.0 if distance == 0 else WORST)))
        self.relative = max(self.each)
        self.max_abs = max(self.max_abs, _finite(apart.max().item() if apart.numel() else 0.0))
        self.reference_max = max(
            self.reference_max, _finite(first.abs().max().item() if first.numel() else 0.0)
        )

    def add_each(self, reference: torch.Tensor, candidate: torch.Tensor) -> None:
        """Take one pair per entry of the first axis."""
        if reference.shape[:1] != candidate.shape[:1]:
            self.add(reference, candidate)
            return
        for one, other in zip(reference, candidate, strict=True):
            self.add(one, other)

    def parity(self, hop: str, output: str, tolerance: float, **more: Any) -> dict[str, Any]:
        """Return a ``porter.records.weights.Parity`` as plain JSON."""
        return {
            "hop": hop,
            "output": output,
            "relative": self.relative,
            "max_abs": self.max_abs,
            "reference_max": self.reference_max,
            "tolerance": tolerance,
            "inputs": len(self.each),
            "each": self.each,
            **more,
        }


def different_tensors(
    expected: Iterable[tuple[str, torch.Tensor]], state: dict[str, torch.Tensor]
) -> tuple[int, list[str], list[str]]:
    """Compare a loaded state dict bit for bit with what it must hold.

    Returns:
        how many tensors were expected, those that are missing or not equal, and those of *state* that
        nobody expected.
    """
    checked, different, seen = 0, [], set()
    for name, tensor in expected:
        checked += 1
        seen.add(name)
        held = state.get(name)
        if held is None or held.dtype != tensor.dtype or not _bitwise_equal(held, tensor):
            different.append(name)
    return checked, different, sorted(set(state) - seen)


def top1_agreement(references: Sequence[torch.Tensor], candidates: Sequence[torch.Tensor]) -> float:
    """Return the share of rows, or of pixels of maps, whose largest of all scores is at the same place."""
    same = [
        (first.argmax(dim=1) == second.argmax(dim=1)).flatten()
        for first, second in zip(references, candidates, strict=True)
    ]
    share: float = torch.cat(same).double().mean().item()
    return share


def _bitwise_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    # NaN is not equal to itself and -0.0 equals 0.0, so the bytes are compared.
    first = one.detach().contiguous().reshape(-1).view(torch.uint8)
    second = other.detach().contiguous().reshape(-1).view(torch.uint8)
    return bool(torch.equal(first, second))


def _finite(value: float) -> float:
    return value if math.isfinite(value) else WORST
