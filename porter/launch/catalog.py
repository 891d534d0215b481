"""The networks that can be trained: TAO's own, by ``references/catalog``, and those of ports."""

from __future__ import annotations

import contextlib
import difflib
import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from porter.atomic import write_atomic
from porter.errors import PorterError, UsageError
from porter.launch import remembered
from porter.records.base import Record
from porter.records.catalog import (
    CatalogEntry,
    CatalogRow,
    DataSource,
    ErrorPattern,
    ImageKind,
    ResolvedImage,
)
from porter.records.ported import Remembered
from porter.records.reference import Layout, Repo
from porter.reference.network import config_root, deploy_config_root
from porter.resources import tree

Scope = Literal["all", "automl"]

_NEAR = 0.4
_HEADER = "# Written by porter: what `porter train` knows of this network.\n"
_REPOS: dict[ImageKind, Repo] = {"pytorch": "tao-pytorch", "deploy": "tao-deploy"}


class _Toolkit(Record, frozen=True, kw_only=True):
    images: dict[ImageKind, str]
    errors: tuple[ErrorPattern, ...]


def names() -> tuple[str, ...]:
    """Return the networks of the catalog, sorted."""
    return tuple(sorted(path.stem for path in (tree("references") / "catalog").glob("*.toml")))


def entry(name: str) -> CatalogEntry:
    """Return what the catalog says of a network.

    Args:
        name: of one of TAO's own, of a ported one, or the folder of a port.

    Raises:
        UsageError: there is none of that name; names the nearest.
        WorkspaceError: the port of that name is gone, or is not as far yet.
        PorterError: its entry cannot be used.
    """
    if name in names():
        return _own(name)
    found = remembered.find(name)
    if found is None:
        raise UsageError(
            f"There is no model {name!r} in the catalog.",
            why=_near(name, (*names(), *remembered.known())),
            next_step="porter models lists them all",
        )
    return _ported(found)


def origin(name: str) -> Path | None:
    """Return the workspace of the port that made a network; None for TAO's own.

    Raises:
        PorterError: as :func:`entry`.
    """
    workspace = entry(name).workspace
    return Path(workspace) if workspace else None


def rows(scope: str = "all") -> tuple[CatalogRow, ...]:
    """Return the catalog as a list.

    Args:
        scope: ``all``, or ``automl`` for networks whose hyperparameters can be searched.

    Raises:
        UsageError: there is no such scope.
    """
    if scope not in get_args(Scope):
        raise UsageError(
            f"--scope {scope} is not a scope.",
            why=f"scopes: {', '.join(get_args(Scope))}",
            next_step="--scope automl",
        )
    every = [*map(entry, names()), *_every_ported()]
    return tuple(
        CatalogRow(
            name=found.name,
            title=found.title,
            task=found.task,
            actions=tuple(found.actions),
            formats=found.formats,
            automl=found.automl.enabled,
            workspace=found.workspace,
        )
        for found in every
        if scope == "all" or found.automl.enabled
    )


def image(name: str, action: str) -> ResolvedImage:
    """Return the image that runs an action of the network of a name, and its command.

    Raises:
        UsageError: the catalog has no such network, or the network no such action.
    """
    return resolve(entry(name), action)


def resolve(found: CatalogEntry, action: str) -> ResolvedImage:
    """Return the image that runs an action of a network, and its command.

    Raises:
        UsageError: the network has no such action.
    """
    if action not in found.actions:
        raise UsageError(
            f"{found.name} has no action {action!r}.",
            why=_near(action, tuple(found.actions)),
            next_step=f"porter image {found.name} --action {next(iter(found.actions))}",
        )
    chosen = found.actions[action]
    return ResolvedImage(
        model=found.name,
        action=action,
        kind=chosen.image,
        image=_image(found, chosen.image),
        command=chosen.command,
        engine_image=_image(found, "deploy") if chosen.engine else "",
        code=str(Path(found.workspace) / _REPOS[chosen.image]) if found.workspace else "",
    )


def config_of(found: CatalogEntry, layout: Layout, repo: Repo = "tao-pytorch") -> str:
    """Return the dataclass of a network's spec as ``package.module:Class``, for the layout of a release."""
    root = deploy_config_root(layout) if repo == "tao-deploy" else config_root(layout)
    return found.config.replace("{config}", root)


def read(path: Path) -> CatalogEntry:
    """Read one file of the catalog.

    Raises:
        PorterError: it is no TOML, does not fit the record, or contradicts itself; names file and place.
    """
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=CatalogEntry)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        # ValueError: that it is no text, or what the reader of TOML below msgspec says.
        raise _broken(path, str(error)) from error
    problem = next(_problems(found, path.stem), None)
    if problem:
        raise _broken(path, problem)
    return found


def write(path: Path, found: CatalogEntry) -> None:
    """Write an entry so that :func:`read` gives it back."""
    write_atomic(path, _HEADER.encode() + msgspec.toml.encode(_plain(found)))


