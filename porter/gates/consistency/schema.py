"""The schema copies of both repositories, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from porter.gates.consistency.verdict import config_path, schemas, verdict
from porter.records.base import Record
from porter.records.consistency import ConsistencyFacts, SchemaEntry, SchemaFacts
from porter.records.gates import GateResult
from porter.records.reference import Repo

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
    ours = schemas(facts)["tao-pytorch"]
    own = [key for key, entry in ours.fields.items() if entry.owner.startswith(f"config.{facts.name}.")]
    problems: list[str] = []
    inherited: dict[str, list[str]] = {}
    copies: list[Repo] = [repo for repo in facts.schemas if repo != "tao-pytorch"]
    roots = {facts.config_root[repo] for repo in copies} | {facts.config_root["tao-pytorch"]}
    for repo in copies:
        found = _compare(facts, ours, facts.schemas[repo])
        where = config_path(repo, facts)
        lineages = (list(ours.lineage), list(facts.schemas[repo].lineage))
        if lineages[0] != lineages[1]:
            problems.append(f"{where}: ExperimentConfig: {_said('lineage', lineages)}")
        for item in found:
            if not item.inherited:
                problems.append(f"{where}: {item.key}: {_said(item.what, item.values)}")
            elif item.key not in inherited.setdefault(item.what, []):
                inherited[item.what].append(item.key)
    said = f"{len(ours.fields)} fields, {len(own)} of them generated"
    if copies and len(roots) == 1:
        said += ", in one schema that both repositories import"
    elif copies:
        said += f", are equal in {len(copies) + 1} copies"
    if inherited:
        said += f" but for what the clones have differently: {_shown(inherited)}"
    return verdict(gate, facts, problems, said, fields=len(ours.fields), generated=own, inherited=inherited)


def _compare(facts: ConsistencyFacts, ours: SchemaFacts, theirs: SchemaFacts) -> list[Difference]:
    """Return what a copy has differently; a difference that the reference's own copies have is inherited."""
    upstream = {
        (item.key, item.what): item.values
        for item in differences(ours.upstream, theirs.upstream, generated=_NOTHING)
    }
    return [
        item
        if item.inherited or upstream.get((item.key, item.what)) != item.values
        else msgspec.structs.replace(item, inherited=True)
        for item in differences(ours.fields, theirs.fields, generated=f"config.{facts.name}.")
    ]


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
