"""Whether a clone's backbones have the architecture of a Hugging Face model.

The conditions per model type are data in ``references/models``; which entry of the registry meets them,
and whether its class takes other sizes, is read from the clone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from porter.records.base import Record
from porter.records.inspection import Inspection
from porter.records.reference import (
    BackboneClass,
    BackboneEntry,
    BackboneMatch,
    ModuleFix,
    Pooling,
    Reference,
)
from porter.reference.formulas import Code
from porter.reference.model_facts import Fix, Native, computed, config_of, model_facts, single
from porter.reference.network import InputFacts, load_network

_POOLED: dict[Pooling, str] = {
    "class-and-patches": "the head is given the class token and the mean of the patch tokens; the class "
    "gives it the class token alone"
}


class Coverage(Record, frozen=True, kw_only=True):
    """The matching backbone, or the reasons why there is none."""

    match: BackboneMatch | None = None
    reasons: tuple[str, ...] = ()


class _Adjusted(Record, frozen=True, kw_only=True):
    """An argument beside the facts: the model's value, and whether it has to be passed."""

    value: Any
    needed: bool
    difference: str


def native_coverage(inspection: Inspection, reference: Reference) -> Coverage:
    """Return the backbone of *reference*'s clone that has the model's architecture; pure."""
    facts = model_facts(inspection.model_type, inspection.task.task)
    if facts is None:
        return Coverage(
            reasons=(f"porter has no facts yet on how a {inspection.model_type} model compares with TAO's",)
        )
    native = facts.native
    names = config_of(facts, inspection)
    fed = load_network(reference.name, reference.release.layout).input
    wanted = {argument: computed(formula, names) for argument, formula in native.facts.items()}
    reasons = [*_unmet(native, names), *_input_reasons(inspection, names, fed, reference.name)]
    reasons += [] if reasons else _unknown(native, wanted, names)
    kin = [entry for entry in reference.backbones if entry.target == native.target]
    short = native.target.rpartition(".")[2]
    kind = next((each for each in reference.backbone_classes if each.target == native.target), None)
    own = kind is not None and not kin
    if not kin and not own:
        total = len(reference.backbones)
        reasons.append(f"none of the {total} entries of the backbone registry builds a {short}")
    if reasons:
        return Coverage(reasons=tuple(reasons))
    adjusted = _adjusted(native, names)
    size = names.get("image_size")
    exact = sorted(
        (entry for entry in kin if not _differences(entry, native, wanted, adjusted, size)),
        key=lambda entry: (len(entry.name), entry.name),
    )
    if exact and native.pooling is None:
        return Coverage(match=_from_entry(exact[0], native, adjusted, names))
    passed = [*wanted, *(argument for argument, item in adjusted.items() if item.needed)]
    lacking = _lacking(kind, [*passed, *([native.image_argument] if native.image_argument else [])])
    if lacking:
        near = f"; {_nearest(kin, native, wanted, adjusted, size)}" if kin else ""
        return Coverage(reasons=(f"{lacking}{near}",))
    if own:
        return Coverage(match=_from_network(native, wanted, adjusted, names))
    nearest = "" if exact else _nearest(kin, native, wanted, adjusted, size)
    return Coverage(match=_from_class(native, wanted, adjusted, names, nearest))


def _unmet(native: Native, names: Mapping[str, Any]) -> list[str]:
    return [
        f"{condition.field} is {names.get(condition.field)!r}: {condition.reason}"
        for condition in native.conditions
        if computed(condition.holds, names) is not True
    ]


def _unknown(native: Native, wanted: Mapping[str, Any], names: Mapping[str, Any]) -> list[str]:
    """Return what could not be computed from the config."""
    found = [
        f"{argument} ({native.facts[argument]}) cannot be computed from the config"
        for argument, value in wanted.items()
        if value is None
    ]
    if computed(native.features, names) is None:
        found.append(f"the width of the head's input ({native.features}) cannot be computed from the config")
    return found


