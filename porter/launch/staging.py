"""Bringing data and checkpoints into a run's folder: each thing is there whole, or not at all."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from porter import atomic, cache
from porter.errors import DataError
from porter.launch import ngc, sources
from porter.launch.unpack import FULL, full
from porter.records.base import from_json, to_json
from porter.records.jobs import RESULTS
from porter.records.staging import Brought, Resolved
from porter.records.training import Mount, Staged
from porter.ui import Ui

FOLDER = "staged"
NOTES = "staged.json"
"""Says what is in :data:`FOLDER`; beside it, as what is in there is the networks' alone."""

_DRAFT = ".staging"


def stage(
    staged: Iterable[Staged], folder: Path, ui: Ui, *, endpoint: str = ngc.ENDPOINT
) -> tuple[Brought, ...]:
    """Bring what a plan lists below ``staged/`` of a run's folder.

    What an earlier call brought, and has not changed where it comes from, is left as it is. A call that was
    killed leaves nothing that a later one takes for whole.

    Args:
        staged: of the plan.
        folder: of the run; is there.
        ui: where progress goes.
        endpoint: of NGC.

    Raises:
        DataError: something is not there, may not be read, is broken or hostile, or the disk is full.
        PorterError: what reads the source is not installed.
    """
    # What lies in a folder that is staged too comes after it: the folder replaces what was in its place.
    wanted = sorted(
        {one.target: one for one in staged}.values(), key=lambda one: len(PurePosixPath(one.target).parts)
    )
    if not wanted:
        return ()
    with _written(), cache.locked(folder / FOLDER, "staging", ui.progress):
        notes = {one.target: one for one in noted(folder)}
        for one in wanted:
            source = sources.find(one, endpoint)
            known = notes.get(one.target)
            if (
                known
                and (known.source, known.stamp) == (one.source, source.stamp)
                and (folder / known.path).exists()
            ):
                ui.info(f"staged already: {one.source}")
                continue
            with ui.working(f"staging {one.source}"), _draft(folder) as draft:
                made = source.bring(draft / "made", sources.Progress(ui, one.source, source.size))
                # Nothing is noted while it is replaced: a kill in between only means that it is staged again.
                notes = {target: note for target, note in notes.items() if not _within(target, one.target)}
                _note(folder, notes.values())
                place = folder / _below(one.target)
                _put(made, place, draft / "replaced")
            notes[one.target] = _brought(one, source.stamp, folder, place)
            _note(folder, notes.values())
            ui.info(f"staged {one.source}: {_counted(notes[one.target])}")
    return tuple(notes[one.target] for one in wanted)


def resolve(spec: Mapping[str, Any], brought: Iterable[Brought], folder: Path) -> Resolved:
    """Return a spec whose paths a job finds.

    Paths without a root, as plans for this machine have them, become absolute ones in the run's folder. Those
    with one, as plans for containers have them, stay, and are mounted.

    Args:
        spec: of a plan.
        brought: as :func:`stage` returns it.
        folder: of the run, absolute.
    """
    there = tuple(brought)
    places = {
        one.target: f"/{one.path}" if one.target.startswith("/") else str(folder / one.path) for one in there
    }
    mounted = any(one.target.startswith("/") for one in there)
    mounts = (Mount(source=str(folder / FOLDER), target=f"/{FOLDER}"),) if mounted else ()
    return Resolved(
        spec={key: _resolved(key, value, places, folder) for key, value in spec.items()}, mounts=mounts
    )


def _resolved(key: str, value: Any, places: Mapping[str, str], folder: Path) -> Any:
    if isinstance(value, Mapping):
        return {name: _resolved(name, item, places, folder) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved("", item, places, folder) for item in value]
    if not isinstance(value, str):
        return value
    if value in places:
        return places[value]
    if key == RESULTS and value and "://" not in value:
        return str(folder / value)
    return value


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """Tell what the disk says; S3, NGC and archives are told of where they are read."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full("what is staged") from error
        raise DataError(
            "Data cannot be brought into the run's folder.",
            why=str(error),
            next_step="make the source readable and the folder writable, or choose another one: --runs DIR",
        ) from error


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    with atomic.fresh_folder(folder / _DRAFT) as draft:
        yield draft
    shutil.rmtree(draft, ignore_errors=True)


def _put(made: Path, place: Path, replaced: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() or place.is_symlink():
        place.rename(replaced)
    made.rename(place)


def _below(target: str) -> PurePosixPath:
    path = PurePosixPath(target.lstrip("/"))
    if path.parts[:1] != (FOLDER,) or len(path.parts) < 2 or ".." in path.parts:
        raise ValueError(f"{target} is not below {FOLDER}/")
    return path


def _within(target: str, other: str) -> bool:
    return target == other or target.startswith(f"{other}/")


def _brought(one: Staged, stamp: str, folder: Path, place: Path) -> Brought:
    path = ngc.weights(place) if ngc.is_name(one.source) else place
    files = [item for item in place.rglob("*") if item.is_file()] if place.is_dir() else [place]
    return Brought(
        source=one.source,
        target=one.target,
        stamp=stamp,
        path=path.relative_to(folder).as_posix(),
        files=len(files),
        bytes=sum(item.stat().st_size for item in files),
    )


def _counted(brought: Brought) -> str:
    return f"{brought.files} file{'s' if brought.files > 1 else ''}, {sources.size(brought.bytes)}"


def noted(folder: Path) -> tuple[Brought, ...]:
    """Return what is in a run's folder already."""
    try:
        return from_json((folder / NOTES).read_bytes(), tuple[Brought, ...])
    except (FileNotFoundError, msgspec.DecodeError):
        return ()


def _note(folder: Path, notes: Iterable[Brought]) -> None:
    atomic.write_atomic(folder / NOTES, to_json(list(notes)))
