"""Packages: what setuptools would find, and the parameter mapping that belongs to them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from porter.gates.consistency.verdict import (
    PACKAGE,
    config_path,
    schemas,
    stated,
    train_spec,
    train_spec_path,
    unlike,
    verdict,
)
from porter.records.consistency import ConsistencyFacts
from porter.records.gates import GateResult

_INIT = "__init__.py"


def init_files(facts: ConsistencyFacts) -> GateResult:
    """Look for ``__init__.py`` in every folder with Python, from the repository's package down."""
    problems: list[str] = []
    counts: dict[str, int] = {}
    for repo, files in facts.files.items():
        there = {*files, *facts.above.get(repo, ())}
        folders = _folders(files, PACKAGE[repo])
        counts[repo] = len(folders)
        problems += [
            f"{repo}: {folder}/{_INIT} is not there, so find_packages leaves {folder} out"
            for folder in folders
            if f"{folder}/{_INIT}" not in there
        ]
        if not folders:
            problems.append(f"{repo}: no generated package below {PACKAGE[repo]}")
    said = ", ".join(f"{count} packages in {repo}" for repo, count in counts.items())
    return verdict("consistency-packages", facts, problems, said, packages=counts)


def _folders(files: dict[str, str], root: str) -> list[str]:
    """Return folders with Python files and those above them, down from *root*."""
    found: set[str] = set()
    for path in files:
        if path.startswith(f"{root}/") and path.endswith(".py"):
            found |= {str(parent) for parent in PurePosixPath(path).parents if str(parent) != "."}
    return sorted(found)


def params_mapping(facts: ConsistencyFacts) -> GateResult:
    """Hold the mapping of both repositories to the width of the head that is built."""
    own, values = train_spec_path(facts.name), train_spec(facts).values
    backbone = values.get(facts.keys.model, "no value")
    width: Any = facts.head[1] if len(facts.head) > 1 else "no head"
    mapped = schemas(facts) if facts.has_mapping else {}
    found = stated(facts, "model.head.in_channels") if facts.has_mapping else {}
    for repo, schema in mapped.items():
        where = config_path(repo, facts, "model_params_mapping")
        if schema.mapping is None:
            found[f"{where}: map_params"] = "not there"
            continue
        section = schema.mapping.get("head")
        widths = section.get("in_channels") if isinstance(section, dict) else None
        known = widths.get(backbone, "no entry") if isinstance(widths, dict) else "no entry"
        found[f"{where}: head.in_channels.{backbone}"] = known
    problems = unlike(found, width, "the built model's head")
    types = stated(facts, facts.keys.model)
    problems += unlike(types, backbone, f"{own}: {facts.keys.model}")
    said = f"{backbone}: {width} in {len(found)} places"
    if not facts.has_mapping:
        said = f"{backbone} in {len(types)} places; the reference has no mapping of parameters"
    return verdict("consistency-params-mapping", facts, problems, said, widths=found, head=list(facts.head))