def _input_reasons(inspection: Inspection, names: Mapping[str, Any], fed: InputFacts, name: str) -> list[str]:
    reasons = []
    if inspection.channels != fed.channels:
        reasons.append(
            f"the model takes {inspection.channels} channels, but the data pipeline of {name} "
            f"always gives {fed.channels}"
        )
    size = names.get("image_size")
    if isinstance(size, list) and fed.square:
        high, wide = size
        reasons.append(
            f"the model takes images of {high} x {wide} (height x width), but the data pipeline of {name} "
            "makes squares only"
        )
    return reasons


def _adjusted(native: Native, names: Mapping[str, Any]) -> dict[str, _Adjusted]:
    return {
        item.argument: _Adjusted(
            value=computed(item.value, names),
            needed=computed(item.neutral, names) is not True,
            difference=_said(item.difference, names),
        )
        for item in native.adjustments
    }


def _said(sentence: str, names: Mapping[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: _shown(names.get(match[1])), sentence)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-12)
    return bool(single(left) == single(right))


def _differences(
    entry: BackboneEntry,
    native: Native,
    wanted: Mapping[str, Any],
    adjusted: Mapping[str, _Adjusted],
    size: Any,
) -> list[str]:
    """Return in what an entry is not the model's architecture; empty where it is."""
    found = []
    given = _given(entry, native)
    for argument, value in (native.defaults | dict(wanted)).items():
        there = given.get(argument, native.defaults.get(argument))
        if isinstance(there, Code) and there != value:
            found.append(f"{argument}={there.text}")
        elif not isinstance(there, Code) and not _equal(there, value):
            found.append(f"{argument} {_shown(there)}, the model {_shown(value)}")
    for argument, item in adjusted.items():
        if argument in given and given[argument] != item.value and not _equal(given[argument], item.value):
            found.append(f"{argument}={_shown(given[argument])}, the model {_shown(item.value)}")
        elif argument not in given and item.needed and not entry.accepts_kwargs:
            found.append(f"{item.difference}, and it takes no other")
    image = native.image_argument
    if image and image in given and not _equal(given[image], size):
        found.append(f"{image} {_shown(given[image])}, the model {_shown(size)}")
    elif image and image not in given and not entry.accepts_kwargs and not _equal(size, native.own_size):
        found.append(f"{image} {native.own_size}, the model {_shown(size)}, and it takes no other")
    understood = {*native.defaults, *wanted, *native.inert, *adjusted, image}
    found += [
        f"{argument}, which porter has no facts about"
        for argument in sorted({*given} - understood)
        if given[argument] is not None
    ]
    return found


def _given(entry: BackboneEntry, native: Native) -> dict[str, Any]:
    """Return what an entry passes, by the names of the class's arguments."""
    places = {f"*{place}": argument for place, argument in enumerate(native.positional)}
    given = {**entry.arguments, **{key: Code(text=text) for key, text in entry.expressions.items()}}
    return {places.get(argument, argument): value for argument, value in given.items()}


def _shown(value: Any) -> str:
    if isinstance(value, Code):
        return value.text
    return f"{value:g}" if isinstance(value, float) else str(value)


def _nearest(
    kin: Sequence[BackboneEntry],
    native: Native,
    wanted: Mapping[str, Any],
    adjusted: Mapping[str, _Adjusted],
    size: Any,
) -> str:
    def unlike(entry: BackboneEntry) -> list[str]:
        return _differences(entry, native, wanted, adjusted, size)

    ranked = sorted(kin, key=lambda entry: (len(unlike(entry)), entry.name))
    short = native.target.rpartition(".")[2]
    return (
        f"the backbone registry has {len(kin)} entries of {short}, none of them in these sizes; the nearest, "
        f"{ranked[0].name}, has {'; '.join(unlike(ranked[0]))}"
    )


def _lacking(kind: BackboneClass | None, arguments: Sequence[str]) -> str:
    """Return why the clone's class cannot be given *arguments*; empty where it can."""
    if kind is None:
        return "the class that the registry's entries build is not in the clone"
    missing = [] if kind.open else [each for each in arguments if each not in kind.parameters]
    if missing:
        return f"{kind.target.rpartition('.')[2]} takes no {' and no '.join(missing)}"
    return ""


