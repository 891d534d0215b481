"""Mean and std: where they are stated, and that deploy code takes them from there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from porter.gates.consistency import source
from porter.gates.consistency.verdict import PACKAGE, stated, train_spec, train_spec_path, unlike, verdict
from porter.records.consistency import ConsistencyFacts
from porter.records.gates import GateResult

_ARGUMENTS = ("image_mean", "image_std")


def normalisation(facts: ConsistencyFacts) -> GateResult:
    """Hold mean and std of specs and schemas to the trainer's, and what deploy code uses to the spec."""
    own, values = train_spec_path(facts.name), train_spec(facts).values
    problems: list[str] = []
    evidence: dict[str, Any] = {}
    kinds = (facts.keys.mean, facts.keys.std)
    for first, *others in kinds:
        for key in (first, *others):
            found = stated(facts, key)
            evidence |= found
            problems += unlike(found, values.get(first, "no value"), f"{own}: {first}")
    places, unlinked = _used(facts)
    said = ", ".join(f"{first.rpartition('.')[2]} {values.get(first)}" for first, *_ in kinds)
    return verdict(
        "consistency-normalisation",
        facts,
        [*problems, *unlinked],
        f"{said} in {len(evidence)} places; {len(places)} arguments of loader and engine builder follow them",
        stated=evidence,
        arguments=places,
    )


def _used(facts: ConsistencyFacts) -> tuple[list[str], list[str]]:
    """Return the arguments by which deploy code hands mean and std on, and those that break the thread.

    From the spec's section to the loader's base class every hand passes on the same name, or the
    section's own field.
    """
    places: list[str] = []
    problems: list[str] = []
    root = f"{PACKAGE['tao-deploy']}/cv/{facts.name}/"
    fields = _fields(facts)
    files = facts.files.get("tao-deploy", {})
    for path, tree in source.trees({path: text for path, text in files.items() if path.startswith(root)}):
        taking = set(_takers(tree, ("Loader", "EngineBuilder") if facts.calibrated else ("Loader",)))
        if (
            facts.calibrated
            and path.endswith("/engine_builder.py")
            and not any(source.called(call).endswith("Loader") for call in taking)
        ):
            problems.append(f"{path}: calibration does not read its images through the loader of inference")
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            given = {name: source.keyword(call, name) for name in _ARGUMENTS}
            if call in taking:
                problems += [
                    f"{path}:{call.lineno}: {ast.unparse(call.func)} is given no {name}"
                    for name, value in given.items()
                    if value is None
                ]
            for name, value in given.items():
                if value is not None:
                    places.append(f"{path}:{call.lineno}: {name}={ast.unparse(value)}")
                    problems += _broken(path, name, value, fields[name])
        for name in _ARGUMENTS:
            for value in source.assigned(tree, name):
                places.append(f"{path}:{value.lineno}: {name} = {ast.unparse(value)}")
                problems += _broken(path, name, value, fields[name])
    return places, problems


def _fields(facts: ConsistencyFacts) -> dict[str, str]:
    """Return the spec's field by argument; where each task has one of its own, without the task."""
    keys = dict(zip(_ARGUMENTS, (facts.keys.mean, facts.keys.std), strict=True))
    return {
        name: found[0] if len(found) == 1 else ".".join(found[0].split(".")[-2:])
        for name, found in keys.items()
    }


def _takers(tree: ast.Module, kinds: tuple[str, ...]) -> Iterator[ast.Call]:
    """Yield calls that need both: objects of these kinds made, and a loader's base class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and source.called(node).endswith(kinds):
            yield node
        elif isinstance(node, ast.ClassDef) and any(
            source.dotted(base).endswith("Loader") for base in node.bases
        ):
            calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
            yield from (call for call in calls if ast.unparse(call.func) == "super().__init__")


def _broken(path: str, name: str, value: ast.expr, field: str) -> list[str]:
    """Return a sentence where *value* is not *name* handed on, and not the spec's field."""
    inner = value
    while isinstance(inner, ast.Call) and source.called(inner) in ("tuple", "list") and len(inner.args) == 1:
        inner = inner.args[0]
    origin = source.dotted(inner)
    if origin.rpartition(".")[2] == name or f".{origin}".endswith(f".{field}"):
        return []
    return [f"{path}:{value.lineno}: {name} is {ast.unparse(value)}, not the spec's {field}"]
