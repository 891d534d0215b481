"""Rebuilds facts under ``references/`` from released packages.

``python -m porter.refresh model-types`` reads wheels of transformers with ``ast``;
``python -m porter.refresh processors --python PYTHON`` asks the transformers of an environment.
Only names, versions and default values are written, nobody's code.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from porter.resources import tree

VERSIONS = (
    "4.40.2",
    "4.44.2",
    "4.48.3",
    "4.51.3",
    "4.53.3",
    "4.55.4",
    "4.56.2",
    "4.57.6",
    "5.0.0",
    "5.4.0",
    "5.8.1",
    "5.12.1",
    "5.16.1",
    "5.20.2",
    "5.23.0",
)
"""Releases of transformers that the facts are sampled from, oldest first."""

DEFAULTS_VERSION = "4.57.6"
"""The release whose input defaults are recorded: the one that tao-pytorch 7.0.1 ships."""

_AUTO = "transformers/models/auto/"
_INPUT_DEFAULTS = ("image_size", "num_channels")


def pairs(node: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every ``("key", "Name")``, ``("key", ("A", "B"))`` and ``"key": "Name"`` inside *node*.

    The inside of a pair is not searched again: ``("A", "B")`` as a value is no pair of its own.
    """
    if isinstance(node, ast.Tuple) and len(node.elts) == 2:
        pair = _pair(node.elts[0], node.elts[1])
        if pair:
            yield pair
            return
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            pair = _pair(key, value)
            if pair:
                yield pair
        return
    for child in ast.iter_child_nodes(node):
        yield from pairs(child)


def _pair(key: ast.expr | None, value: ast.expr) -> tuple[str, tuple[str, ...]] | None:
    names = _names(value)
    if isinstance(key, ast.Constant) and isinstance(key.value, str) and names:
        return key.value, names
    return None


def _names(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    if isinstance(node, ast.Tuple | ast.List):
        found = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
        return tuple(found) if len(found) == len(node.elts) else ()
    return ()


def mappings(source: str) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """Return the entries of every module-level ``*_MAPPING_NAMES`` in *source*, by its name."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for statement in ast.parse(source).body:
        target: ast.expr | None = None
        value: ast.expr | None = None
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign):
            target, value = statement.target, statement.value
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            if isinstance(call.func, ast.Attribute) and call.func.attr == "update":
                target, value = call.func.value, call
        if isinstance(target, ast.Name) and value is not None and target.id.endswith("MAPPING_NAMES"):
            found.setdefault(target.id, []).extend(pairs(value))
    return found


def input_defaults(source: str) -> dict[str, dict[str, Any]]:
    """Return literal defaults of ``image_size`` and ``num_channels`` by the ``model_type`` of each class."""
    found: dict[str, dict[str, Any]] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        model_type = ""
        defaults: dict[str, Any] = {}
        for item in node.body:
            if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
                if item.targets[0].id == "model_type" and isinstance(item.value, ast.Constant):
                    model_type = str(item.value.value)
            elif isinstance(item, ast.FunctionDef) and item.name == "__init__":
                named = item.args.args[len(item.args.args) - len(item.args.defaults) :]
                for argument, default in zip(named, item.args.defaults, strict=True):
                    if argument.arg in _INPUT_DEFAULTS:
                        try:
                            value = ast.literal_eval(default)
                        except ValueError:
                            continue
                        if value is not None:
                            defaults[argument.arg] = value
        if model_type and defaults:
            found[model_type] = defaults
    return found


def model_types(wheels: Path, versions: Sequence[str] = VERSIONS) -> dict[str, Any]:
    """Read model types, model classes and input defaults from the transformers wheels in *wheels*.

    Raises:
        FileNotFoundError: a version's wheel is not there.
    """
    types: dict[str, dict[str, str]] = {}
    classes: dict[str, dict[str, Any]] = {}
    inputs: dict[str, dict[str, Any]] = {}
    for version in versions:
        with zipfile.ZipFile(wheels / f"transformers-{version}-py3-none-any.whl") as wheel:
            names = set(wheel.namelist())
            configs = [
                entry
                for file in ("configuration_auto.py", "auto_mappings.py")
                if _AUTO + file in names
                for entry in mappings(wheel.read(_AUTO + file).decode()).get("CONFIG_MAPPING_NAMES", ())
            ]
            for model_type, _ in configs:
                _see(types.setdefault(model_type, {}), version)
            for name, entries in mappings(wheel.read(_AUTO + "modeling_auto.py").decode()).items():
                head = name.removeprefix("MODEL_FOR_").removesuffix("_MAPPING_NAMES").removesuffix("_MAPPING")
                for model_type, architectures in entries:
                    for architecture in architectures:
                        facts = classes.setdefault(architecture, {"model_types": [], "heads": []})
                        _see(facts, version)
                        facts["heads"] = sorted({*facts["heads"], head})
                        facts["model_types"] = sorted({*facts["model_types"], model_type})
            if version == DEFAULTS_VERSION:
                for file in sorted(n for n in names if "/configuration_" in n and n.endswith(".py")):
                    inputs.update(input_defaults(wheel.read(file).decode()))
    for facts in (*types.values(), *classes.values()):
        if facts["since"] == versions[0]:
            del facts["since"]
        if facts["until"] == versions[-1]:
            del facts["until"]
    return {
        "architectures": classes,
        "inputs": inputs,
        "model_types": types,
        "versions": list(versions),
    }


def _see(facts: dict[str, Any], version: str) -> None:
    facts.setdefault("since", version)
    facts["until"] = version


def compact(facts: dict[str, Any]) -> str:
    """Return *facts* as JSON with one line per entry, so that a rebuild reads as a short diff."""
    lines = ["{"]
    for index, (section, entries) in enumerate(sorted(facts.items())):
        end = "" if index == len(facts) - 1 else ","
        if isinstance(entries, dict):
            rows = [
                f"    {json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in sorted(entries.items())
            ]
            lines += [f"  {json.dumps(section)}: {{", ",\n".join(rows), f"  }}{end}"]
        else:
            lines.append(f"  {json.dumps(section)}: {json.dumps(entries)}{end}")
    return "\n".join([*lines, "}"]) + "\n"


def processors(python: str) -> dict[str, Any]:
    """Ask the transformers of *python* for the defaults of the image processors in ``processors.toml``.

    Raises:
        subprocess.CalledProcessError: the probe failed there.
    """
    from porter.processors import classes

    with tempfile.TemporaryDirectory() as scratch:
        request, answer = Path(scratch, "request.json"), Path(scratch, "answer.json")
        request.write_text(json.dumps({"classes": classes()}), encoding="utf-8")
        probe = Path(__file__).with_name("probes") / "processor_defaults.py"
        subprocess.run([python, str(probe), str(request), str(answer)], check=True)
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m porter.refresh", description=__doc__)
    commands = parser.add_subparsers(dest="facts", required=True)
    command = commands.add_parser("model-types")
    command.add_argument("--wheels", type=Path, help="folder with the wheels; missing ones are downloaded")
    command = commands.add_parser("processors")
    command.add_argument("--python", required=True, help="interpreter of an environment with transformers")
    options = parser.parse_args(arguments)
    if options.facts == "processors":
        target, facts = "processor_defaults.json", processors(options.python)
    else:
        target, facts = "model_types.json", _from_wheels(options.wheels)
    (tree("references") / target).write_text(compact(facts), encoding="utf-8")
    return 0


def _from_wheels(folder: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        wheels = folder or Path(scratch)
        for version in VERSIONS:
            if not (wheels / f"transformers-{version}-py3-none-any.whl").exists():
                pip = [
                    sys.executable,
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--only-binary",
                    ":all:",
                ]
                subprocess.run([*pip, "-d", str(wheels), f"transformers=={version}"], check=True)
        return model_types(wheels)


if __name__ == "__main__":
    raise SystemExit(main())
