"""The catalog entry of a ported network: what its reference's says, as far as it holds for the port."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from porter.launch import catalog
from porter.records.catalog import (
    Action,
    AutoMl,
    BaseCheckpoint,
    CatalogEntry,
    DataPart,
    DataSource,
    ErrorPattern,
    Metric,
    RequiredInput,
)
from porter.records.ported import PortFacts
from porter.records.skills import SchemaAnswer

_WEIGHTS = "ptm_if_no_resume_model"
_DEPLOYED = ("evaluate", "inference")
"""Actions of the trainer that tao-deploy has too, on an engine."""


def entry_of(facts: PortFacts, reference: CatalogEntry) -> CatalogEntry:
    """Return the entry of a port.

    Args:
        facts: of the port.
        reference: the entry of the network that the port follows. What it says of keys and actions that the
            port does not have is left out.
    """
    name, keys = facts.name, set(facts.keys)
    actions = dict(_actions(facts, reference))
    formats = facts.formats or reference.formats
    by_format = {format_: reference.by_format.get(format_, {}) | facts.cautious for format_ in formats}
    return CatalogEntry(
        name=name,
        title=name,
        task=reference.task,
        skill=f"tao-train-{name.replace('_', '-')}",
        description=f"{facts.source}, ported to TAO by the side of {reference.title}.",
        config=f"{{config}}.{name}.default_config:ExperimentConfig",
        formats=formats,
        by_format={
            format_: held
            for format_, values in by_format.items()
            if (held := {key: value for key, value in values.items() if key in keys})
        },
        actions=actions,
        data=tuple(_data(facts, reference, actions)),
        inputs=tuple(_inputs(facts, reference)),
        metric=reference.metric,
        launch=msgspec.structs.replace(
            reference.launch,
            rate=tuple(key for key in reference.launch.rate if key in keys),
            choice=reference.launch.choice if reference.launch.choice in keys else "",
        ),
        hardware=reference.hardware,
        errors=tuple(_errors(facts, reference)),
        automl=_automl(facts, reference),
        base=tuple(_base(facts)),
        checkpoint=facts.trained,
        refused=tuple(refused for refused in reference.refused if refused.key in keys),
        rewrites=tuple(rewrite for rewrite in reference.rewrites if rewrite.new in keys),
        shorthands={
            short: key for short, key in reference.shorthands.items() if key in keys - set(facts.fixed)
        },
    )


def missing_keys(found: CatalogEntry, facts: PortFacts) -> tuple[str, ...]:
    """Return the spec keys of an entry that the schema of the port does not have."""
    return tuple(key for key in catalog.spec_keys(found) if key not in facts.keys)


def missing_metrics(metric: Metric, trained: Collection[str], evaluated: Collection[str]) -> tuple[str, ...]:
    """Return the metrics that an entry names and status.json of the port's own runs does not have.

    Args:
        metric: of the entry.
        trained: names in status.json of training; empty where there is none.
        evaluated: likewise of evaluation.
    """
    wanted = ((metric.key, trained, "training"), (metric.evaluate, evaluated, "evaluation"))
    return tuple(f"{key} ({which})" for key, names, which in wanted if key and names and key not in names)


def fixed_keys(answer: SchemaAnswer) -> tuple[str, ...]:
    """Return the fields of a schema that take one value."""
    return tuple(_fixed(json.loads(answer.schema)["properties"]))


def searched_keys(answer: SchemaAnswer) -> tuple[str, ...]:
    """Return the fields that a schema marks for a search, sorted."""
    return tuple(sorted(json.loads(answer.schema).get("automl_default_parameters", ())))


def formats_of(spec: Any, reference: CatalogEntry) -> tuple[str, ...]:
    """Return the names of data formats in the spec that a port ships; empty where specs name none."""
    found: dict[str, None] = {}
    for source in reference.data:
        for name, part in source.parts.items():
            listed = _value(spec, source.key)
            if part.kind == "format" and isinstance(listed, list):
                found |= {str(item[name]): None for item in listed if isinstance(item, dict) and name in item}
    return tuple(found)


def _actions(facts: PortFacts, reference: CatalogEntry) -> Iterator[tuple[str, Action]]:
    keys = set(facts.keys)
    for name, action in reference.actions.items():
        here = facts.deployed if action.image == "deploy" else facts.actions
        if name not in here:
            continue
        engine = action.engine if name in _DEPLOYED and name in facts.deployed else ""
        yield (
            name,
            Action(
                command=f"{facts.name} {name} -e {{config_path}}",
                image=action.image,
                engine=engine if engine in keys else "",
                rules={
                    key: rule
                    for key, rule in action.rules.items()
                    # Of an engine only with tao-deploy; and the port reads weights by its own keys alone.
                    if key in keys
                    and (key != action.engine or engine)
                    and (rule != _WEIGHTS or key in (facts.weights, facts.backbone_weights))
                },
            ),
        )


def _data(facts: PortFacts, reference: CatalogEntry, actions: Collection[str]) -> Iterator[DataSource]:
    keys = set(facts.keys)
    kept = [
        msgspec.structs.replace(source, actions=held)
        for source in reference.data
        if source.key in keys and (held := tuple(action for action in source.actions if action in actions))
    ]
    given = {source.key for source in kept}
    roots = [key for key in facts.roots if key in keys and key not in given]
    for source in kept:
        if not roots or source.value is None or source.value.kind != "file":
            yield source
            continue
        # Such a file lies beside the images, and generated code looks for it there; export builds it all too.
        more = ("export",) if "train" in source.actions and "export" in actions else ()
        source = msgspec.structs.replace(source, actions=(*source.actions, *more))
        yield source
        for key in roots:
            yield msgspec.structs.replace(source, key=key, value=DataPart(kind="folder", sparse=True))


def _inputs(facts: PortFacts, reference: CatalogEntry) -> Iterator[RequiredInput]:
    for asked in reference.inputs:
        if asked.key in facts.keys and asked.key not in facts.fixed:
            reason = f"its default is that of {facts.source}, and fits data of the same classes alone"
            yield msgspec.structs.replace(asked, reason=reason)


def _errors(facts: PortFacts, reference: CatalogEntry) -> Iterator[ErrorPattern]:
    for error in reference.errors:
        command = "porter skills build"
        fix = error.fix.replace(f"{command} {reference.name}", f"{command} {facts.name}")
        yield msgspec.structs.replace(error, fix=fix)


def _automl(facts: PortFacts, reference: CatalogEntry) -> AutoMl:
    keys = set(facts.keys)
    overlay = tuple(item for item in reference.automl.overlay if item.key in keys)
    kept = (key for key in reference.automl.carried if key in keys)
    return AutoMl(
        enabled=bool(facts.searched or overlay) and reference.automl.enabled,
        # What a search changes in the network has to reach evaluation, or the checkpoint does not fit.
        carried=tuple(dict.fromkeys((*kept, *(key for key in facts.searched if key.startswith("model."))))),
        overlay=overlay,
        refused=tuple(item for item in reference.automl.refused if item.key in keys),
    )


def _base(facts: PortFacts) -> Iterator[BaseCheckpoint]:
    yield BaseCheckpoint(
        key=facts.weights, part="model", default=facts.checkpoint, note="converted by the port"
    )
    if facts.backbone_weights not in ("", facts.weights):
        yield BaseCheckpoint(key=facts.backbone_weights, part="backbone")


def _fixed(properties: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, described in properties.items():
        # Beside the sections the converter leaves lists among them.
        if not isinstance(described, dict):
            continue
        options = described.get("enum")
        if isinstance(options, list) and len(options) == 1:
            yield f"{prefix}{name}"
        yield from _fixed(described.get("properties", {}), f"{prefix}{name}.")


def _value(spec: Any, key: str) -> Any:
    for part in key.split("."):
        spec = spec.get(part) if isinstance(spec, dict) else None
    return spec
