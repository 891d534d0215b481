"""Answers what a network's config package and specs say once they are imported, merged and resolved.

Needs omegaconf, and onnx where an ONNX file is asked about; runs in the environment of either repository.
Request: ``porter.records.consistency.SchemaFactsRequest``; answer: ``SchemaFacts``.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
import tempfile
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

_ATTEMPTS = 20
_MISSING = "???"


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Import the package and answer everything that is asked about it."""
    config = _import(f"{request['config_root']}.{request['name']}.default_config")
    experiment = config.ExperimentConfig
    package, _, root = request["config_root"].partition(".")
    generated = f"{root}.{request['name']}.".lstrip(".")
    fields = dict(_fields(experiment(), f"{package}.", generated))
    upstream = _import(f"{request['config_root']}.{request['reference']}.default_config").ExperimentConfig
    return {
        "fields": fields,
        "lineage": list(_lineage(experiment, f"{package}.", generated)),
        "upstream": dict(_fields(upstream(), f"{package}.", generated)),
        "specs": {
            name: _spec(path, experiment, fields, request["values"])
            for name, path in request["specs"].items()
        },
        "mapping": _mapping(f"{request['config_root']}.{request['name']}.model_params_mapping"),
        "onnx": _onnx(request["onnx"]) if request["onnx"] else None,
        "classes": _classes(request, experiment) if request["reader"] else None,
    }


def _import(name: str) -> Any:
    from porter.weights.kernel.serve import ProbeError

    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ProbeError(
            f"{name} cannot be imported",
            why=f"{type(error).__name__}: {error}",
            next_step="mend the generated config package",
        ) from error


def _fields(section: Any, package: str, generated: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every field below a config dataclass; *package* is cut off class names."""
    from porter.weights.kernel.plain import as_plain

    kind = type(section)
    for field in dataclasses.fields(kind):
        value = getattr(section, field.name)
        path = f"{prefix}{field.name}"
        nested = dataclasses.is_dataclass(value)
        yield (
            path,
            {
                "type": type(value).__name__ if nested else _spelled(field.type),
                "default": None if nested else as_plain(value),
                "metadata": {key: as_plain(item) for key, item in field.metadata.items()},
                "owner": _dotted(_owner(kind, field.name), package),
                "lineage": list(_lineage(type(value), package, generated)) if nested else [],
            },
        )
        if nested:
            yield from _fields(value, package, generated, f"{path}.")


def _spelled(annotation: Any) -> str:
    """Return an annotation without module names."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", str(annotation))


def _owner(kind: type, name: str) -> type:
    """Return the class whose body declares a field; the last one that does counts."""
    return next(base for base in kind.__mro__ if name in inspect.get_annotations(base))


def _dotted(kind: type, package: str) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix(package)


def _lineage(kind: type, package: str, generated: str) -> Iterator[str]:
    for base in kind.__mro__:
        name = _dotted(base, package)
        yield name
        if not name.startswith(generated):
            return


def _spec(path: str, experiment: Any, fields: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return what a spec says; a value that does not fit is named and left out, so that the rest is known."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from porter.weights.kernel.plain import as_plain

    try:
        text = OmegaConf.load(path)
    except Exception as error:
        return {"problems": {"": f"it is no YAML of a spec: {str(error).splitlines()[0]}"}}
    if not OmegaConf.is_dict(text):
        return {"problems": {"": "it is no mapping of keys"}}
    stated = dict(_leaves(OmegaConf.to_container(text), fields))
    keys = list(stated)
    unknown = [key for key in keys if key not in fields]
    problems: dict[str, str] = {}
    for key in unknown:
        _drop(text, key)
    merged = OmegaConf.structured(experiment)
    for _ in range(_ATTEMPTS):
        try:
            merged = OmegaConf.merge(OmegaConf.structured(experiment), text)
            break
        except OmegaConfBaseException as error:
            key = str(getattr(error, "full_key", "") or "")
            problems[key] = str(error).splitlines()[0]
            if not key or not _drop(text, key):
                break
    # Merged over a default, `???` gives way to it: only the text says what is left to the user.
    required = sorted(key for key, value in stated.items() if _open(value))
    leaves = dict(_leaves(OmegaConf.to_container(merged), fields))
    missing = {key for key, value in leaves.items() if value == _MISSING} | set(required)
    for key, value in values.items():
        if key in fields:
            OmegaConf.update(merged, key, value)
    resolved = {}
    still_missing = missing - set(values)
    for key in (key for key, field in fields.items() if not field["lineage"] and key not in still_missing):
        try:
            value = OmegaConf.select(merged, key)
            resolved[key] = as_plain(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value)
        except OmegaConfBaseException as error:
            problems[key] = str(error).splitlines()[0]
    return {
        "keys": keys,
        "unknown": unknown,
        "problems": problems,
        "required": required,
        "unset": sorted(still_missing - set(required)),
        "values": resolved,
    }


def _open(value: Any) -> bool:
    """Say whether a value, or a field of an entry of a list, is left to the user."""
    if isinstance(value, list):
        return any(_MISSING in entry.values() for entry in value if isinstance(entry, dict))
    return bool(value == _MISSING)


def _leaves(content: Any, fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and what they are set to, down to the fields that are no sections."""
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        path = f"{prefix}{key}"
        section = path in fields and fields[path]["lineage"]
        if isinstance(value, dict) and section:
            yield from _leaves(value, fields, f"{path}.")
        else:
            yield path, value


def _drop(config: Any, key: str) -> bool:
    """Remove a dotted key; say whether it was there."""
    *sections, last = key.split(".")
    for section in sections:
        if section not in config:
            return False
        config = config[section]
    if last not in config:
        return False
    del config[last]
    return True


def _mapping(module: str) -> dict[str, Any] | None:
    from porter.weights.kernel.plain import as_plain

    try:
        mapping = importlib.import_module(module).map_params
    except (ImportError, AttributeError):
        return None
    plain: dict[str, Any] = as_plain(mapping)
    return plain


def _onnx(path: str) -> dict[str, Any]:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    stored = {tensor.name for tensor in graph.initializer}

    def shapes(values: Any) -> dict[str, list[int | str]]:
        return {
            value.name: [
                dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
                for dim in value.type.tensor_type.shape.dim
            ]
            for value in values
            if value.name not in stored
        }

    return {"inputs": shapes(graph.input), "outputs": shapes(graph.output)}


def _classes(request: dict[str, Any], experiment: Any) -> list[str]:
    """Return the names that the reader finds in a class file, by index."""
    from omegaconf import OmegaConf

    module, _, name = request["reader"].partition(":")
    read = getattr(_import(module), name)
    with tempfile.TemporaryDirectory() as folder:
        lines = "".join(f"{label}\n" for label in request["classes"])
        Path(folder, "classes.txt").write_text(lines, encoding="utf-8")
        config = OmegaConf.structured(experiment)
        config.dataset.root_dir = folder
        config.dataset.num_classes = len(request["classes"])
        found = read(config.dataset)
    return [label for label, _ in sorted(found.items(), key=lambda item: item[1])]


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
