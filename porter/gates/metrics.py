"""Compares two ``results.json`` files of the same images: keys and numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def metric_problem(native: Path, engine: Path, *, tolerance: float, whose: str = "the trainer's") -> str:
    """Return how the metrics of two scripts differ; empty where they do not.

    Args:
        native: file of the trainer's script.
        engine: file of the deploy script, or of another that has to say the same.
        tolerance: on the difference of two numbers; of large ones, on its share of them.
        whose: what the first file is called.
    """
    wanted, problem = read_metrics(native)
    if problem:
        return f"{whose} {problem}"
    found, problem = read_metrics(engine)
    if problem:
        return problem
    if found.keys() != wanted.keys():
        return f"results.json has {', '.join(found)}, {whose} {', '.join(wanted)}"
    return "; ".join(
        f"{key} is {found[key]!r}, {whose} {value!r}"
        for key, value in wanted.items()
        if not _are_equal(value, found[key], tolerance)
    )


def _are_equal(value: Any, other: Any, tolerance: float) -> bool:
    """Return whether both are numbers and the same, or both none.

    A NaN is at no distance from anything, so it is not.
    """
    if value is None or other is None:
        return value is other
    numbers = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in (value, other))
    return numbers and abs(other - value) <= tolerance * max(1.0, abs(value))


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
