"""A large file that is written once, past the page cache where the file system lets it.

Filling the page cache with a checkpoint costs more processor time than all other steps of a conversion,
and pushes out what other processes have there.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
from pathlib import Path
from typing import Any

BLOCK = 2**18
"""Bytes that are written at once."""

_ALIGNMENT = 4096
_DIRECT = getattr(os, "O_DIRECT", 0)


class DirectFile(io.RawIOBase):
    """A new file that is written from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._handle = -1
        with contextlib.suppress(OSError):  # tmpfs knows no direct writing; what else is wrong shows below
            self._handle = os.open(path, flags | _DIRECT, 0o666)
        if self._handle < 0:
            self._handle = os.open(path, flags, 0o666)
        # Direct writes take whole pages from memory that begins at one.
        self._block = mmap.mmap(-1, BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._filled = 0
        self._at = 0

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._at

    def write(self, data: Any) -> int:
        """Add bytes."""
        view = memoryview(data).cast("B")
        size = view.nbytes
        begin = 0
        while begin < size:
            step = min(size - begin, BLOCK - self._filled)
            self._block[self._filled : self._filled + step] = view[begin : begin + step]
            self._filled += step
            begin += step
            if self._filled == BLOCK:
                self._put(BLOCK)
                self._filled = 0
        self._at += size
        return size

    def sync(self) -> None:
        """Write what is left and bring all of it to the disk; nothing may follow."""
        if self._filled:
            whole = -(-self._filled // _ALIGNMENT) * _ALIGNMENT
            self._block[self._filled : whole] = bytes(whole - self._filled)
            self._put(whole)
            self._filled = 0
            os.ftruncate(self._handle, self._at)
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file; what was not synced is lost."""
        if not self.closed:
            os.close(self._handle)
            self._block.close()
        super().close()

    def _put(self, size: int) -> None:
        done = 0
        with memoryview(self._block) as block:
            while done < size:
                with block[done:size] as rest:
                    done += os.write(self._handle, rest)
