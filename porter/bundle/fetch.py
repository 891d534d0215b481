"""Making a bundle: everything that a port needs, in one folder for a machine without network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from porter import cache, hub
from porter.bundle import manifest, repos, wheels
from porter.embedded.materialise import PACKAGES, Package, fetch_wheel
from porter.errors import UsageError, WorkspaceError
from porter.hub import address, files
from porter.records.base import Record
from porter.records.bundle import Bundle, BundledModel, BundledRepo, BundledWheels
from porter.records.inspection import Source
from porter.records.reference import Repo

Progress = Callable[[str], None]


class Wanted(Record, frozen=True, kw_only=True):
    """What goes into a bundle.

    Attributes:
        ref: hub id or hub URL.
        clones: path by repository.
        base: branch, tag or commit that a port starts from; *bases* has those of single repositories.
        sets: names of the requirement sets of the managed environments.
        packages: released wheels that porter unpacks itself.
    """

    ref: str
    revision: str | None = None
    clones: Mapping[Repo, str] = {}
    base: str = "main"
    bases: Mapping[Repo, str] = {}
    sets: Sequence[str] = ()
    packages: Sequence[Package] = PACKAGES


def fetch(
    wanted: Wanted, output: Path, progress: Progress = lambda _line: None, *, sets: Path | None = None
) -> Bundle:
    """Put everything into *output* and return its manifest; what is there and intact is not fetched again.

    Args:
        wanted: the model, the clones and the environments.
        output: new folder, or a bundle of the same model.
        progress: told what is being done.
        sets: folder of the requirement sets; None means the ones that ship with porter.

    Raises:
        UsageError: the model is no model of the Hub, or *output* holds something else.
        HubError, WorkspaceError, SandboxError: a part of it could not be had; what was fetched is kept.
    """
    refuse_folder(wanted.ref, wanted.revision)
    source = hub.resolve(wanted.ref, revision=wanted.revision)
    try:
        return _fetch(wanted, source, output, progress, sets)
    except OSError as error:
        raise WorkspaceError(
            f"the bundle {output} could not be written",
            why=str(error),
            next_step="free some space, or give another --output, and repeat the command",
        ) from error


def refuse_folder(ref: str, revision: str | None) -> None:
    """Raise a UsageError where *ref* is no model of the Hub."""
    if address.parse(ref, revision).kind != "hub":
        raise UsageError(
            f"{ref} is a folder of this machine.",
            why="a bundle pins a model of the Hub at its commit",
            next_step="give a hub id, or copy the folder and port it as it is",
        )


def _fetch(wanted: Wanted, source: Source, output: Path, progress: Progress, sets: Path | None) -> Bundle:
    from porter import __version__

    known = _known(source, output)
    output.mkdir(parents=True, exist_ok=True)
    for left in output.glob(".wheels.*"):
        shutil.rmtree(left, ignore_errors=True)
    model = _model(source, output, progress)
    packed = []
    for repo, path in wanted.clones.items():
        progress(f"packing {repo}")
        old = next((item for item in known.repos if item.repo == repo), None)
        base = wanted.bases.get(repo, wanted.base)
        packed.append(repos.pack(repo, Path(path), base, output, old))
    embedded = output / "embedded"
    for package in wanted.packages:
        fetch_wheel(package, embedded, cache.root(), progress)
    fetched = tuple(wheels.fetch(name, output, progress, known.wheels, sets=sets) for name in wanted.sets)
    progress("writing the manifest")
    return manifest.write(
        output,
        Bundle(
            porter=__version__,
            model=model,
            repos=tuple(packed),
            wheels=fetched,
            embedded="embedded" if wanted.packages else "",
            files=(),
        ),
    )


class _Known(Record, frozen=True, kw_only=True):
    """What an earlier run put there, whole and intact."""

    repos: tuple[BundledRepo, ...] = ()
    wheels: tuple[BundledWheels, ...] = ()


def _known(source: Source, output: Path) -> _Known:
    """Return what an earlier run put there; drop what is damaged of it.

    The manifest goes first: until it is written again the folder is no whole bundle.
    """
    path = output / manifest.NAME
    if not path.exists():
        if output.is_dir() and any(output.iterdir()) and not _looks_unfinished(output):
            raise UsageError(
                f"{output} holds something else than a bundle.",
                next_step="give another folder with --output",
            )
        return _Known()
    try:
        old = manifest.read_unchecked(output)
    except WorkspaceError:
        path.unlink()
        return _Known()
    if (old.model.ref, old.model.sha) != (source.ref, source.sha):
        raise UsageError(
            f"{output} is the bundle of another model.",
            why=f"it holds {old.model.ref} at {old.model.sha[:12]}; asked for is {source.ref} at "
            f"{source.sha[:12]}",
            next_step="give another folder with --output",
        )
    broken = manifest.broken(output, old)
    if broken:
        path.unlink()
        for name in broken:
            (output / name).unlink(missing_ok=True)
    return _Known(
        repos=tuple(item for item in old.repos if item.file not in broken),
        wheels=tuple(
            item for item in old.wheels if not any(name.startswith(f"{item.folder}/") for name in broken)
        ),
    )


def _looks_unfinished(output: Path) -> bool:
    return {entry.name for entry in output.iterdir() if not entry.name.startswith(".")} <= {
        "model",
        "repos",
        "embedded",
        "wheels",
    }


def _model(source: Source, output: Path, progress: Progress) -> BundledModel:
    progress(f"fetching {source.ref} at {source.sha[:12]}")
    # Read before the weights are here, so that the table is kept beside the listing.
    hub.tensor_table(source)
    hub.download(source, progress=lambda name, here, size: progress(f"{name}: {here}/{size}"))
    origin, folder = Path(source.folder).parent, output / "model"
    for path in sorted((*origin.glob("*.json"), *Path(source.folder).iterdir())):
        target = folder / path.relative_to(origin)
        if path.is_file() and not path.name.startswith(".") and not _same_size(path, target):
            files.adopt(path, target)
    return BundledModel(
        ref=source.ref,
        asked=source.renamed_from,
        revision=source.revision,
        sha=source.sha,
        folder="model",
    )


def _same_size(one: Path, other: Path) -> bool:
    return other.is_file() and one.stat().st_size == other.stat().st_size
