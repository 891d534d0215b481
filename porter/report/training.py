"""The plan of a training: lines for people, JSON for machines; secrets in neither."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import msgspec
import yaml

from porter.records.training import Credential, DataFacts, TrainPlan
from porter.report.terminal import emit

_HIDDEN = "(not shown)"
_SECRET = re.compile(r"(^|_)(key|token|secret|password|passwd|api_?key)$", re.IGNORECASE)


def show_plan(plan: TrainPlan, *, as_json: bool) -> None:
    """Show a plan; what looks like a secret in its spec is hidden."""
    shown = msgspec.structs.replace(plan, spec=_without_secrets(plan.spec))
    if as_json:
        emit(shown)
        return
    _say(f"model     {shown.model}, {shown.action}, data format {shown.format}")
    _say(f"schema    {shown.release}")
    _say(f"platform  {shown.platform}, {_count(shown.nodes, 'node')} with {_count(shown.gpus, 'GPU')}")
    if shown.image:
        _say(f"image     {shown.image}")
    _say(f"command   {shown.command}")
    _say(f"search    {_search(shown)}")
    for origin, facts in shown.data.items():
        _say(f"data      {origin}: {facts.uri}, {_facts(facts)}")
    if shown.start:
        _say(f"weights   {shown.start.source}")
    _list("warning  ", shown.warnings)
    _say("")
    _say("spec, where it differs from the defaults:")
    dumped: str = yaml.safe_dump(shown.spec, sort_keys=False, allow_unicode=True, width=110)
    for line in dumped.splitlines():
        _say(f"  {line}")
    _section("mounts, read-only", (f"{mount.source} -> {mount.target}" for mount in shown.mounts))
    _section(
        "staged before the start",
        (f"{one.source} -> {one.target}{', unpacked' if one.unpack else ''}" for one in shown.staged),
    )
    _section("environment", (_variables(node) for node in shown.environment))
    _section("credentials", map(credential, shown.credentials))
    _section("notes", shown.notes)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _HIDDEN
        if _SECRET.search(str(key)) and isinstance(item, str) and item
        else _without_secrets(item)
        for key, item in value.items()
    }


def _search(plan: TrainPlan) -> str:
    route = plan.search
    if not route.on:
        return f"off: {route.reason}"
    trials = f", {route.recommendations} trials" if route.recommendations else ""
    return (
        f"{route.algorithm}, {route.direction} {route.metric}{trials} ({route.reason}); "
        f"varies {', '.join(route.parameters)}"
    )


def _facts(facts: DataFacts) -> str:
    if facts.kind == "coco":
        counts = f"{facts.images} images, {facts.annotations} annotations, {facts.categories} categories"
        return f"{counts}, greatest category id {facts.max_category_id}"
    if facts.kind == "classes":
        least, most = min(facts.classes.values()), max(facts.classes.values())
        return f"{facts.images} images in {len(facts.classes)} classes of {least} to {most}"
    return "not checked" if facts.kind == "remote" else "its files are there"


def credential(one: Credential) -> str:
    """Return a line about a secret: its names, whether it is set, what for, and where to get it."""
    names = " or ".join((one.name, *one.others))
    if one.present:
        return f"{names}: set, for {one.purpose}"
    state = "missing" if one.required else "not set"
    return f"{names}: {state}, for {one.purpose}; {one.where}"


def _variables(node: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in node.items())


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _section(title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        _say("")
        _say(f"{title}:")
        _list(" ", found)


def _list(prefix: str, lines: Iterable[str]) -> None:
    for line in lines:
        _say(f"{prefix} {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
