"""Writing a file so that a kill leaves either the old content or the new."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

_SUFFIX = ".porter-tmp"


def temporary(path: Path) -> Path:
    """Return the temporary file that :func:`write_atomic` uses for *path*.

    The name is fixed, so that a repeated write takes over what a killed one left behind.
    """
    return path.with_name(f".{path.name}{_SUFFIX}")


def is_temporary(path: Path) -> bool:
    """Say whether *path* is named like the temporary file of another."""
    return path.name.startswith(".") and path.name.endswith(_SUFFIX)


@contextlib.contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Make *folder* anew, empty, for the block to fill; it is gone where the block fails."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write_atomic(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace *path* by *data*: temporary file in the same folder, fsync, rename, fsync of the folder.

    There must be one writer per path at a time; the workspace's lock sees to that. Missing
    parent folders are made. A symbolic link at *path* is replaced, not followed.

    Args:
        path: file to write.
        data: the whole content.
        mode: permission bits; None keeps those of the file that is replaced, or follows the umask.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    if mode is None and path.is_file() and not path.is_symlink():
        mode = stat.S_IMODE(path.stat().st_mode)
    draft = temporary(path)
    if draft.exists() or draft.is_symlink():
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_atomic(path: Path) -> None:
    """Remove *path* for good, if it is there."""
    if path.exists() or path.is_symlink():
        path.unlink()
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
