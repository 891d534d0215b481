"""From what TAO's converter makes of a dataclass to the schema of one action."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from porter.errors import PorterError
from porter.records.catalog import CatalogEntry, Overlay, RefusedValue
from porter.records.skills import SchemaAnswer, SkillSource

VERSION = 1
"""Version of the schemas' own additions."""

_SHARED = ("train", "distill", "quantize")
"""Sections that every action keeps: they say what the network is that it works on."""

_LISTS = ("automl_default_parameters", "automl_disabled_parameters", "required")


def action_schema(
    answer: SchemaAnswer, found: CatalogEntry, action: str, source: SkillSource
) -> dict[str, Any]:
    """Return the schema of one action.

    It has the sections that belong to no action, the shared ones and the action's own. What the catalog sets
    by hand is in it, and every list that the converter made of a set is sorted.

    Raises:
        PorterError: the catalog sets a field that the dataclasses do not have.
    """
    whole, sections = _sections(answer, found, action)
    made: dict[str, Any] = {
        "type": whole["type"],
        "properties": sections,
        "default": action_default(answer, found, action),
        "popular": {name: value for name, value in whole.get("popular", {}).items() if name in sections},
    }
    for name in _LISTS:
        made[name] = [key for key in whole.get(name, []) if key.partition(".")[0] in sections]
    for overlay in found.automl.overlay:
        if overlay.key.partition(".")[0] in sections:
            _overlay(made, overlay)
    for refused in found.refused:
        if refused.key.partition(".")[0] in sections:
            _refuse(made, refused)
    _sort(made)
    made["x_tao_schema"] = {
        "schema_version": VERSION,
        "model": found.skill,
        "network_arch": found.name,
        "action": action,
        "schema_action": action,
        "core_module": source.config.partition(":")[0],
        "source": f"{source.repository} {source.version} {source.commit}".strip(),
    }
    return made


def action_default(answer: SchemaAnswer, found: CatalogEntry, action: str) -> dict[str, Any]:
    """Return the spec template of one action: what :func:`action_schema` has as its default."""
    whole, sections = _sections(answer, found, action)
    return {name: value for name, value in whole["default"].items() if name in sections}


def leaf(properties: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """Return what a schema says of a dotted key; None where it has no such field."""
    found: dict[str, Any] = {"properties": properties}
    for part in key.split("."):
        described = found.get("properties", {}).get(part)
        if not isinstance(described, dict):
            return None
        found = described
    return found


def _sections(
    answer: SchemaAnswer, found: CatalogEntry, action: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of everything, and of it the sections of one action."""
    # The converter shows an optional section that is None as empty; the action that it belongs to needs it.
    whole: dict[str, Any] = json.loads(answer.filled.get(action, answer.schema))
    others = {name for name in found.actions if name not in (*_SHARED, action)}
    # Beside the sections the converter leaves a list among them.
    return whole, {
        name: described
        for name, described in whole["properties"].items()
        if isinstance(described, dict) and name not in others
    }


def _overlay(schema: dict[str, Any], overlay: Overlay) -> None:
    described = _needed(schema, overlay.key)
    described["automl_enabled"] = True
    for name, bound in (("minimum", overlay.minimum), ("maximum", overlay.maximum)):
        if bound is not None:
            described[name] = bound
    schema["automl_default_parameters"] = [*{*schema["automl_default_parameters"], overlay.key}]
    schema["automl_disabled_parameters"] = [
        key for key in schema["automl_disabled_parameters"] if key != overlay.key
    ]


def _refuse(schema: dict[str, Any], refused: RefusedValue) -> None:
    """Take values out of an enum, and their weights with them."""
    described = _needed(schema, refused.key)
    options = described.get("enum")
    if not isinstance(options, list):
        return
    kept = [number for number, option in enumerate(options) if option not in refused.values]
    described["enum"] = [options[number] for number in kept]
    weights = described.get("option_weights")
    if isinstance(weights, list) and len(weights) == len(options):
        described["option_weights"] = [weights[number] for number in kept]


def _needed(schema: dict[str, Any], key: str) -> dict[str, Any]:
    described = leaf(schema["properties"], key)
    if described is None:
        raise PorterError(
            f"The dataclasses of this release have no field {key}.",
            why="the catalog sets it by hand",
            next_step="check out another release of tao-pytorch",
        )
    return described


def _sort(value: Any) -> None:
    """Sort, in place, what the converter took out of sets: its order is another in every run."""
    if isinstance(value, list):
        for item in value:
            _sort(item)
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        if isinstance(item, list) and (name in _LISTS or name == "popular"):
            item.sort()
        elif name == "popular" and isinstance(item, dict):
            value[name] = _ordered(item)
        elif name != "default":
            _sort(item)


def _ordered(value: Any) -> Any:
    return {name: _ordered(value[name]) for name in sorted(value)} if isinstance(value, dict) else value
