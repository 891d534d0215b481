"""Whether what a search found is so: parity on other weights, and what the output owes to every tensor."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from porter.weights.kernel.align import first_tensor
from porter.weights.kernel.compare import WORST, Difference
from porter.weights.kernel.files import ModelFolder
from porter.weights.kernel.flow import Use, renew
from porter.weights.kernel.forms import role_of
from porter.weights.kernel.operations import execute_all, seed_of, source_parts

EXACT = 1e-6
"""Relative difference in float64 up to which two models are one function; a softmax in float32 makes 1e-7."""

ROUNDING = 4.0
"""Times its own rounding that the source may be apart from the target in float32."""


_LAST = 4
"""Placements among which the heads are: two layers, each behind a norm."""


class InMemory(ModelFolder):
    """A state dict in place of a model folder, for the operations of a plan."""

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        self._state = state

    def tensor(self, file: str, name: str) -> torch.Tensor:
        """Return tensor *name*."""
        return self._state[name]


class Watched:
    """A model with its outputs named: ``logits``, and ``features`` where *head* names a module."""

    def __init__(self, module: torch.nn.Module, head: str) -> None:
        self.module = module
        self._head = head
        self._features: list[torch.Tensor] = []

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the images (N, C, H, W) one by one, so that batching cannot blur the comparison."""
        renew(self.module)
        handle = None
        if self._head:
            handle = self.module.get_submodule(self._head).register_forward_pre_hook(self._note)
        outputs: dict[str, list[torch.Tensor]] = {"logits": [], "features": []}
        try:
            with torch.no_grad():
                for image in images.split(1):
                    self._features.clear()
                    outputs["logits"].append(first_tensor(self.module(image)))
                    outputs["features"] += self._features[-1:]
        finally:
            if handle is not None:
                handle.remove()
        return {name: torch.cat(parts) for name, parts in outputs.items() if parts}

    def _note(self, module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self._features.append(given[0].detach().clone())


def carry(operations: Sequence[dict[str, Any]], source: torch.nn.Module, target: torch.nn.Module) -> None:
    """Fill *target* from *source* by a plan's operations, in float32 as a conversion does."""
    state = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in source.state_dict().items()
    }
    own = target.state_dict()
    with torch.no_grad():
        for name, tensor in execute_all(list(operations), InMemory(state)):
            own[name].copy_(tensor)


def parities(
    source: Watched, target: Watched, images: torch.Tensor, tolerance: float
) -> tuple[list[dict[str, Any]], str]:
    """Compare the two in float64 and float32.

    Returns:
        parities as plain JSON, and why they are not equal; empty where they are.
    """
    found: list[dict[str, Any]] = []
    results: dict[torch.dtype, dict[str, torch.Tensor]] = {}
    for dtype, bound in ((torch.float64, EXACT), (torch.float32, tolerance)):
        source.module.to(dtype)
        target.module.to(dtype)
        given = images.to(dtype)
        reference, candidate = source(given), target(given)
        results[dtype] = reference
        for name, wanted in reference.items():
            if name in candidate and (name == "logits" or candidate[name].shape == wanted.shape):
                difference = Difference()
                difference.add_each(wanted, candidate[name])
                way = str(dtype).removeprefix("torch.")
                found.append(difference.parity("hf -> candidate", name, bound, way=way, weights="perturbed"))
    own = Difference()
    own.add_each(results[torch.float64]["logits"], results[torch.float32]["logits"].double())
    found.append(own.parity("hf float64 -> hf float32", "logits", WORST, way="rounding", weights="perturbed"))
    for each in found:
        if each["relative"] > each["tolerance"]:
            allowed = ROUNDING * own.relative if each["way"] == "float32" else 0.0
            if each["relative"] > allowed:
                return found, f"{each['output']} differ by {each['relative']:.1e} in {each['way']}"
    return found, ""


def influences(
    operations: Sequence[dict[str, Any]],
    target: Watched,
    images: torch.Tensor,
    *,
    seed: int,
    seconds: float,
    threshold: float,
) -> list[dict[str, Any]]:
    """Return for every placed source tensor what the output owes to it, measured in the target.

    The values in its place are replaced by random ones of the same mean and spread. Where measuring all
    would take longer than *seconds*, it is done for the first and the last tensor of every role, and for
    all of a role of which one is below *threshold*.
    """
    target.module.double()
    images = images.double()
    state = target.module.state_dict()
    started = time.monotonic()
    before = target(images)["logits"]
    each = time.monotonic() - started
    parts = list(_parts(operations))
    roles: dict[str, list[str]] = {}
    for name, *_ in parts:
        roles.setdefault(role_of(name), []).append(name)
    chosen = {name for name, *_ in parts}
    if each * len(parts) > seconds:
        chosen = {name for names in roles.values() for name in (names[0], names[-1])}
    effects: dict[str, float] = {}
    for wanted in (True, False):
        # A role of which one is not seen needs all its tensors measured.
        if not wanted:
            unseen = {role_of(name) for name, effect in effects.items() if effect <= threshold}
            chosen = {name for role in unseen for name in roles[role]}
        for name, place, axis, start, stop in parts:
            if name in chosen and name not in effects:
                view = state[place].narrow(axis, start, stop - start) if state[place].dim() else state[place]
                effects[name] = _effect(target, view, name, before, images, seed)
    return [{"source": name, "target": place, "effect": effects.get(name)} for name, place, *_ in parts]


def owed(source: Watched, images: torch.Tensor, seed: int) -> Callable[[str], float]:
    """Return how to measure what the source's output owes to one of its own tensors."""
    state = source.module.state_dict()
    before = source(images)["logits"]

    def measure(name: str) -> float:
        return _effect(source, state[name], name, before, images, seed)

    return measure


def heads(placements: Sequence[Any], uses: Sequence[Use], labels: int) -> list[tuple[str, str]]:
    """Return source and target module of each layer that makes the logits, the first one first."""
    found: list[tuple[str, str]] = []
    for placement in placements[-_LAST:]:
        use = uses[placement.proposal.uses[-1]]
        rows = {slot.shape[0] for slot in use.slots if len(slot.shape) > 1}
        if use.family == "linear" and rows == {labels} and len(placement.proposal.uses) == 1:
            found.append((use.module, placement.module))
    return found


def _parts(operations: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, int, int, int]]:
    for step in operations:
        place = step["target"]["name"]
        if not step["target"]["dtype"].startswith(("F", "BF")):
            continue
        if step["op"] == "slice":
            yield step["sources"][0]["name"], place, 0, 0, step["stop"] - step["start"]
        for name, start, stop in source_parts(step):
            yield name, place, step["axis"], start, stop


def _effect(
    model: Watched,
    view: torch.Tensor,
    name: str,
    before: torch.Tensor,
    images: torch.Tensor,
    seed: int,
) -> float:
    kept = view.clone()
    generator = torch.Generator().manual_seed(seed_of("influence", seed, name))
    noise = torch.randn(view.shape, generator=generator, dtype=view.dtype)
    with torch.no_grad():
        if name.endswith("running_var"):
            view.mul_(noise.mul(0.5).exp())
        else:
            spread = float(kept.std()) if kept.numel() > 1 else 0.0
            mean = float(kept.mean())
            view.copy_(mean + (spread or 0.2 * abs(mean) or 0.1) * noise)
    after = model(images)["logits"]
    with torch.no_grad():
        view.copy_(kept)
    difference = Difference()
    difference.add(before, after)
    return copy.copy(difference.relative)
