"""Stand-in for TensorRT that runs networks with onnxruntime on the CPU.

It is for rehearsing tao-deploy's scripts where there is no GPU: parsing, optimization profiles, calibration,
engine files, shapes, addresses and copies are checked as the real package needs them. What it cannot tell is
whether TensorRT has a kernel for every operator, how precise FP16, BF16 or INT8 are (the flags are recorded;
onnxruntime computes what the ONNX file says), how fast an engine is, and how much memory it takes. A pass is
a rehearsal and never a result of TensorRT. The folder must not be on the path where the real TensorRT is
installed.

Where TensorRT would log an error and return False or None, this raises :class:`RehearsalError`, because
tao-deploy drops most return values. Only the parser answers False, as its callers ask for its errors.
"""

from typing import Literal

from tensorrt.builder import Builder
from tensorrt.calibration import IInt8EntropyCalibrator2
from tensorrt.config import IBuilderConfig, IHostMemory, IOptimizationProfile, ITimingCache
from tensorrt.engine_file import read_rehearsal
from tensorrt.network import INetworkDefinition, ITensor, OnnxParser, ParserError
from tensorrt.runtime import ICudaEngine, IExecutionContext, Runtime
from tensorrt.types import (
    BuilderFlag,
    DataType,
    ILogger,
    Logger,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    ProfilingVerbosity,
    QuantizationFlag,
    RehearsalError,
    TensorIOMode,
    nptype,
    volume,
)

REHEARSAL = True
"""What the real package has not."""

__version__ = "10.0.0"
"""The API that is stood in for; readers compare it, and take three integers out of it."""

float32 = DataType.FLOAT
float16 = DataType.HALF
bfloat16 = DataType.BF16
int8 = DataType.INT8
int32 = DataType.INT32
int64 = DataType.INT64
uint8 = DataType.UINT8
bool = DataType.BOOL


def init_libnvinfer_plugins(logger: ILogger | None, namespace: str) -> Literal[True]:
    """Answer that the plugins are loaded; there are none, so a network that needs one will not parse."""
    return True


__all__ = [
    "REHEARSAL",
    "Builder",
    "BuilderFlag",
    "DataType",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "IInt8EntropyCalibrator2",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "ITensor",
    "ITimingCache",
    "Logger",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "ProfilingVerbosity",
    "QuantizationFlag",
    "RehearsalError",
    "Runtime",
    "TensorIOMode",
    "__version__",
    "bfloat16",
    "bool",
    "float16",
    "float32",
    "init_libnvinfer_plugins",
    "int8",
    "int32",
    "int64",
    "nptype",
    "read_rehearsal",
    "uint8",
    "volume",
]
