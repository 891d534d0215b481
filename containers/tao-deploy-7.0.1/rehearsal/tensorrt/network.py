"""Networks, and the parser that fills them from an ONNX file."""

from __future__ import annotations

import os
from typing import Any

import onnx
import onnxruntime

from tensorrt.types import (
    DataType,
    ILogger,
    NetworkDefinitionCreationFlag,
    RehearsalError,
    Severity,
    check_logger,
)

_TYPES = {
    "tensor(float)": DataType.FLOAT,
    "tensor(float16)": DataType.HALF,
    "tensor(bfloat16)": DataType.BF16,
    "tensor(int8)": DataType.INT8,
    "tensor(uint8)": DataType.UINT8,
    "tensor(int32)": DataType.INT32,
    "tensor(int64)": DataType.INT64,
    "tensor(bool)": DataType.BOOL,
}


class ITensor:
    """An input or output of a network; a dimension that is not fixed is -1."""

    is_shape_tensor = False

    def __init__(self, name: str, shape: tuple[int, ...], dtype: DataType) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype

    @classmethod
    def of(cls, declared: Any) -> ITensor:
        """Return the tensor that an onnxruntime session declares."""
        if declared.type not in _TYPES:
            raise RehearsalError(f"{declared.name} is a {declared.type}, a type that TensorRT has not")
        shape = tuple(dim if isinstance(dim, int) else -1 for dim in declared.shape)
        return cls(declared.name, shape, _TYPES[declared.type])


def start_session(model: bytes) -> onnxruntime.InferenceSession:
    """Return a session that runs an ONNX file on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class INetworkDefinition:
    """A network; empty until a parser has filled it."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.model = b""
        self.has_quantize_nodes = False
        self._inputs: list[ITensor] = []
        self._outputs: list[ITensor] = []

    @property
    def num_inputs(self) -> int:
        """Return how many inputs there are."""
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        """Return how many outputs there are."""
        return len(self._outputs)

    def get_input(self, index: int) -> ITensor:
        """Return an input, in the order of the ONNX file."""
        return self._inputs[index]

    def get_output(self, index: int) -> ITensor:
        """Return an output, in the order of the ONNX file."""
        return self._outputs[index]

    def get_flag(self, flag: NetworkDefinitionCreationFlag) -> bool:
        """Tell whether the network was created with a flag."""
        return bool(self.flags & 1 << int(flag))

    def fill(self, model: onnx.ModelProto) -> None:
        """Take the contents of an ONNX file, if onnxruntime can run it."""
        contents = model.SerializeToString()
        session = start_session(contents)
        inputs = [ITensor.of(declared) for declared in session.get_inputs()]
        outputs = [ITensor.of(declared) for declared in session.get_outputs()]
        self.model, self._inputs, self._outputs = contents, inputs, outputs
        self.has_quantize_nodes = any(node.op_type == "QuantizeLinear" for node in model.graph.node)


class ParserError:
    """Why a file could not be parsed."""

    def __init__(self, description: str) -> None:
        self._description = description

    def desc(self) -> str:
        """Return the description."""
        return self._description

    def __str__(self) -> str:
        return self._description


class OnnxParser:
    """Fills a network from an ONNX file."""

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self._logger = check_logger(logger)
        self._errors: list[ParserError] = []

    @property
    def num_errors(self) -> int:
        """Return how many errors the last parse left."""
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        """Return an error of the last parse."""
        return self._errors[index]

    def parse_from_file(self, model: str) -> bool:
        """Parse a file, with the weights it has beside it; False leaves the reasons in the errors."""
        self._errors = []
        path = os.fspath(model)
        try:
            # By path, as only then the checker looks at weights in files of their own.
            onnx.checker.check_model(path)
            self._network.fill(onnx.load(path))
        except Exception as error:
            # onnx, protobuf and onnxruntime have no base class of errors in common.
            self._errors.append(ParserError(f"{path}: {type(error).__name__}: {error}"))
            self._logger.log(Severity.ERROR, str(self._errors[-1]))
            return False
        return True
