"""Where porter keeps what outlives a workspace: clones, environments, downloads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path


def root() -> Path:
    """Return the cache folder: ``$PORTER_CACHE``, else ``porter`` in the user's cache folder."""
    given = os.environ.get("PORTER_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("porter")


@contextlib.contextmanager
def locked(folder: Path, work: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock beside *folder*; another porter that holds it is waited for.

    Args:
        folder: what is made or changed.
        work: what the other one is doing with it (``building``), for the person who waits.
        progress: told that there is somebody to wait for.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress(f"waiting for another porter that is {work} {folder.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
