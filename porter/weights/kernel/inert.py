"""Whether a tensor that the output does not show was placed by guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from porter.weights.kernel.align import Placement
from porter.weights.kernel.flow import Use
from porter.weights.kernel.forms import role_of

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
