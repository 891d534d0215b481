"""Which dataset formats a clone of tao-dataservices converts; it is only read."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import msgspec

from porter.errors import WorkspaceError
from porter.records.base import Record, Task
from porter.records.reference import DatasetCoverage
from porter.reference.source import Snapshot
from porter.resources import tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MARKER = "nvidia_tao_ds/__init__.py"


class _Converters(Record, frozen=True, kw_only=True):
    file: str
    name: str


class _Dataset(Record, frozen=True, kw_only=True):
    format: str
    names: tuple[str, ...]


class _Facts(Record, frozen=True, kw_only=True):
    converters: _Converters
    datasets: dict[str, _Dataset]


def read_coverage(clone: Path | None, task: Task) -> DatasetCoverage:
    """Say whether the converters of *clone* make what networks for *task* are trained on.

    Args:
        clone: read at its HEAD; None where there is none.
        task: of the model.

    Raises:
        WorkspaceError: *clone* is no clone of tao-dataservices.
    """
    facts = _facts()
    dataset = facts.datasets.get(task, _Dataset(format=f"datasets for {task}", names=()))
    if clone is None:
        why = f"there is no clone of tao-dataservices to look at: {dataset.format} are used as given"
        return DatasetCoverage(format=dataset.format, looked_at=False, reason=why)
    snapshot = Snapshot(clone)
    _check(snapshot, clone)
    where = f"tao-dataservices {snapshot.commit[:10]}"
    converters = _mapping(snapshot.text(facts.converters.file), facts.converters.name)
    if converters is None:
        reason = f"{where} has no {facts.converters.name} that porter can read in {facts.converters.file}"
        return DatasetCoverage(format=dataset.format, looked_at=False, commit=snapshot.commit, reason=reason)
    pairs = tuple(f"{source} -> {target}" for source, targets in converters.items() for target in targets)
    found = [pair for pair in pairs if set(pair.split(" -> ")) & set(dataset.names)]
    reason = (
        f"{where} converts {dataset.format}: {', '.join(found)}"
        if found
        else f"{where} has no converter for {dataset.format}: the trainer reads them as they are"
    )
    return DatasetCoverage(
        format=dataset.format,
        looked_at=True,
        covered=bool(found),
        commit=snapshot.commit,
        converters=pairs,
        reason=reason,
    )


def _check(snapshot: Snapshot, clone: Path) -> None:
    if _MARKER not in snapshot.paths:
        raise WorkspaceError(
            f"{clone} is not a clone of tao-dataservices",
            why=f"commit {snapshot.commit[:12]} has no {_MARKER}",
            next_step="give the folder of a tao-data-services clone, or leave out --tao-dataservices",
        )


def _mapping(text: str, name: str) -> dict[str, tuple[str, ...]] | None:
    """Return the formats that each format is converted to; None where they are not stated literally."""
    try:
        module = ast.parse(text)
    except SyntaxError:
        return None
    for node in module.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            found = {source: _keys(targets) for source, targets in _items(node.value)}
            return found or None
    return None


def _items(node: ast.expr) -> list[tuple[str, ast.expr]]:
    if not isinstance(node, ast.Dict):
        return []
    return [
        (key.value.lower(), value)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]


def _keys(node: ast.expr) -> tuple[str, ...]:
    return tuple(key for key, _ in _items(node))


def _facts() -> _Facts:
    text = (tree("references") / "dataservices.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Facts)
