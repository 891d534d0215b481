"""What is staged comes from somewhere: a local path, S3 or NGC."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from porter.errors import DataError
from porter.launch import ngc
from porter.launch.bucket import Bucket, Stored
from porter.launch.data import ARCHIVES, REMOTE, stem
from porter.launch.unpack import full, unpack
from porter.records.training import Staged
from porter.ui import Ui

_TERMINAL_SECONDS, _LINE_SECONDS = 0.2, 15.0
_AT_ONCE = 8
"""Objects of a folder that are fetched side by side."""
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


class Progress:
    """Says how far one thing is, and not too often; may be told from several threads.

    Args:
        ui: where it is said.
        name: of what is brought.
        total: bytes that have to come; 0 where that is unknown.
    """

    def __init__(self, ui: Ui, name: str, total: int) -> None:
        self._ui = ui
        self._name = name
        self._total = total
        self._here = 0
        self._lock = threading.Lock()
        self._every = _TERMINAL_SECONDS if ui.console.is_terminal else _LINE_SECONDS
        self._next = time.monotonic() + self._every

    def came(self, count: int) -> None:
        """Take note of bytes that came."""
        with self._lock:
            self._here += count
            of = f" of {size(self._total)}" if self._total else ""
            self._say(f"{self._name}: {size(self._here)}{of}")

    def unpacked(self, files: int, count: int) -> None:
        """Take note of how much is unpacked."""
        with self._lock:
            self._say(f"unpacking {self._name}: {files} files, {size(count)}")

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every
            self._ui.progress(text)


class Source(NamedTuple):
    """Where something comes from.

    Attributes:
        stamp: changes when it does.
        size: bytes that have to come.
        bring: makes it below a path, of which the folder is there, and returns where it is.
    """

    stamp: str
    size: int
    bring: Callable[[Path, Progress], Path]


def find(one: Staged, endpoint: str) -> Source:
    """Return where a thing comes from; nothing is brought yet.

    Args:
        one: of a plan.
        endpoint: of NGC.

    Raises:
        DataError: it is not there, or may not be read.
    """
    if one.source.startswith(REMOTE):
        return _remote(one)
    if ngc.is_name(one.source):
        return _ngc(one.source, PurePosixPath(one.target).name, endpoint)
    return _local(one)


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _local(one: Staged) -> Source:
    path = Path(one.source)
    if not (path.is_file() if one.unpack else path.exists()):
        raise DataError(
            f"{path} is not there any more.",
            next_step="put it back, or plan the training again with other data",
        )
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    states = [(item, item.stat()) for item in files]
    stamp = _digest(f"{item.relative_to(path)} {state.st_size} {state.st_mtime_ns}" for item, state in states)

    def bring(made: Path, progress: Progress) -> Path:
        if one.unpack:
            return unpack(path, made, _top(path.name), progress.unpacked)
        _room(total, made.parent, one.source)
        if path.is_dir():
            return shutil.copytree(path, made)
        return shutil.copyfile(path, made)

    total = sum(state.st_size for _, state in states)
    return Source(stamp, total, bring)


def _remote(one: Staged) -> Source:
    bucket = Bucket(one.source)
    stored = bucket.file()
    if stored is not None:
        return _object(one, bucket, stored)
    folder = Bucket(stem(one.source)) if one.unpack else bucket
    objects = folder.below()
    if not objects:
        raise DataError(
            f"There is no {one.source}.",
            why="neither a file of that name, nor one below it" + _or_folder(one),
            next_step="check bucket and path",
        )
    total = sum(item.size for item in objects)

    def bring(made: Path, progress: Progress) -> Path:
        _room(total, made.parent, one.source)
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            for _ in pool.map(lambda item: folder.fetch(item, made / item.path, progress.came), objects):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
        return made

    return Source(_digest(f"{item.path} {item.size} {item.etag}" for item in objects), total, bring)


def _or_folder(one: Staged) -> str:
    return f"; a folder {PurePosixPath(stem(one.source)).name} does as well" if one.unpack else ""


def _object(one: Staged, bucket: Bucket, stored: Stored) -> Source:
    def bring(made: Path, progress: Progress) -> Path:
        _room(stored.size, made.parent, one.source)
        if not one.unpack:
            bucket.fetch(stored, made, progress.came)
            return made
        archive = made.with_name(PurePosixPath(stored.key).name)
        bucket.fetch(stored, archive, progress.came)
        there = unpack(archive, made, _top(archive.name), progress.unpacked)
        archive.unlink()
        return there

    return Source(f"{stored.size} {stored.etag}", stored.size, bring)


def _ngc(name: str, top: str, endpoint: str) -> Source:
    def bring(made: Path, progress: Progress) -> Path:
        archive = made.with_name(f"{top}.zip")
        ngc.fetch(name, archive, progress.came, endpoint)
        there = unpack(archive, made, top, progress.unpacked)
        # Looked for before it is put in place: nothing is staged that no training can start from.
        ngc.weights(there)
        return there

    # A version of a model does not change.
    return Source(name, 0, bring)


def _top(name: str) -> str:
    return stem(name) if name.endswith(ARCHIVES) else name


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _room(needed: int, folder: Path, name: str) -> None:
    if needed > shutil.disk_usage(folder).free:
        raise full(name)
