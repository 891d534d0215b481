"""A model in a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from porter.errors import ModelRejectedError
from porter.hub.digests import Digests
from porter.hub.files import PICKLE, adopt, describing, is_shown, pickles, weights
from porter.records.base import digest
from porter.records.inspection import Contents, ModelFile, Source
from porter.safetensors import SINGLE_FILE

_MAX_LISTED = 10_000


def open_folder(ref: str, cache: Path) -> Source:
    """Pin the model in the folder *ref*.

    The sha is a digest over names, sizes and SHA-256 of the files that porter reads: configs,
    card, licence, index and weights. Other files may change without changing the model. Hashes of
    unchanged files are remembered in *cache*, so only the first look reads the weights.

    Where such files are links to outside of the folder, as in the Hub client's cache, or files that a
    sandbox could not read, the source's folder is one in *cache* with the files themselves.

    Raises:
        ModelRejectedError: a file cannot be read, or the index is broken.
    """
    root = Path(ref)
    digests = Digests(cache / "digests.json")
    try:
        listed = {entry.name: entry.is_file() for entry in root.iterdir()}
        there = {name for name, regular in listed.items() if regular}
        _refuse_others(ref, set(listed) - there)
        names = describing(there)
        names += tuple(name for name in weights(root) or pickles(root, there) if (root / name).is_file())
        files = [[name, (root / name).stat().st_size, digests.sha256(root / name)] for name in names]
    except OSError as error:
        raise ModelRejectedError(
            f"The model in {ref} cannot be read.",
            why=f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror),
            next_step="make its files readable",
        ) from None
    digests.save()
    sha = digest(files)
    resolved = root.resolve()
    folder = root
    if not all((root / name).resolve().is_relative_to(resolved) and is_shown(root / name) for name in names):
        folder = cache / "models" / "folders" / sha / "model"
        for name in names:
            if not (folder / name).exists():
                adopt(root / name, folder / name)
    return Source(kind="folder", ref=ref, sha=sha, folder=str(folder))


def _refuse_others(ref: str, names: Iterable[str]) -> None:
    """Refuse what has the name of a model's file and is none: to read a pipe or a device has no end."""
    for name in describing(names) or sorted({SINGLE_FILE, PICKLE} & {*names}):
        raise ModelRejectedError(
            f"{name} of {ref} is no file.",
            why="it is a folder, a pipe, a device, or a link that leads to none",
            next_step="choose a model whose files are there",
        )


def list_folder(folder: Path) -> Contents:
    """List the files of *folder*, relative and sorted; hidden folders are left out."""
    files: list[ModelFile] = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            if path.is_file() and len(files) < _MAX_LISTED:
                relative = path.relative_to(folder).as_posix()
                files.append(ModelFile(path=relative, size=path.stat().st_size))
    return Contents(files=tuple(sorted(files, key=lambda file: file.path)))
