"""Whether a clone's backbone registry has the architecture of a Hugging Face model.

The conditions per model type are data in ``references/models``; which entry meets them is read
from the clone's registry.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from porter.records.base import Record
from porter.records.inspection import Inspection
from porter.records.reference import BackboneEntry, BackboneMatch, Reference
from porter.reference.network import InputFacts, load_network
from porter.resources import tree

_MODEL_TYPE = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Condition(Record, frozen=True, kw_only=True):
    """A config field that must have one of a few values."""

    field: str
    allowed: tuple[Any, ...]
    reason: str


class Fact(Record, frozen=True, kw_only=True):
    """Where an argument's value comes from: a config field, or one over another."""

    field: str
    over: str = ""


class Adjustment(Record, frozen=True, kw_only=True):
    """An argument that generated code passes where the model differs from the entry.

    Attributes:
        argument: its name in :attr:`BackboneMatch.arguments`.
        field: config field with the model's value.
        default: value of a backbone to which nobody passes the argument.
        sets: argument of the class that it ends up in; an entry that passes it cannot be adjusted.
        difference: sentence for the report; ``{value}`` and ``{default}`` are filled in.
    """

    argument: str
    field: str
    default: Any
    sets: str
    difference: str


class TrainingOnly(Record, frozen=True, kw_only=True):
    """A config field that changes training but no inference."""

    field: str
    neutral: Any
    difference: str