def _from_entry(
    entry: BackboneEntry, native: Native, adjusted: Mapping[str, _Adjusted], names: Mapping[str, Any]
) -> BackboneMatch:
    given = _given(entry, native)
    passed = {name: item for name, item in adjusted.items() if item.needed and name not in given}
    takes_size = bool(native.image_argument) and native.image_argument not in given and entry.accepts_kwargs
    differences = []
    if takes_size and not _equal(names["image_size"], native.own_size):
        size = names["image_size"]
        differences.append(
            f"the position embedding is built for {size} x {size} pixels, the entry's own size is "
            f"{native.own_size}"
        )
    differences += [item.difference for item in passed.values()]
    return _match(native, names, entry.name, {}, passed, takes_size, differences)


def _from_class(
    native: Native,
    wanted: Mapping[str, Any],
    adjusted: Mapping[str, _Adjusted],
    names: Mapping[str, Any],
    nearest: str,
) -> BackboneMatch:
    passed = {name: item for name, item in adjusted.items() if item.needed}
    differences = [nearest] if nearest else []
    if native.pooling is not None:
        differences.append(_POOLED[native.pooling])
    differences += [item.difference for item in passed.values()]
    takes_size = bool(native.image_argument)
    return _match(native, names, "", wanted, passed, takes_size, differences)


def _from_network(
    native: Native, wanted: Mapping[str, Any], adjusted: Mapping[str, _Adjusted], names: Mapping[str, Any]
) -> BackboneMatch:
    """Return the network's own architecture in the model's sizes, by its own name for them if it has one."""
    passed = {name: item for name, item in adjusted.items() if item.needed}
    whole = {
        **wanted,
        "features": computed(native.features, names),
        "widths": computed(native.widths, names) if native.widths else None,
    }
    known = [
        name
        for name, sizes in native.sizes.items()
        if all(_equal(whole.get(argument), value) for argument, value in sizes.items())
    ]
    differences = [item.difference for item in passed.values()]
    name = known[0] if known else ""
    if not known:
        differences.insert(0, f"the network itself builds it as {', '.join(native.sizes)} alone")
    return msgspec.structs.replace(
        _match(native, names, name, wanted, passed, bool(native.image_argument), differences), own=True
    )


def _match(
    native: Native,
    names: Mapping[str, Any],
    name: str,
    wanted: Mapping[str, Any],
    passed: Mapping[str, _Adjusted],
    takes_size: bool,
    differences: Sequence[str],
) -> BackboneMatch:
    values = {**wanted, **{argument: item.value for argument, item in passed.items()}}
    fixes = [(fix, computed(fix.modules, names)) for fix in native.fixes]
    notes = [*differences, *(_said(fix.difference, names) for fix, modules in fixes if modules)]
    for setting in native.training_only:
        value = names.get(setting.field)
        if not _equal(value, setting.neutral):
            notes.append(setting.difference.format(value=value))
    owner, _, kind = native.target.rpartition(".")
    return BackboneMatch(
        name=name,
        target=f"{owner}:{kind}",
        arguments={key: value for key, value in values.items() if not isinstance(value, Code)},
        code={key: value.text for key, value in values.items() if isinstance(value, Code)},
        image_argument=native.image_argument if takes_size else "",
        position_embedding=native.position_embedding,
        fixes=tuple(_fix(fix, modules, names) for fix, modules in fixes if modules),
        head=native.head,
        embed_dim=int(computed(native.features, names)),
        widths=tuple(computed(native.widths, names) or ()) if native.widths else (),
        layers=tuple(computed(native.layers, names) or ()) if native.layers else (),
        pooling=native.pooling,
        registers=int(wanted.get("reg_tokens") or 0) if native.pooling else 0,
        batch_norms=native.batch_norms,
        remap=native.remap,
        differences=tuple(notes),
    )


def _fix(fix: Fix, modules: Sequence[str], names: Mapping[str, Any]) -> ModuleFix:
    return ModuleFix(
        modules=tuple(modules),
        attribute=fix.attribute,
        value=computed(fix.value, names),
        comment=_said(fix.comment, names),
    )
