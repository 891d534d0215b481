"""Imports the deploy package and resolves its specs as the scripts do.

Request: ``porter.records.engines.PackageRequest``; answer: ``PackageFacts``.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def spec_facts(schema: Any, path: str, given: list[str], asked: list[str]) -> dict[str, Any]:
    """Merge one spec with the schema; say what it leaves open and what its keys come to."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.load(path))
        missing = sorted(_open_keys(OmegaConf.to_container(OmegaConf.load(path), resolve=False)))
        config = OmegaConf.merge(config, OmegaConf.from_dotlist(given))
        resolved = {}
        for key in asked:
            value = OmegaConf.select(config, key)
            resolved[key] = OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        return {"missing": [], "resolved": {}, "error": str(error).splitlines()[0]}
    return {"missing": missing, "resolved": resolved, "error": ""}


def _open_keys(node: Any, above: str = "") -> Iterator[str]:
    """Yield the dotted keys that a spec states as mandatory; what refers to one is not among them."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _open_keys(value, f"{above}{key}.")
        elif isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _open_keys(item, f"{above}{key}[{place}].")
        elif value == "???":
            yield f"{above}{key}"


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    imported, errors = {}, {}
    for name in request["modules"]:
        try:
            imported[name] = str(importlib.import_module(name).__file__)
        except BaseException:
            errors[name] = traceback.format_exc()
    loaded = sorted(set(request["forbidden"]) & {name.partition(".")[0] for name in sys.modules})
    specs = {}
    module, _, kind = request["schema"].partition(":")
    if module not in errors:
        schema = getattr(importlib.import_module(module), kind)
        specs = {
            name: spec_facts(schema, path, request["given"], request["asked"])
            for name, path in request["specs"].items()
        }
    return {"imported": imported, "errors": errors, "loaded": loaded, "specs": specs}


if __name__ == "__main__":
    answer = run(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(answer))