class Native(Record, frozen=True, kw_only=True):
    """What a backbone must be to compute what the Hugging Face model computes."""

    remap: str
    target: str
    facts: dict[str, Fact]
    defaults: dict[str, Any]
    conditions: tuple[Condition, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    training_only: tuple[TrainingOnly, ...] = ()
    inert: tuple[str, ...] = ()


class ModelFacts(Record, frozen=True, kw_only=True):
    """One model type: ``references/models/<model_type>.toml``."""

    model_type: str
    config: dict[str, Any]
    native: Native
    strategies: dict[str, str] = {}


class Coverage(Record, frozen=True, kw_only=True):
    """The matching backbone, or the reasons why there is none."""

    match: BackboneMatch | None = None
    reasons: tuple[str, ...] = ()


@functools.cache
def model_facts(model_type: str) -> ModelFacts | None:
    """Return what porter knows of a Hugging Face model type; None where it knows nothing."""
    path = tree("references") / "models" / f"{model_type}.toml"
    if not _MODEL_TYPE.fullmatch(model_type) or not path.is_file():
        return None
    return msgspec.toml.decode(path.read_bytes(), type=ModelFacts)


def native_coverage(inspection: Inspection, reference: Reference) -> Coverage:
    """Return the backbone of *reference*'s clone that has the model's architecture; pure."""
    facts = model_facts(inspection.model_type)
    if facts is None:
        return Coverage(
            reasons=(f"porter has no facts yet on how a {inspection.model_type} model compares with TAO's",)
        )
    native = facts.native
    config = _config(facts, inspection)
    fed = load_network(reference.name, reference.release.layout).input
    reasons = [*_unmet(native, config), *_input_reasons(inspection, config, fed, reference.name)]
    wanted = {argument: _wanted(fact, config) for argument, fact in native.facts.items()}
    kin = [entry for entry in reference.backbones if entry.target == native.target]
    exact = sorted(
        (entry for entry in kin if not _differences(entry, native, wanted)),
        key=lambda entry: (len(entry.name), entry.name),
    )
    if not exact:
        reasons.append(_nearest(kin, native, wanted, reference))
    if reasons:
        return Coverage(reasons=tuple(reasons))
    entry = exact[0]
    arguments, differences, blocked = _adjust(entry, native, config)
    if blocked:
        return Coverage(reasons=blocked)
    return Coverage(
        match=BackboneMatch(name=entry.name, arguments=arguments, remap=native.remap, differences=differences)
    )


def _config(facts: ModelFacts, inspection: Inspection) -> dict[str, Any]:
    """Return the config with the defaults of its model type; square pairs become one number."""
    config = facts.config | {key: value for key, value in inspection.config.items() if value is not None}
    if inspection.image_size is not None:
        config["image_size"] = list(inspection.image_size)
    return {key: _single(value) for key, value in config.items()}


def _single(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
        return value[0]
    return value


def _unmet(native: Native, config: Mapping[str, Any]) -> list[str]:
    return [
        f"{condition.field} is {config.get(condition.field)!r}: {condition.reason}"
        for condition in native.conditions
        if config.get(condition.field) not in condition.allowed
    ]


def _input_reasons(
    inspection: Inspection, config: Mapping[str, Any], fed: InputFacts, name: str
) -> list[str]:
    reasons = []
    if inspection.channels != fed.channels:
        reasons.append(
            f"the model takes {inspection.channels} channels, but the data pipeline of {name} "
            f"always gives {fed.channels}"
        )
    size, patch = config.get("image_size"), config.get("patch_size")
    if isinstance(size, list) and fed.square:
        high, wide = size
        reasons.append(
            f"the model takes images of {high} x {wide} (height x width), but the data pipeline of {name} "
            "makes squares only"
        )
    elif isinstance(patch, list):
        reasons.append(f"the model cuts patches of {patch[0]} x {patch[1]}, but TAO's are square")
    elif isinstance(size, int) and isinstance(patch, int) and size % patch:
        reasons.append(
            f"an image of {size} pixels is no whole number of patches of {patch}: the model drops the "
            "rest, and TAO's backbone refuses such a size"
        )
    return reasons


def _wanted(fact: Fact, config: Mapping[str, Any]) -> Any:
    value = config.get(fact.field)
    if not fact.over:
        return value
    divisor = config.get(fact.over)
    if isinstance(value, int | float) and isinstance(divisor, int | float) and divisor:
        return value / divisor
    return None


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-12)
    return bool(_single(left) == _single(right))


def _differences(entry: BackboneEntry, native: Native, wanted: Mapping[str, Any]) -> list[str]:
    """Return in what an entry is not the model's architecture; empty where it is."""
    found = []
    for argument, value in (native.defaults | dict(wanted)).items():
        given = entry.arguments.get(argument, native.defaults.get(argument))
        if argument in entry.expressions:
            found.append(f"{argument}={entry.expressions[argument]}")
        elif not _equal(given, value):
            found.append(f"{argument} {_shown(given)}, the model {_shown(value)}")
    adjusted = {adjustment.sets for adjustment in native.adjustments}
    understood = {*native.defaults, *wanted, *native.inert, *adjusted}
    found += [
        f"{argument}, which porter has no facts about"
        for argument in sorted({*entry.arguments, *entry.expressions} - understood)
        if entry.arguments.get(argument, "") is not None
    ]
    return found


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _nearest(
    kin: list[BackboneEntry], native: Native, wanted: Mapping[str, Any], reference: Reference
) -> str:
    sizes = ", ".join(f"{argument} {_shown(value)}" for argument, value in wanted.items())
    short = native.target.rpartition(".")[2]
    total = len(reference.backbones)
    if not kin:
        return f"none of the {total} entries of the backbone registry builds a {short}"
    ranked = sorted(kin, key=lambda entry: (len(_differences(entry, native, wanted)), entry.name))
    nearest = "; ".join(_differences(ranked[0], native, wanted))
    names = ", ".join(sorted(entry.name for entry in kin))
    return (
        f"no entry of the backbone registry ({total} names) is a {short} with {sizes}; "
        f"it has {names}, and the nearest, {ranked[0].name}, has {nearest}"
    )


def _adjust(
    entry: BackboneEntry, native: Native, config: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return the arguments to pass, what they make equal, and what cannot be made equal."""
    arguments: dict[str, Any] = {}
    differences: list[str] = []
    blocked: list[str] = []
    for item in native.adjustments:
        value = config.get(item.field)
        own = entry.arguments.get(item.sets, item.default)
        fixed = item.sets in entry.arguments or item.sets in entry.expressions
        if not fixed and _equal(value, item.default):
            continue
        if fixed and item.sets in entry.arguments and _equal(value, own):
            continue
        difference = item.difference.format(value=value, default=own)
        if fixed or not entry.accepts_kwargs:
            blocked.append(f"{difference}, and {entry.name} takes no other")
        else:
            arguments[item.argument] = value
            differences.append(difference)
    for setting in native.training_only:
        value = config.get(setting.field)
        if not _equal(value, setting.neutral):
            differences.append(setting.difference.format(value=value))
    return arguments, tuple(differences), tuple(blocked)
