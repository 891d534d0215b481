"""What a build is told: profiles, flags, limits, a calibrator and a timing cache."""

from __future__ import annotations

from typing import Any

from tensorrt.calibration import IInt8EntropyCalibrator2, check_calibrator
from tensorrt.types import (
    BuilderFlag,
    DataType,
    MemoryPoolType,
    ProfilingVerbosity,
    QuantizationFlag,
    as_shape,
)

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Minimum, optimum and maximum."""


class IHostMemory(bytes):
    """Bytes that a call returned; a context manager too, for callers that treat it as one."""

    dtype = DataType.INT8

    @property
    def nbytes(self) -> int:
        """Return the size."""
        return len(self)

    def __enter__(self) -> IHostMemory:
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the bytes as they are."""


class IOptimizationProfile:
    """The shapes of the inputs that an engine is to take."""

    def __init__(self) -> None:
        self._shapes: dict[str, Shapes] = {}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the inputs that have shapes."""
        return tuple(self._shapes)

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        """Set the shapes of an input; the names of the arguments are TensorRT's.

        Raises:
            ValueError: they are not of one rank, or not in ascending order.
        """
        low, best, high = (as_shape(dims, f"a profile shape of {input}") for dims in (min, opt, max))
        ordered = all(0 <= a <= b <= c for a, b, c in zip(low, best, high, strict=False))
        if not len(low) == len(best) == len(high) or not ordered:
            raise ValueError(
                f"the profile of {input} is not 0 <= min <= opt <= max: "
                f"{list(low)}, {list(best)}, {list(high)}"
            )
        self._shapes[input] = (low, best, high)

    def get_shape(self, input: str) -> list[tuple[int, ...]]:
        """Return minimum, optimum and maximum of an input; an empty list where they were never set."""
        return list(self._shapes.get(input, ()))


class ITimingCache:
    """A cache of measured kernels; nothing is measured here, so what came in goes out."""

    def __init__(self, contents: bytes) -> None:
        self._contents = bytes(contents)

    def combine(self, input_cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Take over the contents of another cache."""
        self._contents = input_cache._contents or self._contents
        return True

    def serialize(self) -> IHostMemory:
        """Return the contents."""
        return IHostMemory(self._contents)


class IBuilderConfig:
    """How a network is to be built."""

    profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY

    def __init__(self) -> None:
        self.profiles: list[IOptimizationProfile] = []
        self._chosen: set[BuilderFlag] = set()
        self._cleared: set[BuilderFlag] = set()
        self._pools: dict[MemoryPoolType, int] = {}
        self._calibrator: IInt8EntropyCalibrator2 | None = None
        self._calibration_profile: IOptimizationProfile | None = None
        self._timing_cache: ITimingCache | None = None

    @property
    def chosen_flags(self) -> frozenset[BuilderFlag]:
        """Return the flags that the caller has set, without TensorRT's default."""
        return frozenset(self._chosen)

    @property
    def int8_calibrator(self) -> IInt8EntropyCalibrator2 | None:
        """Return the calibrator."""
        return self._calibrator

    @int8_calibrator.setter
    def int8_calibrator(self, calibrator: IInt8EntropyCalibrator2 | None) -> None:
        check_calibrator(calibrator)
        self._calibrator = calibrator

    @property
    def num_optimization_profiles(self) -> int:
        """Return how many profiles there are."""
        return len(self.profiles)

    def set_flag(self, flag: BuilderFlag) -> None:
        """Switch a flag on."""
        self._chosen.add(BuilderFlag(flag))
        self._cleared.discard(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        """Switch a flag off."""
        self._chosen.discard(flag)
        self._cleared.add(BuilderFlag(flag))

    def get_flag(self, flag: BuilderFlag) -> bool:
        """Tell whether a flag is on; TF32 is, where nobody has said otherwise."""
        return flag in self._chosen or (flag == BuilderFlag.TF32 and flag not in self._cleared)

    def get_quantization_flag(self, flag: QuantizationFlag) -> bool:
        """Tell whether a flag is on; none can be switched on here."""
        return False

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        """Limit a pool.

        Raises:
            TypeError: the size is not a whole number of bytes.
        """
        if not isinstance(pool_size, int) or pool_size < 0:
            raise TypeError(
                f"the limit of {MemoryPoolType(pool).name} is a number of bytes, not {pool_size!r}"
            )
        self._pools[pool] = pool_size

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        """Return the limit of a pool in bytes."""
        return self._pools.get(pool, 0)

    def get_tactic_sources(self) -> int:
        """Return the libraries that kernels come from, as bits: none."""
        return 0

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        """Add a profile and return its number."""
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def set_calibration_profile(self, profile: IOptimizationProfile) -> bool:
        """Set the profile whose optimum is the shape of a calibration batch."""
        self._calibration_profile = profile
        return True

    def get_calibration_profile(self) -> IOptimizationProfile | None:
        """Return the profile for calibration."""
        return self._calibration_profile

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        """Return a timing cache with these contents."""
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Use a timing cache."""
        self._timing_cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        """Return the timing cache in use."""
        return self._timing_cache
