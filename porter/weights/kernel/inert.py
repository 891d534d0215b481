"""Whether a tensor that the output does not show was placed by guess."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

import torch

from porter.weights.kernel.align import Placement
from porter.weights.kernel.compare import Difference
from porter.weights.kernel.confirm import Watched
from porter.weights.kernel.flow import Use
from porter.weights.kernel.forms import layer_of, role_of
from porter.weights.kernel.operations import source_parts

_BY_VALUE = {"input", "joined", "cut"}


def judge(
    influences: Sequence[dict[str, Any]],
    placements: Sequence[Placement],
    uses: Sequence[Use],
    threshold: float,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Say of every placed tensor whether the output shows it, and if not, what else fixes its place.

    Args:
        influences: what the output owes to each tensor, relative; None where its role stands for it.
        placements: what the search settled on.
        uses: the source's uses.
        threshold: what parity sees.

    Returns:
        the influences with ``inert`` and ``held`` (why an inert tensor's place is no guess), and the names
        of those that were placed by guess: nothing holds them, or they can be exchanged unseen.
    """
    known: dict[str, float] = {}
    for each in influences:
        if each["effect"] is not None:
            role = role_of(each["source"])
            known[role] = min(known.get(role, float("inf")), each["effect"])
    inert = {
        each["source"]
        for each in influences
        if (known[role_of(each["source"])] if each["effect"] is None else each["effect"]) <= threshold
    }
    shapes = {slot.name: slot.shape for use in uses for slot in use.slots}
    alike = Counter(shapes[name] for name in inert if name in shapes)
    exchanged = {name for placement in placements for name in placement.exchanged}
    judged, guessed = [], []
    for each in influences:
        name = each["source"]
        held = ""
        if name in inert and name not in exchanged:
            held = _companion(name, inert, placements, uses) or _local(name, placements, uses)
            if not held and alike[shapes.get(name, ())] == 1:
                held = "no other tensor that the output does not show has its shape"
        if name in exchanged or (name in inert and not held):
            guessed.append(name)
        judged.append({**each, "inert": name in inert, "held": held})
    return judged, guessed


def exchanges(
    operations: Sequence[dict[str, Any]],
    target: Watched,
    images: torch.Tensor,
    heads: Sequence[str],
    *,
    seconds: float,
    threshold: float,
) -> list[dict[str, Any]]:
    """Return the pairs of placed tensors of one shape that can trade places without the output showing it.

    Pairs are tried as the port's own swaps are: each role between two layers, all that lie in no layer, and
    all of one layer; those of the heads (modules of the target) first. What can be traded in one layer is
    tried in every other, too, where the port may choose its sample.
    """
    end = time.monotonic() + seconds
    images = images.double()
    state = target.module.state_dict()
    views, heading = {}, set()
    for step in operations:
        place = state[step["target"]["name"]]
        if place.is_floating_point() and place.dim():
            for name, start, stop in source_parts(step):
                views[name] = place.narrow(step["axis"], start, stop - start)
                if step["target"]["name"].rpartition(".")[0] in heads:
                    heading.add(name)
    before = target(images)["logits"]

    def unseen(pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        found = []
        for first, second in pairs:
            if time.monotonic() > end:
                break
            trade(views[first], views[second])
            difference = Difference()
            difference.add(before, target(images)["logits"])
            trade(views[first], views[second])
            if difference.relative <= threshold:
                found.append({"first": first, "second": second, "effect": difference.relative})
        return found

    tried, others = _pairs(views, heading)
    found = unseen(tried)
    seen = {_roles(pair) for pair in tried} - {_roles((each["first"], each["second"])) for each in found}
    return found + unseen([pair for pair in others if _roles(pair) not in seen])


def held_pairs(
    pairs: Sequence[dict[str, Any]],
    judged: Sequence[dict[str, Any]],
    placements: Sequence[Placement],
    uses: Sequence[Use],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Say what else holds pairs that can trade places unseen, and name what nothing holds."""
    known = {each["source"]: each["held"] for each in judged}
    told, guessed = [], []
    for pair in pairs:
        held = [known[name] or _local(name, placements, uses) for name in (pair["first"], pair["second"])]
        told.append({**pair, "held": held[0] if all(held) else ""})
        guessed += [name for name, why in zip((pair["first"], pair["second"]), held, strict=True) if not why]
    return told, list(dict.fromkeys(guessed))


def trade(one: torch.Tensor, other: torch.Tensor) -> None:
    """Exchange the values of two tensors."""
    with torch.no_grad():
        kept = one.clone()
        one.copy_(other)
        other.copy_(kept)


def _roles(pair: tuple[str, str]) -> frozenset[str]:
    return frozenset(map(role_of, pair))


def _pairs(
    views: Mapping[str, torch.Tensor], heading: Set[str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the pairs of one shape that are tried first, and those of the other layers."""
    roles: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    layers: dict[str, list[str]] = {}
    for name, view in views.items():
        roles.setdefault((role_of(name), tuple(view.shape)), []).append(name)
        layers.setdefault(layer_of(name), []).append(name)
    found = [*itertools.combinations(sorted(heading), 2)]
    found += [(names[0], names[1]) for names in roles.values() if len(names) > 1]
    numbered = sorted(set(layers) - {""}, key=int)
    for layer in ("", *numbered[:1]):
        found += itertools.combinations(layers.get(layer, []), 2)
    others = [pair for layer in numbered[1:] for pair in itertools.combinations(layers[layer], 2)]

    def alike(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        return [pair for pair in dict.fromkeys(pairs) if views[pair[0]].shape == views[pair[1]].shape]

    return alike(found), alike(others)


def _local(name: str, placements: Sequence[Placement], uses: Sequence[Use]) -> str:
    """Return which values fix the place of a tensor where it is used; empty where none do."""
    for placement in placements:
        if placement.error is not None and any(name in fill.sources for fill in placement.proposal.fills):
            theirs = uses[placement.proposal.uses[-1]].module
            return f"only with it {placement.module} makes the values that {theirs} makes"
    return ""


def _companion(name: str, inert: set[str], placements: Sequence[Placement], uses: Sequence[Use]) -> str:
    """Return which visible tensor of the same use fixes the place of an inert one; empty where none does."""
    for placement in placements:
        proposal = placement.proposal
        if proposal.way not in _BY_VALUE or not any(name in fill.sources for fill in proposal.fills):
            continue
        for place in proposal.uses:
            slots = {slot.name: slot for slot in uses[place].slots}
            if name not in slots:
                continue
            rivals = [slot for slot in uses[place].slots if slot.role == slots[name].role]
            seen = [other for other in slots if other != name and other not in inert]
            placed = {source for fill in proposal.fills for source in fill.sources}
            if len(rivals) == 1 and set(seen) & placed:
                return f"it is the only {slots[name].role} of the operation that reads {min(seen)}"
    return ""
