"""The host's folders that a run is shown: whose they are while it runs, and under which paths."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from porter.records.sandbox import RunSpec


@contextlib.contextmanager
def lent(folders: Sequence[str], user: int) -> Iterator[None]:
    """Give folders to another user, and what that user owns there back to the former owner.

    No file is left that would run with the caller's rights when somebody else starts it.
    """
    if user == os.getuid():
        try:
            yield
        finally:
            for folder in folders:
                for path in _everything(Path(folder)):
                    _drop_rights(path)
        return
    owners = {folder: Path(folder).stat() for folder in folders}
    try:
        for folder in owners:
            for path in _everything(Path(folder)):
                os.chown(path, user, user, follow_symlinks=False)
        yield
    finally:
        for folder, owner in owners.items():
            for path in _everything(Path(folder)):
                if path.lstat().st_uid == user:
                    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _drop_rights(path: Path) -> None:
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


def _everything(folder: Path) -> Iterator[Path]:
    yield folder
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def write_script(path: Path, command: str) -> None:
    """Write the file that repeats a run."""
    path.write_text(
        f"#!/bin/sh\n# Repeats this run. Its output comes to this terminal.\n{command}\n", encoding="utf-8"
    )
    path.chmod(0o755)


def with_real_paths(spec: RunSpec) -> RunSpec:
    """Add the real path of every mount that is reached through a symbolic link; programs ask for either."""
    mounts = [*spec.mounts]
    for mount in spec.mounts:
        real = os.path.realpath(mount.path)
        if real != mount.path and not mount.at:
            mounts.append(msgspec.structs.replace(mount, path=real))
    return msgspec.structs.replace(spec, mounts=tuple(mounts))
