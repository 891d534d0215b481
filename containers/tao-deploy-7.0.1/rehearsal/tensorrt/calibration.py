"""INT8 calibrators, and how a build asks them."""

from __future__ import annotations

import numpy as np
from pycuda import memory

from tensorrt.network import ITensor
from tensorrt.types import RehearsalError, nptype, volume

_CACHE_TITLE = "calibration cache of a rehearsal by hf-tao-porter, of no use to TensorRT"


class IInt8EntropyCalibrator2:
    """Base class of calibrators; subclasses override the methods."""

    def __init__(self) -> None:
        self._initialised = True

    def get_batch_size(self) -> int:
        """Return the number of images in a batch."""
        raise NotImplementedError(f"{type(self).__name__} does not override get_batch_size")

    def get_batch(self, names: list[str]) -> list[int] | None:
        """Return one device address per input; None, or an empty list, ends the calibration."""
        raise NotImplementedError(f"{type(self).__name__} does not override get_batch")

    def read_calibration_cache(self) -> bytes | None:
        """Return an earlier cache; None, or nothing in it, lets the build calibrate."""
        return None

    def write_calibration_cache(self, cache: memoryview) -> None:
        """Keep the cache."""


def check_calibrator(calibrator: object) -> None:
    """Refuse what TensorRT cannot call.

    Raises:
        TypeError: it is no calibrator, or its ``__init__`` did not call the one of the base class.
    """
    if calibrator is None:
        return
    if not isinstance(calibrator, IInt8EntropyCalibrator2):
        raise TypeError(f"{type(calibrator).__name__} is no calibrator of TensorRT")
    if not hasattr(calibrator, "_initialised"):
        raise TypeError(f"{type(calibrator).__name__}.__init__ has to call super().__init__()")


def calibrate(
    calibrator: IInt8EntropyCalibrator2, inputs: list[ITensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, int | str]:
    """Ask a calibrator as a build does: for its cache, else for batches until there are no more.

    Args:
        calibrator: what to ask.
        inputs: inputs of the network.
        shapes: by input, the shape that a batch has (the optimum of the calibration profile).

    Returns:
        How many batches came, and whether the cache was read or written.

    Raises:
        RehearsalError: no batch came, or one has the wrong number of inputs, or values that are not finite.
        pycuda.driver.LogicError: an address is unknown, or too little memory lies there.
    """
    calibrator.get_batch_size()
    if calibrator.read_calibration_cache():
        return {"batches": 0, "cache": "read"}
    names = [tensor.name for tensor in inputs]
    batches = 0
    while addresses := calibrator.get_batch(names):
        batches += 1
        if len(addresses) != len(inputs):
            raise RehearsalError(
                f"calibration batch {batches} has {len(addresses)} addresses for the inputs {names}"
            )
        for tensor, address in zip(inputs, addresses, strict=True):
            _look_at(tensor, shapes[tensor.name], int(address), batches)
    if not batches:
        raise RehearsalError("the INT8 calibrator had neither a cache nor a batch")
    cache = f"{_CACHE_TITLE}\n{batches} batches\n".encode()
    calibrator.write_calibration_cache(memoryview(cache))
    return {"batches": batches, "cache": "written"}


def _look_at(tensor: ITensor, shape: tuple[int, ...], address: int, batch: int) -> None:
    size = volume(shape) * tensor.dtype.itemsize
    values = memory.view(address, size, f"calibration batch {batch} of {tensor.name}, {list(shape)},")
    dtype = np.dtype(nptype(tensor.dtype))
    if dtype.kind == "f" and not np.isfinite(values.view(dtype)).all():
        raise RehearsalError(
            f"calibration batch {batch} of {tensor.name} has values that are not finite; "
            "memory that nothing was copied to reads as NaN"
        )
