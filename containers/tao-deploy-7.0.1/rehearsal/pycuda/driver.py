"""The part of ``pycuda.driver`` that tao-deploy uses."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from pycuda import memory
from pycuda.memory import Error, LogicError

__all__ = [
    "Context",
    "Device",
    "DeviceAllocation",
    "Error",
    "LogicError",
    "Stream",
    "init",
    "mem_alloc",
    "memcpy_dtoh",
    "memcpy_dtoh_async",
    "memcpy_htod",
    "memcpy_htod_async",
    "pagelocked_empty",
]

_contexts: list[Context] = []
_initialised = False


def init(flags: int = 0) -> None:
    """Start the driver; devices cannot be counted before."""
    global _initialised
    _initialised = True


class Device:
    """The one device there is."""

    def __init__(self, number: int) -> None:
        if not 0 <= number < self.count():
            raise LogicError(f"there is no device {number}: the rehearsal has one, 0")

    @staticmethod
    def count() -> int:
        """Return how many devices there are."""
        if not _initialised:
            raise LogicError("the driver is not initialised: call init(), or import pycuda.autoinit")
        return 1

    def make_context(self, flags: int = 0) -> Context:
        """Make a context and put it on top of the stack, where it is the current one."""
        context = Context()
        _contexts.append(context)
        return context


class Context:
    """A context of the device: memory can be had and copied while one is current."""

    @staticmethod
    def get_current() -> Context | None:
        """Return the context on top of the stack."""
        return _contexts[-1] if _contexts else None

    @staticmethod
    def pop() -> None:
        """Take the top context off the stack."""
        if not _contexts:
            raise LogicError("there is no context to pop")
        _contexts.pop()

    @staticmethod
    def synchronize() -> None:
        """Do the waiting work of every stream."""
        memory.synchronize_all()

    def push(self) -> None:
        """Put this context on top of the stack."""
        _contexts.append(self)


class Stream:
    """A queue of work for the device, done in order by :meth:`synchronize`."""

    def __init__(self, flags: int = 0) -> None:
        _need_context()
        self.handle = memory.new_stream()

    def synchronize(self) -> None:
        """Wait for the work handed over so far: here, do it."""
        memory.synchronize(self.handle)


class DeviceAllocation:
    """A block of device memory, freed with the last reference to this object."""

    def __init__(self, size: int) -> None:
        self.address = memory.allocate(size)
        self.size = size
        self._held = True

    def __int__(self) -> int:
        return self.address

    __index__ = __int__

    def free(self) -> None:
        """Free the block, after the work that is waiting, as that may need it."""
        memory.synchronize_all()
        memory.release(self.address)
        self._held = False

    def __del__(self) -> None:
        if getattr(self, "_held", False):
            # At the end of the process the bookkeeping may be gone before this block is.
            with contextlib.suppress(Exception):
                self.free()


def mem_alloc(bytes: int) -> DeviceAllocation:
    """Return new device memory; its name for the size is PyCUDA's."""
    _need_context()
    return DeviceAllocation(int(bytes))


def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
    """Return a host array for copies; its bytes are poison, where the real one's are whatever was there."""
    _need_context()
    array = np.empty(shape, dtype, order="F" if order == "F" else "C")
    array.reshape(-1, order="A").view(np.uint8)[...] = memory.POISON
    return array


def memcpy_htod(dest: DeviceAllocation | int, src: Any) -> None:
    """Copy from the host to the device, and wait."""
    memcpy_htod_async(dest, src)


def memcpy_htod_async(dest: DeviceAllocation | int, src: Any, stream: Stream | None = None) -> None:
    """Copy from the host to the device when the stream comes to it."""
    address, host = _device_side(dest), _host_side(src)
    memory.view(address, host.size, "a copy to the device")

    def copy() -> None:
        memory.view(address, host.size, "a copy to the device")[:] = host

    memory.enqueue(stream.handle if stream is not None else 0, copy)


def memcpy_dtoh(dest: Any, src: DeviceAllocation | int) -> None:
    """Copy from the device to the host, and wait."""
    memcpy_dtoh_async(dest, src)


def memcpy_dtoh_async(dest: Any, src: DeviceAllocation | int, stream: Stream | None = None) -> None:
    """Copy from the device to the host when the stream comes to it."""
    address, host = _device_side(src), _host_side(dest)
    if not host.flags.writeable:
        raise ValueError("a copy from the device needs a host buffer that can be written")
    memory.view(address, host.size, "a copy from the device")

    def copy() -> None:
        host[:] = memory.view(address, host.size, "a copy from the device")

    memory.enqueue(stream.handle if stream is not None else 0, copy)


def _need_context() -> None:
    if not _contexts:
        raise LogicError("no context is current: import pycuda.autoinit, or make one")


def _device_side(pointer: DeviceAllocation | int) -> int:
    _need_context()
    if not isinstance(pointer, (DeviceAllocation, int)):
        raise TypeError(f"a device address is an int or an allocation, not {type(pointer).__name__}")
    return int(pointer)


def _host_side(buffer: Any) -> np.ndarray:
    """Return the bytes of a host buffer without copying them."""
    if isinstance(buffer, (DeviceAllocation, int)):
        raise TypeError("a host buffer is wanted here, not a device address")
    array = buffer if isinstance(buffer, np.ndarray) else np.frombuffer(buffer, np.uint8)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        raise ValueError("a host buffer has to be contiguous to be copied")
    return array.reshape(-1, order="A").view(np.uint8)
