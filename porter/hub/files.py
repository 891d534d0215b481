"""Which files of a model porter reads, and how they get into a folder of porter's own."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from porter.errors import ModelRejectedError
from porter.safetensors import INDEX_FILE, SINGLE_FILE, parse_index

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"
CARD = "README.md"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
_DESCRIBING = frozenset({CONFIG, PREPROCESSOR, PROCESSOR, CARD, INDEX_FILE})
_LICENCES = ("licence", "license", "copying")
MAX_DESCRIBING_BYTES = 25_000_000


def describing(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of *names* that describe a model: configs, card, licence and the weights' index."""
    names = tuple(names)
    wanted = _DESCRIBING if _has_safetensors(names) else _DESCRIBING | {PICKLE_INDEX}
    return tuple(
        sorted(
            name
            for name in names
            if "/" not in name and (name in wanted or name.lower().startswith(_LICENCES))
        )
    )


def weights(folder: Path) -> tuple[str, ...]:
    """Return the names of the weight files that belong to the model in *folder*, there or not.

    Empty where only an index could tell and it is not there.

    Raises:
        ModelRejectedError: the index is broken.
    """
    if (folder / SINGLE_FILE).exists():
        return (SINGLE_FILE,)
    index = folder / INDEX_FILE
    if not index.exists():
        return ()
    return tuple(sorted(set(parse_index(read_small(index)).values())))


def pickles(folder: Path, names: Collection[str]) -> tuple[str, ...]:
    """Return the names of the pickles that are a model's only weights, there or not.

    Args:
        folder: has the index of sharded ones.
        names: every file of the model, on this machine or not.

    Raises:
        ModelRejectedError: the index is broken.
    """
    if _has_safetensors(names):
        return ()
    if PICKLE in names:
        return (PICKLE,)
    index = folder / PICKLE_INDEX
    if PICKLE_INDEX not in names or not index.exists():
        return ()
    return tuple(sorted(set(parse_index(read_small(index), PICKLE_INDEX, ending=".bin").values())))


def _has_safetensors(names: Collection[str]) -> bool:
    return SINGLE_FILE in names or INDEX_FILE in names


def read_small(path: Path) -> bytes:
    """Return the content of a describing file.

    Raises:
        ModelRejectedError: it cannot be read, or is too large to be what its name says.
    """
    try:
        size = path.stat().st_size
        if size > MAX_DESCRIBING_BYTES:
            raise ModelRejectedError(
                f"{path.name} has {size} bytes.",
                why=f"porter reads up to {MAX_DESCRIBING_BYTES} bytes of it",
                next_step="check that this is the right file",
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelRejectedError(
            f"{path.name} cannot be read.",
            why=error.strerror or type(error).__name__,
            next_step=f"check {path}",
        ) from None


def adopt(origin: Path, target: Path) -> None:
    """Give *target* the content of *origin*, without a second copy on the disk where that can be.

    A sandbox shows folders, not what symbolic links in them point to, so a model has to lie in
    one folder as plain files. A hard link costs nothing; across file systems, or where the sandbox
    could not read the file, it is a copy.
    """
    origin = origin.resolve(strict=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    try:
        if is_shown(origin):
            with contextlib.suppress(OSError):
                os.link(origin, draft)
        if not draft.exists():
            shutil.copyfile(origin, draft)
            draft.chmod(0o644)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def is_shown(path: Path) -> bool:
    """Return whether a sandbox can read *path*.

    The sandbox of root runs as somebody else, and ``save_pretrained`` leaves weights to their owner alone.
    """
    return os.geteuid() != 0 or bool(path.stat().st_mode & 0o004)
