"""The simulated device memory, which :mod:`pycuda.driver` and the ``tensorrt`` stand-in share."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

POISON = 0xFF
"""Every byte of new memory; a float made of such bytes is NaN."""

_ALIGNMENT = 512
_GAP = 4096

_blocks: dict[int, np.ndarray] = {}
_next_address = 0x7F_0000_0000
_handles = itertools.count(0x5_0000, 0x100)
_queues: dict[int, list[Callable[[], None]]] = {}


class Error(Exception):
    """Base of what the driver raises."""


class LogicError(Error):
    """A call that is wrong in itself: an unknown pointer, a wrong size, a second ``free``."""


def allocate(size: int) -> int:
    """Return the address of a new block; no address is used twice, and no two blocks touch."""
    global _next_address
    if size <= 0:
        raise LogicError(f"device memory of {size} bytes was asked for")
    address = _next_address
    _blocks[address] = np.full(size, POISON, np.uint8)
    _next_address += -(-size // _ALIGNMENT) * _ALIGNMENT + _GAP
    return address


def release(address: int) -> None:
    """Free the block at an address, which :func:`allocate` returned."""
    if _blocks.pop(address, None) is None:
        raise LogicError(f"no device memory lies at {address:#x}: it was freed before, or never allocated")


def view(address: int, size: int, purpose: str) -> np.ndarray:
    """Return the bytes ``[address, address + size)`` of the device, to read and to write.

    Args:
        address: first byte.
        size: number of bytes.
        purpose: what the bytes are wanted for, to tell where it fails.

    Raises:
        LogicError: no block holds the address, or the block ends before the range does.
    """
    for start, block in _blocks.items():
        if start <= address < start + block.size:
            room = start + block.size - address
            if size > room:
                raise LogicError(
                    f"{purpose} takes {size} bytes, but the device memory at {address:#x} has {room}"
                )
            return block[address - start : address - start + size]
    raise LogicError(f"{purpose}: {address:#x} is no address of device memory that is allocated now")


def new_stream() -> int:
    """Return the handle of a new stream."""
    handle = next(_handles)
    _queues[handle] = []
    return handle


def enqueue(handle: int, work: Callable[[], None]) -> None:
    """Hand work to a stream; the default stream, 0, does it at once, after everything that is waiting."""
    if handle == 0:
        synchronize_all()
        work()
    elif handle in _queues:
        _queues[handle].append(work)
    else:
        raise LogicError(f"there is no stream with the handle {handle!r}")


def synchronize(handle: int) -> None:
    """Do the waiting work of one stream, in order."""
    queue = _queues[handle]
    waiting, queue[:] = list(queue), []
    for work in waiting:
        work()


def synchronize_all() -> None:
    """Do the waiting work of every stream, as calls that are not asynchronous imply."""
    for handle in _queues:
        synchronize(handle)
