"""Has TAO's own converter turn a network's config dataclass into a schema, and says where the two disagree.

Needs nvidia_tao_core with its converter, and the config package on PYTHONPATH.
Request: ``porter.records.skills.SchemaRequest``; answer: ``SchemaAnswer``.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

_CONVERTER = "nvidia_tao_core.api_utils.dataclass2json_converter"
_NOTHING: tuple[Any, ...] = (None, "", "???", {}, [])


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Import the dataclass and the converter, and answer with schemas as text: they hold infinities."""
    from porter.weights.kernel.serve import ProbeError

    module, _, name = request["config"].partition(":")
    converter = _import(_CONVERTER, "the environment needs nvidia-tao-core")
    experiment = getattr(_import(module, "the clone needs the network's config package"), name, None)
    if not dataclasses.is_dataclass(experiment) or not isinstance(experiment, type):
        raise ProbeError(f"{module} has no dataclass {name}", next_step="check out a release that has it")
    schema = _schema(converter, experiment())
    return {
        "schema": json.dumps(schema),
        "filled": {
            name: json.dumps(_schema(converter, filled)) for name, filled in _with_sections(experiment)
        },
        "differences": list(_differences(experiment(), schema["properties"])),
        "keys": sorted(_keys(experiment())),
    }


def _import(name: str, need: str) -> Any:
    from porter.weights.kernel.serve import ProbeError

    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ProbeError(
            f"{name} cannot be imported", why=f"{type(error).__name__}: {error}", next_step=need
        ) from error


def _schema(converter: Any, experiment: Any) -> dict[str, Any]:
    from porter.weights.kernel.serve import ProbeError

    described = converter.dataclass_to_json(experiment)
    if described is None:
        raise ProbeError("TAO's converter could not read the dataclass", why="its log says at which field")
    made: dict[str, Any] = converter.create_json_schema(described)
    return made


def _with_sections(experiment: type) -> Iterator[tuple[str, Any]]:
    """Yield experiments whose optional section is there: the converter shows one that is None as empty."""
    hints = typing.get_type_hints(experiment)
    for field in dataclasses.fields(experiment):
        whole = experiment()
        section = _section(hints.get(field.name))
        if getattr(whole, field.name) is None and section is not None:
            setattr(whole, field.name, section())
            yield field.name, whole


def _section(annotation: Any) -> type | None:
    """Return the dataclass that a field holds, or may hold."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((kind for kind in map(_section, typing.get_args(annotation)) if kind), None)
    return None


def _differences(section: Any, properties: dict[str, Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    """Yield the fields whose value in an empty spec is another than in a template made of the schema."""
    from porter.weights.kernel.plain import as_plain

    for field in dataclasses.fields(section):
        value, described = getattr(section, field.name), properties.get(field.name, {})
        if dataclasses.is_dataclass(value):
            yield from _differences(value, described.get("properties", {}), f"{prefix}{field.name}.")
            continue
        default = described.get("default")
        if not _alike(value, default):
            yield {
                "key": f"{prefix}{field.name}",
                "value": as_plain(value),
                "default_value": as_plain(default),
            }


def _alike(value: Any, default: Any) -> bool:
    """Say whether both mean the same in a spec: nothing has several spellings, and one bool is "TRUE"."""
    if isinstance(default, bool) and isinstance(value, str):
        return value.lower() == str(default).lower()
    return bool(value == default or (value in _NOTHING and default in _NOTHING))


def _keys(section: Any, prefix: str = "") -> Iterator[str]:
    """Yield every key of a section and of those in it, also of optional ones that are None."""
    hints = typing.get_type_hints(type(section))
    for field in dataclasses.fields(section):
        path, value = f"{prefix}{field.name}", getattr(section, field.name)
        yield path
        kind = None if dataclasses.is_dataclass(value) else _section(hints.get(field.name))
        if kind is not None:
            value = kind()
        if dataclasses.is_dataclass(value):
            yield from _keys(value, f"{path}.")


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
