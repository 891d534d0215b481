"""Which model of timm computes what a model of transformers computes.

The conditions per model type are data in ``references/timm``.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from porter.records.base import Record
from porter.resources import tree

_MODEL_TYPE = re.compile(r"[a-z0-9][a-z0-9_-]*")
_COUNTED = re.compile(r"\{(\w+)\}")
_EDGES = ("image_size", "patch_size", "window_size")
"""Config fields that may be a pair for a square."""
_SHOWN = 4


class Condition(Record, frozen=True, kw_only=True):
    """A config field that must have one of a few values."""

    field: str
    allowed: tuple[Any, ...]
    reason: str


class Argument(Record, frozen=True, kw_only=True):
    """Where an argument of ``timm.create_model`` comes from.

    Attributes:
        field: config field that has the value.
        over: config field that it is divided by.
        values: the argument by the field's value, as JSON spells it; empty for the value itself.
    """

    field: str
    over: str = ""
    values: dict[str, Any] = {}


class Entry(Record, frozen=True, kw_only=True):
    """A model of timm; what it leaves out is as the table of its model type has it.

    Attributes:
        architecture: name that ``timm.create_model`` knows.
        classes: model classes of transformers; empty for any of the table's.
        match: config fields with the value that they must have.
        multiples: config fields with the number that they must be a multiple of.
        arguments: what ``timm.create_model`` is always given.
    """

    architecture: str
    classes: tuple[str, ...] = ()
    match: dict[str, Any] = {}
    multiples: dict[str, int] = {}
    arguments: dict[str, Any] = {}
    remap: str = ""
    heads: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


class TimmTable(Record, frozen=True, kw_only=True):
    """One model type: ``references/timm/<model_type>.toml``.

    Attributes:
        config: defaults of transformers' config class.
        conditions: config fields that must have one of a few values.
        windows: whether images are cut into windows, stage by stage, that must fill the grid.
        facts: arguments that follow from the config.
        heads, stages: paths from the timm model on; ``{depth}`` counts from 0 as far as the argument of that
            name says, or as long as it is.
        maps: whether timm gives its feature maps.
        norm_eps: config field with the epsilon of the layer norms; empty where timm's own is right.
    """

    model_type: str
    config: dict[str, Any]
    entry: tuple[Entry, ...]
    remap: str = ""
    conditions: tuple[Condition, ...] = ()
    windows: bool = False
    facts: dict[str, Argument] = {}
    heads: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    maps: bool = True
    norm_eps: str = ""


class Found(Record, frozen=True, kw_only=True):
    """A model of timm with its arguments, or the reasons why there is none."""

    entry: Entry | None = None
    arguments: dict[str, Any] = {}
    stages: tuple[str, ...] = ()
    norm_eps: float | None = None
    reasons: tuple[str, ...] = ()


@functools.cache
def timm_table(model_type: str) -> TimmTable | None:
    """Return what porter knows of a model type in terms of timm; None where it knows nothing."""
    path = tree("references") / "timm" / f"{model_type}.toml"
    if not _MODEL_TYPE.fullmatch(model_type) or not path.is_file():
        return None
    return msgspec.toml.decode(path.read_bytes(), type=TimmTable)


def find(
    table: TimmTable, architecture: str, config: Mapping[str, Any], image_size: tuple[int, int] | None
) -> Found:
    """Return the model of timm that computes what a model of transformers computes; pure.

    Args:
        table: what is known of its model type.
        architecture: its model class.
        config: its config.json.
        image_size: (height, width) that it is fed with.
    """
    stated = table.config | {key: value for key, value in config.items() if value is not None}
    if image_size is not None:
        stated["image_size"] = list(image_size)
    known = {key: _square(value) if key in _EDGES else value for key, value in stated.items()}
    reasons = [
        f"{each.field} is {known.get(each.field)!r}: {each.reason}"
        for each in table.conditions
        if known.get(each.field) not in each.allowed
    ]
    if table.windows:
        reasons += _window_reasons(known)
    fitting = [entry for entry in table.entry if not _differences(entry, architecture, known)]
    if not fitting:
        reasons.append(_nearest(table, architecture, known))
    if reasons:
        return Found(reasons=tuple(reasons))
    entry = fitting[0]
    arguments = {name: _argument(fact, known) for name, fact in table.facts.items()} | entry.arguments
    return Found(
        entry=entry,
        arguments=arguments,
        stages=tuple(name for each in entry.stages or table.stages for name in _counted(each, arguments)),
        norm_eps=known[table.norm_eps] if table.norm_eps else None,
    )


def _square(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
        return value[0]
    return value


def _window_reasons(config: Mapping[str, Any]) -> list[str]:
    size, patch, window = (config.get(name) for name in ("image_size", "patch_size", "window_size"))
    if not all(isinstance(each, int) and each > 0 for each in (size, patch, window)):
        return ["images, patches and windows must be squares"]
    for stage, _ in enumerate(config.get("depths") or ()):
        grid = size / (patch * 2**stage)
        if grid != int(grid) or (grid > window and grid % window):
            return [
                f"stage {stage + 1} has a grid of {grid:g} patches, which windows of {window} do not fill: "
                "transformers and timm fill it up in different ways"
            ]
    return []


def _differences(entry: Entry, architecture: str, config: Mapping[str, Any]) -> list[str]:
    """Return in what a model is not what *entry* is for; empty where it is."""
    found = []
    if entry.classes and architecture not in entry.classes:
        found.append(f"is for {' and '.join(entry.classes)}, the model is a {architecture}")
    for field, value in entry.match.items():
        if not _equal(config.get(field), value):
            found.append(f"has {field} {value}, the model {config.get(field)}")
    for field, number in entry.multiples.items():
        value = config.get(field)
        if not isinstance(value, int) or isinstance(value, bool) or value % number:
            found.append(f"takes a multiple of {number} for {field}, the model has {value}")
    return found


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-12)
    return bool(left == right)


def _nearest(table: TimmTable, architecture: str, config: Mapping[str, Any]) -> str:
    ranked = sorted(table.entry, key=lambda entry: len(_differences(entry, architecture, config)))
    nearest = ranked[0]
    names: Sequence[str] = [entry.architecture for entry in table.entry]
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return (
        f"none of the models of timm that porter compared ({shown}) is this one; the nearest, "
        f"{nearest.architecture}, {'; '.join(_differences(nearest, architecture, config))}"
    )


def _argument(fact: Argument, config: Mapping[str, Any]) -> Any:
    value = config.get(fact.field)
    if fact.values:
        return fact.values[msgspec.json.encode(value).decode()]
    if not fact.over:
        return value
    divisor = config.get(fact.over)
    assert isinstance(value, int)
    assert isinstance(divisor, int)
    ratio = value / divisor
    # timm takes the whole part of the product, which a rounded ratio may just miss.
    return ratio if int(ratio * divisor) == value else (value + 0.5) / divisor


def _counted(template: str, arguments: Mapping[str, Any]) -> list[str]:
    field = _COUNTED.search(template)
    if field is None:
        return [template]
    value = arguments[field[1]]
    return [
        template.replace(field[0], str(index)) for index in range(value if type(value) is int else len(value))
    ]
