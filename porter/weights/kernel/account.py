"""What an alignment leaves over: every tensor of both sides gets a fate, or is named as a problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import torch

from porter.weights.kernel.align import Placement
from porter.weights.kernel.files import SPELLING
from porter.weights.kernel.fills import Fill
from porter.weights.kernel.flow import Use

State = Mapping[str, torch.Tensor]


@dataclasses.dataclass
class Account:
    """The fates.

    Attributes:
        operations: ``porter.records.finder.FoundOperation`` as plain JSON, in the target's order.
        dropped: ``DroppedTensor``, likewise.
        computed: names of the target's buffers that its class computes.
        problems: one line per tensor that has no fate.
    """

    operations: list[dict[str, Any]]
    dropped: list[dict[str, Any]]
    computed: list[str]
    problems: list[str]


def account(
    placements: Sequence[Placement],
    uses: Sequence[Use],
    source: State,
    target: State,
    read: Set[str],
    effect: Callable[[str], float],
) -> Account:
    """Give every tensor its fate.

    Args:
        placements: what the search settled on.
        uses: the source's uses, which the placements number.
        source: the source's state dict.
        target: the target's.
        read: names of the source's tensors that its forward pass reads.
        effect: measures what the source's output owes to one of its tensors.
    """
    found = [_found(placement, fill, uses) for placement in placements for fill in placement.proposal.fills]
    filled = {fill.target for _, fill in found}
    used = {name for _, fill in found for name in fill.sources}
    found += _siblings(found, source, target, filled, used)
    filled |= {fill.target for _, fill in found}
    used |= {name for _, fill in found for name in fill.sources}
    problems = _cut_short([fill for _, fill in found], source)
    dropped: list[dict[str, Any]] = []
    computed: list[str] = []
    for name, tensor in source.items():
        if name in used:
            continue
        if name not in read:
            dropped.append({"name": name, "reason": "the forward pass of the source never reads it"})
        elif not tensor.is_floating_point():
            reason = "an index table, which the target's class computes by itself"
            dropped.append({"name": name, "reason": reason})
        elif (measured := effect(name)) == 0.0:
            reason = "replaced by random values it changes nothing in the source's output"
            dropped.append({"name": name, "reason": reason, "effect": measured})
        else:
            problems.append(f"{name} of the source has no place (the output owes {measured:.1e} to it)")
    for name, tensor in target.items():
        if name not in filled:
            if tensor.is_floating_point():
                problems.append(f"nothing fills {name} of the target")
            else:
                computed.append(name)
    order = {name: place for place, name in enumerate(target)}
    found.sort(key=lambda each: order[each[1].target])
    operations = [{**facts, "operation": operation(fill, source, target)} for facts, fill in found]
    return Account(operations, dropped, computed, problems)


def operation(fill: Fill, source: State, target: State) -> dict[str, Any]:
    """Return a fill as a ``porter.records.weights.Operation`` in plain JSON, every field given."""
    return {
        "op": fill.op,
        "target": info(fill.target, target[fill.target]),
        "sources": [info(name, source[name]) for name in fill.sources],
        "axis": fill.axis,
        "axes": list(fill.axes),
        "start": fill.start,
        "stop": fill.stop,
        "starts": list(fill.starts),
        "prefix": 0,
        "index": [],
        "source_grid": None,
        "target_grid": None,
        "antialias": True,
        "std": 0.0,
    }


def info(name: str, tensor: torch.Tensor) -> dict[str, Any]:
    """Return a ``TensorInfo`` as plain JSON; the dtype is what the module has outside of the search."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return {"name": name, "shape": list(tensor.shape), "dtype": SPELLING[dtype], "file": ""}


def _found(placement: Placement, fill: Fill, uses: Sequence[Use]) -> tuple[dict[str, Any], Fill]:
    modules = dict.fromkeys(uses[place].module for place in placement.proposal.uses)
    facts = {
        "way": placement.proposal.way,
        "module": placement.module,
        "source_modules": list(modules),
        "error": placement.error,
        "confirmed": placement.confirmed,
        "others": placement.others,
    }
    return facts, fill


def _siblings(
    found: Sequence[tuple[dict[str, Any], Fill]],
    source: State,
    target: State,
    filled: Set[str],
    used: Set[str],
) -> list[tuple[dict[str, Any], Fill]]:
    """Pair what neither side reads (a batch norm's counter) by the modules whose other tensors are paired."""
    pairs: dict[str, set[str]] = {}
    for _, fill in found:
        if fill.op == "copy":
            pairs.setdefault(_module(fill.target), set()).add(_module(fill.sources[0]))
    more = []
    for name, tensor in target.items():
        partners = pairs.get(_module(name), set())
        if name in filled or len(partners) != 1:
            continue
        (partner,) = partners
        twin = f"{partner}.{name.rpartition('.')[2]}" if partner else name.rpartition(".")[2]
        if twin in source and twin not in used and source[twin].shape == tensor.shape:
            facts = {
                "way": "sibling",
                "module": _module(name),
                "source_modules": [partner],
                "error": None,
                "confirmed": "",
                "others": 0,
            }
            more.append((facts, Fill(name, "copy", (twin,))))
    return more


def _cut_short(fills: Sequence[Fill], source: State) -> list[str]:
    cuts: dict[str, int] = {}
    for fill in fills:
        if fill.op == "slice":
            cuts[fill.sources[0]] = cuts.get(fill.sources[0], 0) + fill.stop - fill.start
    return [
        f"only {length} of {source[name].shape[0]} rows of {name} have a place"
        for name, length in cuts.items()
        if length != source[name].shape[0]
    ]


def _module(name: str) -> str:
    return name.rpartition(".")[0]
