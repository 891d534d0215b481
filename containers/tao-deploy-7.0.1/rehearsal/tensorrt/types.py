"""Enumerations, the logger, and the functions on shapes and types."""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np


class RehearsalError(RuntimeError):
    """Something that TensorRT would refuse, or that the rehearsal cannot do."""


class DataType(enum.IntEnum):
    """Element types; the numbers are TensorRT 10's."""

    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8

    @property
    def itemsize(self) -> int:
        """Return the size of one element in bytes."""
        return _ITEM_SIZES[self]


_ITEM_SIZES = {
    DataType.FLOAT: 4,
    DataType.HALF: 2,
    DataType.INT8: 1,
    DataType.INT32: 4,
    DataType.BOOL: 1,
    DataType.UINT8: 1,
    DataType.FP8: 1,
    DataType.BF16: 2,
    DataType.INT64: 8,
}

_NUMPY_TYPES: dict[DataType, type] = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT8: np.int8,
    DataType.INT32: np.int32,
    DataType.BOOL: np.bool_,
    DataType.UINT8: np.uint8,
    DataType.INT64: np.int64,
}


def nptype(trt_type: DataType) -> type:
    """Return the numpy type of a TensorRT type.

    Raises:
        TypeError: numpy has none, as for BF16.
    """
    if trt_type not in _NUMPY_TYPES:
        raise TypeError(f"numpy has no type for {trt_type.name}")
    return _NUMPY_TYPES[trt_type]


def volume(iterable: Sequence[int]) -> int:
    """Return the number of elements of a shape; 1 for a scalar."""
    return math.prod(iterable)


def as_shape(dims: Any, what: str) -> tuple[int, ...]:
    """Return dimensions as a tuple of plain integers.

    Raises:
        TypeError: one of them is not an integer, as None for a batch size that nobody chose.
    """
    shape = tuple(dims)
    if not all(isinstance(dim, (int, np.integer)) for dim in shape):
        raise TypeError(f"{what} is {list(shape)}: every dimension has to be an integer")
    return tuple(int(dim) for dim in shape)


class Severity(enum.IntEnum):
    """How serious a message is; smaller is worse."""

    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    """Base of loggers."""

    Severity = Severity
    INTERNAL_ERROR = Severity.INTERNAL_ERROR
    ERROR = Severity.ERROR
    WARNING = Severity.WARNING
    INFO = Severity.INFO
    VERBOSE = Severity.VERBOSE

    def log(self, severity: Severity, msg: str) -> None:
        """Take a message; subclasses say where it goes."""


class Logger(ILogger):
    """Writes messages to stderr, down to the given severity."""

    def __init__(self, min_severity: Severity = Severity.WARNING) -> None:
        self.min_severity = min_severity

    def log(self, severity: Severity, msg: str) -> None:
        """Write a message."""
        if severity <= self.min_severity:
            print(f"[TensorRT rehearsal] [{Severity(severity).name[0]}] {msg}", file=sys.stderr)


def check_logger(logger: Any) -> ILogger:
    """Return the logger, or refuse what is none."""
    if not isinstance(logger, ILogger):
        raise TypeError(f"a TensorRT logger is wanted, not {type(logger).__name__}")
    return logger


class TensorIOMode(enum.IntEnum):
    """Which way a tensor of an engine goes."""

    NONE = 0
    INPUT = 1
    OUTPUT = 2


class NetworkDefinitionCreationFlag(enum.IntEnum):
    """Bits of what a network is created with."""

    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class MemoryPoolType(enum.IntEnum):
    """Pools of memory that a build may be limited in."""

    WORKSPACE = 0
    DLA_MANAGED_SRAM = 1
    DLA_LOCAL_DRAM = 2
    DLA_GLOBAL_DRAM = 3
    TACTIC_DRAM = 4
    TACTIC_SHARED_MEMORY = 5


class ProfilingVerbosity(enum.IntEnum):
    """How much an engine tells of its layers."""

    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class QuantizationFlag(enum.IntEnum):
    """How calibration goes about it."""

    CALIBRATE_BEFORE_FUSION = 0


BuilderFlag = enum.IntEnum(
    "BuilderFlag",
    "FP16 INT8 DEBUG GPU_FALLBACK REFIT DISABLE_TIMING_CACHE TF32 SPARSE_WEIGHTS SAFETY_SCOPE "
    "OBEY_PRECISION_CONSTRAINTS PREFER_PRECISION_CONSTRAINTS DIRECT_IO REJECT_EMPTY_ALGORITHMS "
    "VERSION_COMPATIBLE EXCLUDE_LEAN_RUNTIME FP8 ERROR_ON_TIMING_CACHE_MISS BF16 "
    "DISABLE_COMPILATION_CACHE STRIP_PLAN REFIT_IDENTICAL WEIGHT_STREAMING INT4",
    start=0,
)
