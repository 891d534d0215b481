"""The schema copies of both repositories, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from porter.gates.consistency.verdict import config_path, schemas, verdict
from porter.records.base import Record
from porter.records.consistency import ConsistencyFacts, SchemaEntry
from porter.records.gates import GateResult

_WORDS = frozenset({"metadata.description", "metadata.display_name"})
_SHOWN = 3
_NOTHING = "nothing is generated"


class Difference(Record, frozen=True, kw_only=True):
    """A field that the copies do not have alike.

    Attributes:
        key: dotted path of the field.
        what: the property that differs, such as ``default`` or ``metadata.valid_options``.
        values: what either repository has, tao-pytorch first.
        inherited: whether the clones declare it so, for this field or for the reference's.
    """

    key: str
    what: str
    values: tuple[Any, Any]
    inherited: bool


def same_schemas(facts: ConsistencyFacts) -> GateResult:
    """Compare every field; what only repeats a difference of the clones is named, and does not fail."""
    gate = "consistency-schemas"
    sides = schemas(facts)
    trained = sides["tao-pytorch"].fields
    if "tao-deploy" not in facts.repos:
        return verdict(gate, facts, [], f"{len(trained)} fields", fields=len(trained))
    deployed = sides["tao-deploy"]
    upstream = {
        (item.key, item.what): item.values
        for item in differences(sides["tao-pytorch"].upstream, deployed.upstream, generated=_NOTHING)
    }
    found = [
        item
        if item.inherited or upstream.get((item.key, item.what)) != item.values
        else msgspec.structs.replace(item, inherited=True)
        for item in differences(trained, deployed.fields, generated=f"config.{facts.name}.")
    ]
    where = config_path("tao-deploy", facts)
    lineages = [list(sides[repo].lineage) for repo in ("tao-pytorch", "tao-deploy")]
    problems = (
        [] if lineages[0] == lineages[1] else [f"{where}: ExperimentConfig: {_said('lineage', lineages)}"]
    )
    problems += [
        f"{where}: {item.key}: {_said(item.what, item.values)}" for item in found if not item.inherited
    ]
    own = [key for key, entry in trained.items() if entry.owner.startswith(f"config.{facts.name}.")]
    inherited: dict[str, list[str]] = {}
    for item in found:
        if item.inherited:
            inherited.setdefault(item.what, []).append(item.key)
    said = f"{len(trained)} fields, {len(own)} of them generated, are equal"
    if inherited:
        said += f" but for what the clones have differently: {_shown(inherited)}"
    return verdict(gate, facts, problems, said, fields=len(trained), generated=own, inherited=inherited)


def _shown(inherited: Mapping[str, Sequence[str]]) -> str:
    """Return inherited differences in short: those in words for people counted, others by name."""
    words = sum(len(keys) for what, keys in inherited.items() if what in _WORDS)
    others = [f"{key} ({what})" for what, keys in inherited.items() if what not in _WORDS for key in keys]
    more = [f"{len(others) - _SHOWN} more"] * (len(others) > _SHOWN)
    return ", ".join([*others[:_SHOWN], *more, *[f"{words} descriptions"] * bool(words)])


def _said(what: str, values: Sequence[Any]) -> str:
    return f"{what} is {values[1]!r}, tao-pytorch has {values[0]!r}"


def differences(
    trained: Mapping[str, SchemaEntry], deployed: Mapping[str, SchemaEntry], *, generated: str
) -> list[Difference]:
    """Return what differs, sections before their fields; of a field that is missing nothing below it.

    Args:
        trained: fields of tao-pytorch, by dotted path.
        deployed: fields of tao-deploy.
        generated: how the paths of generated classes start.
    """
    found: list[Difference] = []
    for key in sorted({*trained, *deployed}):
        parent = key.rpartition(".")[0]
        if any(_below(key, item.key) for item in found if item.what == "presence"):
            continue
        ours, theirs = trained.get(key), deployed.get(key)
        if ours is None or theirs is None:
            present = ours or theirs
            inherited = (
                present is not None
                and not present.owner.startswith(generated)
                and _lineage(trained, parent) == _lineage(deployed, parent)
            )
            values = ("a field" if ours else "no field", "a field" if theirs else "no field")
            found.append(Difference(key=key, what="presence", values=values, inherited=inherited))
            continue
        upstream = not ours.owner.startswith(generated) and not theirs.owner.startswith(generated)
        upstream = upstream and _lineage(trained, parent) == _lineage(deployed, parent)
        for what, pair in _compared(ours, theirs):
            found.append(Difference(key=key, what=what, values=pair, inherited=upstream))
    return found


def _below(key: str, section: str) -> bool:
    return key.startswith(f"{section}.")


def _lineage(fields: Mapping[str, SchemaEntry], section: str) -> tuple[str, ...]:
    """Return the generated classes of a section and the first that was not; empty for the whole."""
    return fields[section].lineage if section in fields else ()


def _compared(ours: SchemaEntry, theirs: SchemaEntry) -> list[tuple[str, tuple[Any, Any]]]:
    pairs: list[tuple[str, tuple[Any, Any]]] = [
        ("type", (ours.type, theirs.type)),
        ("default", (ours.default, theirs.default)),
        ("lineage", (list(ours.lineage), list(theirs.lineage))),
    ]
    pairs += [
        (f"metadata.{name}", (_stated(ours, name), _stated(theirs, name)))
        for name in sorted({*ours.metadata, *theirs.metadata})
    ]
    return [(what, pair) for what, pair in pairs if pair[0] != pair[1]]


def _stated(entry: SchemaEntry, name: str) -> Any:
    """Return a property; one that is left out, empty or None states nothing."""
    value = entry.metadata.get(name)
    return None if value == "" else value