def spec_keys(found: CatalogEntry) -> tuple[str, ...]:
    """Return every spec key that an entry names: each has to be a field of the network's dataclasses."""
    keys = {source.key for source in found.data}
    for action in found.actions.values():
        keys |= {*action.rules, *([action.engine] if action.engine else [])}
    keys |= {found.launch.gpus, found.launch.gpu_ids, found.launch.nodes}
    keys |= {*found.launch.rate, *([found.launch.choice] if found.launch.choice else [])}
    keys |= {asked.key for asked in found.inputs}
    keys |= {*found.automl.carried, *found.shorthands.values()}
    keys |= {overlay.key for overlay in found.automl.overlay}
    keys |= {refused.key for refused in (*found.refused, *found.automl.refused)}
    keys |= {rewrite.new for rewrite in found.rewrites}
    for base in found.base:
        keys |= {base.key, *base.when}
    for values in found.by_format.values():
        keys |= set(values)
    keys |= set(found.profile.settings) if found.profile else set()
    return tuple(sorted(keys))


@functools.cache
def _toolkit() -> _Toolkit:
    path = tree("references") / "toolkit.toml"
    return msgspec.toml.decode(path.read_bytes(), type=_Toolkit)


def _image(found: CatalogEntry, kind: ImageKind) -> str:
    return found.images.get(kind) or _toolkit().images[kind]


@functools.cache
def _own(name: str) -> CatalogEntry:
    return with_shared(read(tree("references") / "catalog" / f"{name}.toml"))


def with_shared(found: CatalogEntry) -> CatalogEntry:
    """Return the entry with the failures that look the same for every network, before its own."""
    words = {"name": found.name, "batch_size": found.shorthands.get("batch_size", "the batch size")}
    shared = (msgspec.structs.replace(error, fix=error.fix.format_map(words)) for error in _toolkit().errors)
    own = {error.pattern for error in found.errors}
    kept = (error for error in shared if error.pattern not in own)
    return msgspec.structs.replace(found, errors=(*kept, *found.errors))


def _ported(found: Remembered) -> CatalogEntry:
    try:
        entry_there = read(Path(found.entry))
    except PorterError as error:
        # Another porter may have written it: nobody has to mend what is derived.
        again = f"porter gate {remembered.GATE} {shlex.quote(found.workspace)} writes it anew"
        raise PorterError(error.what, why=error.why, next_step=again) from error
    return msgspec.structs.replace(entry_there, workspace=found.workspace)


def _every_ported() -> Iterator[CatalogEntry]:
    """Yield the ported networks that can be had; one that cannot is told when it is asked for."""
    for name, found in remembered.known().items():
        # A name of TAO's own always means TAO's own.
        if name not in names() and remembered.is_there(found):
            with contextlib.suppress(PorterError):
                yield _ported(found)


def _plain(value: Any) -> Any:
    """Return a record as TOML can have it: without the fields that have their default."""
    if isinstance(value, Record):
        return {
            field.name: _plain(held)
            for field in msgspec.structs.fields(value)
            if (held := getattr(value, field.name)) != _default(field)
        }
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def _near(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=_NEAR)
    return f"near it: {', '.join(near)}" if near else f"it has: {', '.join(known)}"


def _broken(path: Path, why: str) -> PorterError:
    return PorterError(
        f"The catalog's {path.name} cannot be used.",
        why=why,
        next_step=f"mend {path}",
    )


def _problems(found: CatalogEntry, stem: str) -> Iterator[str]:
    """Yield what the record's types cannot say."""
    if found.workspace:
        yield "workspace is known where it is read, and stands in no file"
    if found.name != stem:
        yield f"it is named {stem}, and says name = {found.name!r}"
    for name, action in found.actions.items():
        if "{config_path}" not in action.command:
            yield f"actions.{name}: the command does not say where {{config_path}} goes"
    for format_ in found.by_format:
        if format_ not in found.formats:
            yield f"by_format.{format_}: formats has no {format_}"
    for asked in found.inputs:
        if unknown := [action for action in asked.actions if action not in found.actions]:
            yield f"inputs: {asked.key} is for {unknown[0]}, which is no action"
    yield from _data_problems(found)
    yield from _repeated("inputs", [asked.key for asked in found.inputs])
    yield from _repeated("base", [base.key for base in found.base])
    yield from _repeated("rewrites", [rewrite.old for rewrite in found.rewrites])
    yield from _repeated("automl.overlay", [overlay.key for overlay in found.automl.overlay])
    yield from _repeated("errors", [error.pattern for error in found.errors])
    for error in found.errors:
        try:
            re.compile(error.pattern)
        except re.error as problem:
            yield f"errors: {error.pattern!r} is no regular expression: {problem}"


def _data_problems(found: CatalogEntry) -> Iterator[str]:
    for source in found.data:
        unknown = [action for action in source.actions if action not in found.actions]
        unknown += [format_ for format_ in source.formats if format_ not in found.formats]
        if unknown:
            yield f"data: {source.key} is for {unknown[0]}, which is neither an action nor a format"
        if (source.value is None) == (not source.parts):
            yield f"data: {source.key} needs either a value or parts"
    yield from _repeated("data", [use for source in found.data for use in _uses(source, found.formats)])


def _uses(source: DataSource, formats: tuple[str, ...]) -> Iterator[str]:
    for action in source.actions:
        for format_ in source.formats or formats:
            yield f"{source.key} of {action} with {format_}"


def _repeated(place: str, values: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield f"{place}: {value} is there twice"
        seen.add(value)
