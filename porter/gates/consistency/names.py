"""Names that one part gives and another relies on: of checkpoints, and of the graph's ends."""

from __future__ import annotations

import re
from typing import Any

from porter.gates.consistency import source
from porter.gates.consistency.verdict import PACKAGE, train_spec, train_spec_path, unlike, verdict
from porter.records.consistency import ConsistencyFacts
from porter.records.gates import GateResult

_LATEST = re.compile(r"""[^\s"'`/=:]*_latest\.(?:pth|tlt)""")
_BY_NAME = (
    "get_binding_index",
    "get_tensor_dtype",
    "get_tensor_mode",
    "get_tensor_profile_shape",
    "get_tensor_shape",
    "set_input_shape",
    "set_shape",
    "set_tensor_address",
)
"""Calls of TensorRT that take the name of a tensor."""

_STEPS = ("evaluate", "inference", "export")


def checkpoint(facts: ConsistencyFacts) -> GateResult:
    """Hold every reference to a latest checkpoint to the name under which the trainer writes it."""
    expected = f"{facts.name}_model"
    module = f"{PACKAGE['tao-pytorch']}/cv/{facts.name}/{facts.pl_module.replace('.', '/')}.py"
    written = _written(facts, module)
    problems = unlike({f"{module}: checkpoint_filename": written}, expected, "the network's name")
    references: dict[str, str] = {}
    for repo in facts.repos:
        for path, text in facts.files.get(repo, {}).items():
            for number, line in enumerate(text.splitlines(), start=1):
                for match in _LATEST.finditer(line):
                    references[f"{path}:{number}"] = match.group()
    latest = f"{expected}_latest.pth"
    problems += unlike(references, latest, f"{module}: checkpoint_filename")
    own, values = train_spec_path(facts.name), train_spec(facts).values
    keys = [f"{step}.checkpoint" for step in _STEPS if f"{step}.checkpoint" not in facts.settings]
    problems += unlike(
        {f"{own}: {key}": values.get(key, "no value") for key in keys},
        f"{values.get('results_dir')}/train/{latest}",
        "the train script",
    )
    said = f"{written}; {len(references)} references to {latest}"
    return verdict("consistency-checkpoint", facts, problems, said, references=references)


def _written(facts: ConsistencyFacts, module: str) -> Any:
    """Return the name that the Lightning module sets, last assignment first to count."""
    text = facts.files.get("tao-pytorch", {}).get(module, "")
    tree = source.parsed(text)
    values = [source.literal(value) for value in source.assigned(tree, "checkpoint_filename")] if tree else []
    return values[-1] if values else "not set"


def onnx_names(facts: ConsistencyFacts) -> GateResult:
    """Hold the names of inputs and outputs to those that the exporter frees and the engine's side uses."""
    script = f"{PACKAGE['tao-pytorch']}/cv/{facts.name}/scripts/export.py"
    inputs, outputs = _exported_names(facts, script)
    problems: list[str] = []
    if not inputs or not outputs:
        problems.append(f"{script}: the export is given no literal input_names and output_names")
    freed = _freed(facts.exporter)
    problems += unlike({"the exporter's dynamic_axes": sorted(freed)}, sorted([*inputs, *outputs]), script)
    schema = facts.schemas.get("tao-pytorch")
    onnx = schema.onnx if schema else None
    if onnx is not None:
        problems += unlike({"exported ONNX: inputs": list(onnx.inputs)}, list(inputs), script)
        problems += unlike({"exported ONNX: outputs": list(onnx.outputs)}, list(outputs), script)
    problems += _deployed(facts, inputs, outputs, script)
    said = f"{', '.join(inputs)} -> {', '.join(outputs)}"
    return verdict(
        "consistency-onnx-names",
        facts,
        problems,
        said,
        script=[list(inputs), list(outputs)],
        exporter=sorted(freed),
        exported=[list(onnx.inputs), list(onnx.outputs)] if onnx else None,
        engine_inputs=list(facts.engine_inputs),
    )


def _deployed(facts: ConsistencyFacts, inputs: list[str], outputs: list[str], script: str) -> list[str]:
    """Return what the deploy package expects of the graph's ends, and does not get."""
    if "tao-deploy" not in facts.repos:
        return []
    problems = []
    ends = {"inputs": inputs, "outputs": outputs}
    for what, names in ends.items():
        if len(names) > 1:
            problems.append(f"{script}: {len(names)} {what}, but the deploy package takes the first alone")
    if facts.engine_inputs:
        problems += unlike({"the engine's inputs": list(facts.engine_inputs)}, sorted(inputs), script)
    for path, tree in source.trees(facts.files.get("tao-deploy", {})):
        for call in (each for name in _BY_NAME for each in source.calls(tree, name)):
            named = source.literal(source.keyword(call, "input") or next(iter(call.args), None))
            if isinstance(named, str) and named not in (*inputs, *outputs):
                problems.append(
                    f"{path}:{call.lineno} asks the engine for {named!r}, {script} has {[*inputs, *outputs]}"
                )
        for attribute, names in (("_input_node_names", inputs), ("_output_node_names", outputs)):
            found = [source.literal(value) for value in source.assigned(tree, attribute)]
            problems += [
                f"{path}: {attribute} is {value!r}, {script} has {names!r}"
                for value in found
                if value != names
            ]
    return problems


def _exported_names(facts: ConsistencyFacts, script: str) -> tuple[list[str], list[str]]:
    tree = source.parsed(facts.files.get("tao-pytorch", {}).get(script, ""))
    calls = [*source.calls(tree, "export_model"), *source.calls(tree, "export")] if tree else []
    call = next(iter(calls), None)
    if call is None:
        return [], []
    names = (source.literal(source.keyword(call, name)) for name in ("input_names", "output_names"))
    first, second = (value if isinstance(value, list) else [] for value in names)
    return first, second


def _freed(exporter: str) -> set[str]:
    """Return the names whose axes the exporter makes dynamic."""
    tree = source.parsed(exporter)
    if tree is None:
        return set()
    axes = (source.literal(value) for value in source.assigned(tree, "dynamic_axes"))
    return {str(name) for each in axes if isinstance(each, dict) for name in each}
