"""SHA-256 of files, remembered by what the file system says about them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from porter.atomic import write_atomic

_SETTLED_NS = 2_000_000_000
_KEPT = 4096


class Digests:
    """Hashes files once per content.

    A file counts as unchanged while its inode, size, change and modification times stay. Files
    that changed in the last two seconds are never remembered: within one tick of a clock a write
    can leave all of these alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            stored = json.loads(path.read_text(encoding="utf-8"))
            self._known = {str(k): str(v) for k, v in stored.items()}
        self._new = False

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of *path*, 64 hex digits, read in pieces of 8 MiB.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            key = _key(path, before)
            if key in self._known:
                return self._known[key]
            hashed = hashlib.sha256()
            while piece := file.read(8 * 2**20):
                hashed.update(piece)
            after = os.fstat(file.fileno())
        newest = max(after.st_ctime_ns, after.st_mtime_ns)
        if _key(path, after) == key and time.time_ns() - newest > _SETTLED_NS:
            self._known[key] = hashed.hexdigest()
            self._new = True
        return hashed.hexdigest()

    def save(self) -> None:
        """Keep what was learned; a cache that cannot be written is no error."""
        if not self._new:
            return
        from filelock import FileLock, Timeout

        kept = dict(list(self._known.items())[-_KEPT:])
        with contextlib.suppress(OSError, Timeout):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", timeout=5):
                write_atomic(self._path, json.dumps(kept, indent=0).encode())


def _key(path: Path, stat: os.stat_result) -> str:
    return f"{path}:{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
