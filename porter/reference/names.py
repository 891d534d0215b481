"""Names that a clone has given away: networks, console scripts, backbones."""

from __future__ import annotations

import ast
import keyword
import re

from porter.records.reference import Reference
from porter.reference.literals import literal_or_none
from porter.reference.modules import keywords
from porter.reference.source import Snapshot

_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 64
_IMPORTED = frozenset(
    {"csv", "einops", "json", "numpy", "os", "pytest", "timm", "torch", "torchvision", "transformers"}
)
"""Modules that generated code uses, beside functions that are called as the network is."""

_SHARED = frozenset({"common", "utils", "core", "config", "backbone", "default_specs"})


def console_scripts(setup: str) -> dict[str, str]:
    """Return target by name of every console script that a ``setup.py`` declares literally."""
    try:
        module = ast.parse(setup)
    except SyntaxError:
        return {}
    scripts: dict[str, str] = {}
    for call in ast.walk(module):
        groups = keywords(call).get("entry_points") if isinstance(call, ast.Call) else None
        if not isinstance(groups, ast.Dict):
            continue
        for key, value in zip(groups.keys, groups.values, strict=True):
            if literal_or_none(key) == "console_scripts" and isinstance(value, ast.List):
                lines = [literal_or_none(item) for item in value.elts]
                pairs = [line.split("=", 1) for line in lines if isinstance(line, str) and "=" in line]
                scripts |= {name.strip(): target.strip() for name, target in pairs}
    return scripts


def network_folders(
    snapshot: Snapshot, package: str, config: str, scripts: dict[str, str]
) -> tuple[str, ...]:
    """Return every network name of a clone, sorted.

    A network is a folder under the configs, or under a domain (``cv``, ``ssl``, ...) that any
    console script points into, or a console script.
    """
    domains = {target.split(".")[1] for target in scripts.values() if target.startswith(f"{package}.")}
    names = set(scripts) | set(snapshot.folders(config))
    for domain in domains:
        names |= set(snapshot.folders(f"{package}/{domain}"))
    return tuple(sorted(names))


def name_taken(reference: Reference, name: str) -> str | None:
    """Return why a port may not be called *name*; None where it may.

    Examples:
        >>> name_taken(reference, "dino")  # doctest: +SKIP
        'tao-pytorch 7.0.1 has a network of that name'
    """
    if not _SNAKE_CASE.fullmatch(name) or len(name) > _LONGEST:
        return "it is not snake_case (lower-case letters and digits, words joined by one underscore)"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "it is a Python keyword"
    if name in _IMPORTED:
        return "the generated code imports a module of that name"
    release = f"{reference.release.repo} {reference.release.version}".strip()
    if name in reference.console_scripts:
        return f"{release} has a console script of that name"
    if name in reference.networks:
        return f"{release} has a network of that name"
    if any(entry.name == name for entry in reference.backbones):
        return f"the backbone registry of {release} has an entry of that name"
    if name in _SHARED:
        return "TAO uses it for something that all networks share"
    return None
