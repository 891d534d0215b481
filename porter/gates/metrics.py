"""Compares two ``results.json`` files of the same images: keys and numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TOLERANCE = 1e-6


def metric_problem(native: Path, engine: Path) -> str:
    """Return how the deploy script's metrics differ from the trainer's; empty where they do not."""
    wanted, problem = read_metrics(native)
    if problem:
        return f"the trainer's {problem}"
    found, problem = read_metrics(engine)
    if problem:
        return problem
    if found.keys() != wanted.keys():
        return f"results.json has {', '.join(found)}, the trainer's {', '.join(wanted)}"
    return "; ".join(
        f"{key} is {found[key]!r}, the trainer's {value!r}"
        for key, value in wanted.items()
        if not _are_equal(value, found[key])
    )


def _are_equal(value: Any, other: Any) -> bool:
    """Return whether both are numbers and the same, or both none.

    A NaN is at no distance from anything, so it is not.
    """
    if value is None or other is None:
        return value is other
    numbers = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in (value, other))
    return numbers and abs(other - value) <= _TOLERANCE


def read_metrics(path: Path) -> tuple[dict[str, Any], str]:
    """Return the metrics of a file; or none, and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}, f"{path.parent.name}/{path.name} is missing"
    try:
        metrics = json.loads(text)
    except ValueError:
        return {}, f"results.json is no JSON: {text[:80]!r}"
    if not isinstance(metrics, dict) or not metrics:
        return {}, f"results.json holds no metrics: {text[:80]!r}"
    return _flat(metrics), ""


def _flat(metrics: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return the metrics by dotted key, those of tables in it among them."""
    flat: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat
