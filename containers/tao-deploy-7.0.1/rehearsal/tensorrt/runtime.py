"""Engines, and the contexts that run them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycuda import memory

from tensorrt import engine_file
from tensorrt.network import ITensor, start_session
from tensorrt.types import (
    DataType,
    ILogger,
    RehearsalError,
    TensorIOMode,
    as_shape,
    check_logger,
    nptype,
    volume,
)


class Runtime:
    """Makes engines of the contents of engine files."""

    def __init__(self, logger: ILogger) -> None:
        self.logger = check_logger(logger)

    def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine:
        """Return the engine in these bytes.

        Raises:
            RehearsalError: the rehearsal did not write them.
        """
        return ICudaEngine(*engine_file.unpack(bytes(serialized_engine)))


class ICudaEngine:
    """A network that is ready to run, and the shapes it takes."""

    num_optimization_profiles = 1

    def __init__(self, header: dict[str, Any], model: bytes) -> None:
        self.session = start_session(model)
        self.inputs = {found.name: ITensor.of(found) for found in self.session.get_inputs()}
        self.outputs = {found.name: ITensor.of(found) for found in self.session.get_outputs()}
        self._tensors = {**self.inputs, **self.outputs}
        self._profiles = {
            name: tuple(tuple(shape) for shape in shapes) for name, shapes in header["profiles"].items()
        }

    @property
    def num_io_tensors(self) -> int:
        """Return the number of inputs and outputs."""
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        """Return a name: the inputs come first, each kind in the order of the ONNX file."""
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        """Tell whether a tensor is an input or an output."""
        self.tensor(name)
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        """Return the element type of a tensor."""
        return self.tensor(name).dtype

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor, -1 where it is not fixed."""
        return self.tensor(name).shape

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        """Return minimum, optimum and maximum of an input.

        Raises:
            TypeError: the number of the profile is no integer.
            RehearsalError: there is no such profile, or no such input.
        """
        if not isinstance(profile_index, int):
            raise TypeError(f"the number of a profile is an integer, not {profile_index!r}")
        if profile_index != 0 or name not in self._profiles:
            raise RehearsalError(f"the engine has no profile {profile_index} of an input {name!r}")
        return list(self._profiles[name])

    def create_execution_context(self) -> IExecutionContext:
        """Return a context to run the engine in."""
        return IExecutionContext(self)

    def tensor(self, name: str) -> ITensor:
        """Return a tensor by name.

        Raises:
            RehearsalError: there is none.
        """
        if name not in self._tensors:
            raise RehearsalError(f"the engine has no tensor {name!r}; it has {', '.join(self._tensors)}")
        return self._tensors[name]


class IExecutionContext:
    """The shapes and addresses of a run."""

    def __init__(self, engine: ICudaEngine) -> None:
        self.engine = engine
        self._addresses: dict[str, int] = {}
        self._inputs = {name: tensor.shape for name, tensor in engine.inputs.items()}
        self._outputs: dict[str, tuple[int, ...]] = {}

    def set_input_shape(self, name: str, shape: Any) -> bool:
        """Set the shape of an input.

        Raises:
            RehearsalError: it is no input, or the shape lies outside the profile.
        """
        wanted = as_shape(shape, f"the shape of {name}")
        low, _, high = self.engine.get_tensor_profile_shape(name, 0)
        inside = len(wanted) == len(low) and all(
            a <= b <= c for a, b, c in zip(low, wanted, high, strict=True)
        )
        if not inside:
            raise RehearsalError(
                f"{name} was given the shape {list(wanted)}, but the engine takes {list(low)} to {list(high)}"
            )
        self._inputs[name] = wanted
        self._outputs = {}
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor; an output's is known once every input has one, and has -1 before."""
        tensor = self.engine.tensor(name)
        if name in self._inputs:
            return self._inputs[name]
        return self._output_shapes()[name] if self._specified() else tensor.shape

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Bind a tensor to device memory; the name of the argument is TensorRT's."""
        self.engine.tensor(name)
        if not isinstance(memory, int):
            raise TypeError(f"a device address is an int, not {type(memory).__name__}")
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Hand a run to a stream.

        Raises:
            RehearsalError: an input has no shape, or a tensor no address.
            pycuda.driver.LogicError: an address or the stream is unknown, or too little memory lies there.
        """
        if not self._specified():
            unset = [name for name, shape in self._inputs.items() if -1 in shape]
            raise RehearsalError(f"set_input_shape was never called for {', '.join(unset)}")
        inputs, outputs = self._bound(self._inputs), self._bound(self._output_shapes())
        memory.enqueue(stream_handle, lambda: self._run(inputs, outputs))
        return True

    def _specified(self) -> bool:
        return all(-1 not in shape for shape in self._inputs.values())

    def _output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes that a run on zeros has: what a file declares of its outputs may be wrong."""
        if not self._outputs:
            zeros = {
                name: np.zeros(shape, nptype(self.engine.inputs[name].dtype))
                for name, shape in self._inputs.items()
            }
            values = self._compute(zeros)
            self._outputs = {name: value.shape for name, value in values.items()}
        return self._outputs

    def _compute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = list(self.engine.outputs)
        try:
            return dict(zip(names, self.engine.session.run(names, inputs), strict=True))
        except Exception as error:
            # onnxruntime has no base class of its errors.
            shapes = {name: list(value.shape) for name, value in inputs.items()}
            raise RehearsalError(f"onnxruntime could not run the network on {shapes}: {error}") from error

    def _bound(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Return address and shape of some tensors, if enough memory lies there."""
        bound = {}
        for name, shape in shapes.items():
            if name not in self._addresses:
                raise RehearsalError(f"set_tensor_address was never called for {name}")
            self._bytes(name, self._addresses[name], shape)
            bound[name] = (self._addresses[name], shape)
        return bound

    def _bytes(self, name: str, address: int, shape: tuple[int, ...]) -> np.ndarray:
        size = volume(shape) * self.engine.tensor(name).dtype.itemsize
        return memory.view(address, size, f"{name}, {list(shape)},")

    def _run(
        self,
        inputs: dict[str, tuple[int, tuple[int, ...]]],
        outputs: dict[str, tuple[int, tuple[int, ...]]],
    ) -> None:
        values = {}
        for name, (address, shape) in inputs.items():
            dtype = nptype(self.engine.inputs[name].dtype)
            values[name] = self._bytes(name, address, shape).copy().view(dtype).reshape(shape)
        results = self._compute(values)
        for name, (address, shape) in outputs.items():
            result = np.ascontiguousarray(results[name])
            if result.shape != shape:
                raise RehearsalError(
                    f"{name} came out as {list(result.shape)}, but as {list(shape)} on zeros: its shape "
                    "depends on the values, and needs an output allocator, which the rehearsal has not"
                )
            self._bytes(name, address, shape)[:] = result.reshape(-1).view(np.uint8)
