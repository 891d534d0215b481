"""Reads the source of a model class of transformers, and what of it the model's config uses.

Request: ``porter.records.transplant.LiftRequest``; answer: ``LiftFacts``. No weights are opened.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

PACKAGE = "transformers"


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    import transformers

    from porter.weights.kernel.serve import ProbeError

    kind: Any = getattr(transformers, request["architecture"], None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise ProbeError(
            f"transformers {transformers.__version__} has no model class {request['architecture']}"
        )
    try:
        config = transformers.AutoConfig.from_pretrained(
            request["folder"], local_files_only=True, trust_remote_code=False
        )
        model = build(kind, config)
    except Exception as error:
        raise ProbeError(
            f"{request['architecture']} cannot be built from its config",
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"[:300],
        ) from error
    module = importlib.import_module(kind.__module__)
    built = parts(model, config)
    live = {base for part in model.modules() for base in type(part).__mro__}
    return {
        "transformers": transformers.__version__,
        "architecture": request["architecture"],
        "module": kind.__module__,
        "sources": sources([kind.__module__, *(each["module"] for each in built.values())], request["skip"]),
        "modules": sorted(
            name
            for name, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, torch.nn.Module)
            and value.__module__ == kind.__module__
        ),
        "live": sorted({each.__name__ for each in live if each.__module__.startswith(f"{PACKAGE}.")}),
        "config": settings(config),
        "parts": built,
        "licence": licence(),
    }


def build(kind: Any, config: Any) -> Any:
    """Return a model of *kind*: without memory for its weights where its code can do without."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception), torch.device("meta"):
            return kind(config)
        return kind(config)


def parts(model: Any, config: Any) -> dict[str, dict[str, str]]:
    """Return the class of the model that was built from each sub-config, by the name of the setting.

    The source says only that some class is looked up for it.
    """
    import transformers

    inner = [each for each in model.modules() if isinstance(each, transformers.PreTrainedModel)][1:]
    found = {}
    for name, value in vars(config).items():
        if not isinstance(value, transformers.PretrainedConfig):
            continue
        for each in inner:
            # A model may keep a copy of what it was given.
            if type(each.config) is type(value) and each.config.to_dict() == value.to_dict():
                found[name] = {"module": type(each).__module__, "architecture": type(each).__name__}
                break
    return found


def settings(config: Any) -> dict[str, Any]:
    """Return everything that can be read off a config and written as JSON, and the name of its class.

    Properties and aliases (``num_labels``, ``out_features``, what ``attribute_map`` renames) become plain
    values.
    """
    found: dict[str, Any] = {"class_name": type(config).__name__}
    for name in sorted({*dir(config), *getattr(config, "attribute_map", {})}):
        if name.startswith("__"):
            continue
        try:
            value = getattr(config, name)
        except Exception:  # noqa: S112 - a property that this config does not have
            continue
        if hasattr(value, "to_dict") and hasattr(value, "model_type") and not isinstance(value, type):
            found[name] = settings(value)
        elif not callable(value) and is_plain(value):
            found[name] = value
    return found


def licence() -> str:
    """Return the licence text of the installed package; empty where it has none."""
    for path in metadata.files(PACKAGE) or ():
        if path.name == "LICENSE":
            return path.read_text(encoding="utf-8")
    return ""


def is_plain(value: Any) -> bool:
    """Return whether JSON holds *value* as it is, but for tuples, which become lists."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == untupled(value))
    except (TypeError, ValueError):
        return False


def untupled(value: Any) -> Any:
    """Return *value* with lists for tuples."""
    if isinstance(value, list | tuple):
        return [untupled(item) for item in value]
    return {key: untupled(item) for key, item in value.items()} if isinstance(value, dict) else value


def sources(modules: Sequence[str], skip: Sequence[str]) -> dict[str, str]:
    """Return the text of *modules* and, breadth first, of everything that they import of transformers."""
    found: dict[str, str] = {}
    waiting = [*modules]
    while waiting:
        name = waiting.pop(0)
        if name in found or is_skipped(name, skip):
            continue
        path = place(name)
        if path is None:
            continue
        found[name] = path.read_text(encoding="utf-8")
        waiting += imported(name, found[name])
    return found


def is_skipped(name: str, skip: Sequence[str]) -> bool:
    """Return whether *skip* names the module, or a package that it lies in; ``*`` stands for any letters."""
    import fnmatch

    below = name.removeprefix(f"{PACKAGE}.")
    return name == PACKAGE or any(
        fnmatch.fnmatchcase(below, pattern) or fnmatch.fnmatchcase(below, f"{pattern}.*") for pattern in skip
    )


def place(name: str) -> Path | None:
    """Return the file of a module; None for packages, and where there is none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec is not None and spec.origin else None
    return path if path is not None and path.suffix == ".py" and path.stem != "__init__" else None


def imported(name: str, text: str) -> Iterator[str]:
    """Yield the modules of transformers that ``from ... import`` statements of a module name."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom):
            continue
        target = node.module or ""
        if node.level:
            parts = name.split(".")[: -node.level]
            target = ".".join([*parts, target] if target else parts)
        if target.split(".")[0] == PACKAGE:
            yield target
            # Each name may be a module of its own.
            yield from (f"{target}.{alias.name}" for alias in node.names)


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
