"""What a model does, read from names alone: model class, model type, pipeline tag.

The tables are data: ``references/tasks.toml`` (tasks and rejections) and
``references/model_types.json`` (what each release of transformers knows).
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import msgspec
from packaging.version import InvalidVersion, Version

from porter.records.base import Record, Task
from porter.resources import tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TASKS: tuple[Task, ...] = get_args(Task)


class TaskEntry(Record, frozen=True, kw_only=True):
    """A task and the names that stand for it."""

    name: Task
    heads: tuple[str, ...]
    suffixes: tuple[str, ...]
    pipeline_tags: tuple[str, ...]


class Rejection(Record, frozen=True, kw_only=True):
    """A kind of model that porter does not port.

    Attributes:
        says: what such a model is or does; follows the model's name in a sentence.
        vision: whether it is computer vision at all.
    """

    kind: str
    says: str
    vision: bool
    heads: tuple[str, ...]
    suffixes: tuple[str, ...]
    pipeline_tags: tuple[str, ...]


class TaskTable(Record, frozen=True, kw_only=True):
    """``references/tasks.toml``."""

    task: tuple[TaskEntry, ...]
    rejected: tuple[Rejection, ...]
    architectures: dict[str, str | tuple[Task, ...]]


class Known(Record, frozen=True, kw_only=True):
    """Since and until which sampled release transformers has a name; None: the first, the newest."""

    since: str | None = None
    until: str | None = None


class KnownClass(Record, frozen=True, kw_only=True):
    """A model class of transformers, its model types and the auto mappings that list it."""

    heads: tuple[str, ...]
    model_types: tuple[str, ...]
    since: str | None = None
    until: str | None = None


class Releases(Record, frozen=True, kw_only=True):
    """``references/model_types.json``."""

    architectures: dict[str, KnownClass]
    inputs: dict[str, dict[str, Any]]
    model_types: dict[str, Known]
    versions: tuple[str, ...]


class Verdict(Record, frozen=True, kw_only=True):
    """What names say about a model.

    Attributes:
        tasks: the tasks that it may serve; more than one is ambiguous, none says nothing.
        rejection: why it is none of porter's; then *tasks* is empty.
        headless: it is known as a vision model without a head for any task.
        reason: the fact that this rests on; completes "its ...".
    """

    tasks: tuple[Task, ...] = ()
    rejection: Rejection | None = None
    headless: bool = False
    reason: str = ""


@functools.cache
def table() -> TaskTable:
    """Return the table of tasks and rejections."""
    text = (tree("references") / "tasks.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), TaskTable)


@functools.cache
def releases() -> Releases:
    """Return what the sampled releases of transformers know."""
    data = (tree("references") / "model_types.json").read_bytes()
    return msgspec.convert(json.loads(data), Releases)


def by_architecture(architecture: str, model_type: str) -> Verdict:
    """Return what the model class says, and where it says nothing, what its model type does."""
    reason = f"architecture is {architecture}"
    override = table().architectures.get(architecture)
    if isinstance(override, str):
        return Verdict(rejection=_kind(override), reason=reason)
    if override:
        return Verdict(tasks=override, reason=reason)
    known = releases().architectures.get(architecture)
    verdict = _by_heads(known.heads, reason) if known else _by_suffix(architecture, reason)
    if verdict.tasks or verdict.rejection or verdict.headless:
        return verdict
    types = known.model_types if known and model_type not in known.model_types else (model_type,)
    return by_model_type(types[0])


def by_model_type(model_type: str) -> Verdict:
    """Return what the classes of a model type say together; a vision model comes back without a task."""
    heads = {h for c in releases().architectures.values() if model_type in c.model_types for h in c.heads}
    reason = f"model type is {model_type}"
    if "IMAGE" in heads or heads & {head for entry in table().task for head in entry.heads}:
        return Verdict(headless=True, reason=reason)
    return _by_heads(heads, reason)


def by_pipeline_tag(tag: str) -> Verdict:
    """Return what a pipeline tag says."""
    reason = f"pipeline tag is {tag}"
    tasks = tuple(entry.name for entry in table().task if tag in entry.pipeline_tags)
    rejection = next((entry for entry in table().rejected if tag in entry.pipeline_tags), None)
    return Verdict(tasks=tasks, rejection=None if tasks else rejection, reason=reason)


def class_for(model_type: str, task: Task) -> str:
    """Return the model class that transformers has for a task of a model type; empty for none or several."""
    heads = next(entry.heads for entry in table().task if entry.name == task)
    found = [
        name
        for name, known in releases().architectures.items()
        if model_type in known.model_types and set(known.heads) & set(heads)
    ]
    plain = [name for name in found if not name.endswith("WithTeacher")]
    return plain[0] if len(plain) == 1 else ""


def bare(architecture: str) -> bool:
    """Return whether a model class of transformers is a vision network that stops before any head."""
    known = releases().architectures.get(architecture)
    return known is not None and "IMAGE" in known.heads and by_architecture(architecture, "").headless


def knows(known: Known | KnownClass, version: str) -> bool:
    """Return whether the release *version* of transformers has what *known* describes.

    Between two sampled releases, a name that is gone in the later one counts as known.
    """
    wanted = _version(version)
    if known.since and wanted < _version(known.since):
        return False
    if known.until is None:
        return True
    later = [v for v in releases().versions if _version(v) > _version(known.until)]
    return not later or wanted < _version(later[0])


def _by_heads(heads: Iterable[str], reason: str) -> Verdict:
    found = set(heads)
    tasks = tuple(entry.name for entry in table().task if found & set(entry.heads))
    if tasks:
        return Verdict(tasks=tasks, reason=reason)
    rejection = next((entry for entry in table().rejected if found & set(entry.heads)), None)
    headless = rejection is None and bool(found & {"IMAGE", "BACKBONE"})
    return Verdict(rejection=rejection, headless=headless, reason=reason)


def _by_suffix(architecture: str, reason: str) -> Verdict:
    longest = 0
    verdict = Verdict(reason=reason)
    for entry in table().rejected:
        if (length := _longest(architecture, entry.suffixes)) > longest:
            longest, verdict = length, Verdict(rejection=entry, reason=reason)
    lengths = {entry.name: _longest(architecture, entry.suffixes) for entry in table().task}
    if (best := max(lengths.values())) > longest:
        verdict = Verdict(tasks=tuple(n for n, length in lengths.items() if length == best), reason=reason)
    return verdict


def _longest(name: str, suffixes: Sequence[str]) -> int:
    return max((len(suffix) for suffix in suffixes if name.endswith(suffix)), default=0)


def _kind(kind: str) -> Rejection:
    return next(entry for entry in table().rejected if entry.kind == kind)


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")
