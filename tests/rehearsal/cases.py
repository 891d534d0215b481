"""What the stand-ins do and catch; run by the pytest of the rehearsal environment, see test_stand_ins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pycuda.autoinit
import pycuda.driver as cuda
import pytest
import tensorrt as trt
from onnx import TensorProto, helper, numpy_helper

LOGGER = trt.Logger(trt.Logger.ERROR)
SHAPE = (3, 8, 8)
PROFILE = ((1, *SHAPE), (2, *SHAPE), (4, *SHAPE))


def write_onnx(path: Path, batch: str | int = "batch", dtype: int = TensorProto.FLOAT, **save: Any) -> Path:
    """Write a network of 3 classes on images of 8 x 8."""
    random = np.random.default_rng(0)
    numbers = helper.tensor_dtype_to_np_dtype(dtype)
    weights = [
        numpy_helper.from_array(random.normal(size=size).astype(numbers), name)
        for name, size in (("kernel", (4, 3, 3, 3)), ("head", (4 * 8 * 8, 3)))
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "kernel"], ["maps"], pads=[1] * 4),
            helper.make_node("Flatten", ["maps"], ["flat"]),
            helper.make_node("MatMul", ["flat", "head"], ["logits"]),
        ],
        "toy",
        [helper.make_tensor_value_info("images", dtype, [batch, *SHAPE])],
        [helper.make_tensor_value_info("logits", dtype, [batch, 3])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, **save)
    return path


def parse(path: Path, flags: int = 0) -> tuple[trt.Builder, trt.INetworkDefinition]:
    builder = trt.Builder(LOGGER)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, LOGGER)
    assert parser.parse_from_file(str(path)), parser.get_error(0).desc()
    return builder, network


def build(
    path: Path,
    profile: tuple[Any, Any, Any] | None = PROFILE,
    flags: tuple[Any, ...] = (),
    calibrator: Any = None,
    network_flags: int = 0,
) -> bytes:
    builder, network = parse(path, network_flags)
    config = builder.create_builder_config()
    if profile is not None:
        shapes = builder.create_optimization_profile()
        shapes.set_shape(input="images", min=profile[0], opt=profile[1], max=profile[2])
        config.add_optimization_profile(shapes)
        config.set_calibration_profile(shapes)
    for flag in flags:
        config.set_flag(flag)
    if calibrator is not None:
        config.int8_calibrator = calibrator
    with builder.build_serialized_network(network, config) as contents:
        return bytes(contents)


def engine_of(path: Path, **how: Any) -> trt.ICudaEngine:
    return trt.Runtime(LOGGER).deserialize_cuda_engine(build(path, **how))


def infer(
    engine: trt.ICudaEngine, images: np.ndarray, skip: str = "", bind: dict[str, str] | None = None
) -> np.ndarray:
    """Run an engine the way tao-deploy does, leaving out one step, or with the wrong addresses."""
    context = engine.create_execution_context()
    if skip != "shape":
        assert context.set_input_shape("images", images.shape)
    stream = cuda.Stream()
    shapes = {"images": images.shape, "logits": (len(images), 3)}
    host, device = {}, {}
    for name, shape in shapes.items():
        host[name] = cuda.pagelocked_empty(trt.volume(shape), trt.nptype(engine.get_tensor_dtype(name)))
        device[name] = cuda.mem_alloc(host[name].nbytes)
    for name in shapes:
        if skip != f"address of {name}":
            context.set_tensor_address(name, int(device[(bind or {}).get(name, name)]))
    if skip != "input copy":
        np.copyto(host["images"], images.ravel())
    if skip != "copy to device":
        cuda.memcpy_htod_async(device["images"], host["images"], stream)
    assert context.execute_async_v3(stream_handle=stream.handle)
    if skip != "copy from device":
        cuda.memcpy_dtoh_async(host["logits"], device["logits"], stream)
    if skip != "synchronize":
        stream.synchronize()
    logits: np.ndarray = host["logits"].reshape(shapes["logits"]).copy()
    return logits


def images(count: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, *SHAPE)).astype(dtype)


def direct(path: Path, batch: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(str(path)).run(None, {"images": batch})[0])


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "toy.onnx")


class Calibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]
    """Hands out zeros, in memory for *size* images, and keeps its cache in a file."""

    def __init__(self, cache: Path, batches: int = 3, size: int = 2, copied: bool = True) -> None:
        super().__init__()
        self.cache, self.left, self.copied = cache, batches, copied
        self.batch = np.zeros((size, *SHAPE), np.float32)
        self.memory = cuda.mem_alloc(self.batch.nbytes)

    def get_batch_size(self) -> int:
        return len(self.batch)

    def get_batch(self, names: list[str]) -> list[int] | None:
        assert names == ["images"]
        if not self.left:
            return None
        self.left -= 1
        if self.copied:
            cuda.memcpy_htod(self.memory, self.batch)
        return [int(self.memory)]

    def read_calibration_cache(self) -> bytes | None:
        return self.cache.read_bytes() if self.cache.exists() else None

    def write_calibration_cache(self, cache: memoryview) -> None:
        self.cache.write_bytes(cache)


# Running


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_an_engine_computes_what_onnxruntime_does(tmp_path: Path, count: int, dtype: int) -> None:
    path = write_onnx(tmp_path / "toy.onnx", dtype=dtype)
    batch = images(count, helper.tensor_dtype_to_np_dtype(dtype))
    np.testing.assert_array_equal(infer(engine_of(path), batch), direct(path, batch))


@pytest.mark.parametrize("step", ["input copy", "copy to device", "copy from device", "synchronize"])
def test_a_copy_left_out_reads_as_nan(toy: Path, step: str) -> None:
    assert np.isnan(infer(engine_of(toy), images(2), skip=step)).all()


def test_swapped_bindings(toy: Path) -> None:
    with pytest.raises(cuda.LogicError, match=r"takes 1536 bytes, but the device memory at .* has 24"):
        infer(engine_of(toy), images(2), bind={"images": "logits", "logits": "images"})


def test_a_batch_above_the_profile(toy: Path) -> None:
    with pytest.raises(trt.RehearsalError, match=r"\[5, 3, 8, 8\].* takes \[1, 3, 8, 8\] to \[4, 3, 8, 8\]"):
        infer(engine_of(toy), images(5))


def test_another_batch_than_a_static_network_has(tmp_path: Path) -> None:
    engine = engine_of(write_onnx(tmp_path / "static.onnx", batch=1), profile=None)
    assert engine.get_tensor_profile_shape("images", 0) == [(1, *SHAPE)] * 3
    with pytest.raises(trt.RehearsalError, match=r"takes \[1, 3, 8, 8\] to \[1, 3, 8, 8\]"):
        infer(engine, images(3))


def test_a_shape_that_was_never_set(toy: Path) -> None:
    with pytest.raises(trt.RehearsalError, match="set_input_shape was never called for images"):
        infer(engine_of(toy), images(2), skip="shape")


@pytest.mark.parametrize("name", ["images", "logits"])
def test_an_address_that_was_never_set(toy: Path, name: str) -> None:
    with pytest.raises(trt.RehearsalError, match=f"set_tensor_address was never called for {name}"):
        infer(engine_of(toy), images(2), skip=f"address of {name}")


def test_memory_that_was_freed_before_the_run(toy: Path) -> None:
    context = engine_of(toy).create_execution_context()
    context.set_input_shape("images", (1, *SHAPE))
    for name in ("images", "logits"):
        block = cuda.mem_alloc(768)
        context.set_tensor_address(name, int(block))
        block.free()
    with pytest.raises(cuda.LogicError, match="no address of device memory that is allocated now"):
        context.execute_async_v3(stream_handle=cuda.Stream().handle)


def test_shapes_before_and_after_one_is_set(toy: Path) -> None:
    engine = engine_of(toy)
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    assert names == ["images", "logits"]
    assert [engine.get_tensor_mode(name) for name in names] == [
        trt.TensorIOMode.INPUT,
        trt.TensorIOMode.OUTPUT,
    ]
    assert [context.get_tensor_shape(name) for name in names] == [(-1, *SHAPE), (-1, 3)]
    context.set_input_shape("images", [3, *SHAPE])
    assert [context.get_tensor_shape(name) for name in names] == [(3, *SHAPE), (3, 3)]
    context.set_input_shape("images", (1, *SHAPE))
    assert context.get_tensor_shape("logits") == (1, 3)
    assert [engine.get_tensor_shape(name) for name in names] == [(-1, *SHAPE), (-1, 3)]


def test_a_batch_size_of_none(toy: Path) -> None:
    with pytest.raises(TypeError, match="every dimension has to be an integer"):
        engine_of(toy).create_execution_context().set_input_shape("images", [None, *SHAPE])


def test_a_profile_that_the_engine_has_not(toy: Path) -> None:
    engine = engine_of(toy)
    with pytest.raises(trt.RehearsalError, match="no profile 1 of an input 'images'"):
        engine.get_tensor_profile_shape("images", 1)
    with pytest.raises(trt.RehearsalError, match="no profile 0 of an input 'logits'"):
        engine.get_tensor_profile_shape("logits", 0)
    with pytest.raises(TypeError, match="not None"):
        engine.get_tensor_profile_shape("images", None)


def test_an_output_whose_shape_depends_on_the_values(toy: Path) -> None:
    model = onnx.load(toy)
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(helper.make_node("NonZero", ["raw"], ["logits"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.INT64, [2, "found"]))
    onnx.save(model, toy)
    context = engine_of(toy).create_execution_context()
    context.set_input_shape("images", (1, *SHAPE))
    stream, blocks = cuda.Stream(), {"images": cuda.mem_alloc(768), "logits": cuda.mem_alloc(768)}
    for name, block in blocks.items():
        context.set_tensor_address(name, int(block))
    cuda.memcpy_htod(blocks["images"], images(1))
    assert context.get_tensor_shape("logits") == (2, 0)
    context.execute_async_v3(stream_handle=stream.handle)
    with pytest.raises(trt.RehearsalError, match=r"logits came out as \[2, 3\], but as \[2, 0\] on zeros"):
        stream.synchronize()


# Engine files


@pytest.mark.parametrize("contents", [b"", b"ftrt\0\0\0\1", b"\x08\x08onnx"])
def test_foreign_engine_bytes(contents: bytes) -> None:
    with pytest.raises(trt.RehearsalError, match="no engine of the rehearsal"):
        trt.Runtime(LOGGER).deserialize_cuda_engine(contents)


def test_half_an_engine(toy: Path) -> None:
    contents = build(toy)
    with pytest.raises(trt.RehearsalError, match="bytes of ONNX where"):
        trt.Runtime(LOGGER).deserialize_cuda_engine(contents[: len(contents) - 10])


def test_the_header_says_how_an_engine_was_built(toy: Path, tmp_path: Path) -> None:
    file = tmp_path / "toy.engine"
    file.write_bytes(build(toy))
    assert trt.read_rehearsal(file) == {
        "profiles": {"images": [[1, *SHAPE], [2, *SHAPE], [4, *SHAPE]]},
        "flags": [],
        "calibration": {},
    }
    file.write_bytes(build(toy, flags=(trt.BuilderFlag.FP16, trt.BuilderFlag.BF16)))
    assert trt.read_rehearsal(str(file))["flags"] == ["BF16", "FP16"]
    strongly = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    file.write_bytes(build(toy, network_flags=strongly))
    assert trt.read_rehearsal(file)["flags"] == ["STRONGLY_TYPED"]


# Parsing


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing", ""),
        ("cut off", ""),
        ("unknown operator", "Flatten3"),
        ("weights twice", "kernel initializer name is not unique"),  # onnxruntime takes it
        ("double", "images is a .*double.*, a type that TensorRT has not"),
    ],
)
def test_a_broken_onnx_file_is_refused(tmp_path: Path, damage: str, says: str) -> None:
    path = write_onnx(tmp_path / "toy.onnx")
    if damage == "missing":
        path.unlink()
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[:200])
    else:
        model = onnx.load(path)
        if damage == "double":
            model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
            model.graph.node.insert(0, helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT))
            model.graph.node[1].input[0] = "floats"
        elif damage == "weights twice":
            model.graph.initializer.append(model.graph.initializer[0])
        else:
            model.graph.node[1].op_type = "Flatten3"
        onnx.save(model, path)
    builder = trt.Builder(LOGGER)
    network = builder.create_network()
    parser = trt.OnnxParser(network, LOGGER)
    assert parser.parse_from_file(str(path)) is False
    assert parser.num_errors == 1
    assert re.search(f"toy.onnx.*{says}", str(parser.get_error(0)), re.DOTALL)
    with pytest.raises(trt.RehearsalError, match="the network is empty"):
        builder.build_serialized_network(network, builder.create_builder_config())


def test_weights_in_a_file_of_their_own_go_into_the_engine(tmp_path: Path) -> None:
    path = write_onnx(
        tmp_path / "toy.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    expected = direct(path, images(2))
    engine = engine_of(path)
    (tmp_path / "weights.bin").unlink()
    np.testing.assert_array_equal(infer(engine, images(2)), expected)
    builder = trt.Builder(LOGGER)
    assert not trt.OnnxParser(builder.create_network(), LOGGER).parse_from_file(str(path))


def test_errors_are_those_of_the_last_parse(toy: Path, tmp_path: Path) -> None:
    parser = trt.OnnxParser(trt.Builder(LOGGER).create_network(), LOGGER)
    for name in ("first", "second"):
        assert not parser.parse_from_file(str(tmp_path / name))
        assert parser.num_errors == 1
        assert name in parser.get_error(0).desc()
    assert parser.parse_from_file(str(toy))
    assert parser.num_errors == 0


# Building


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        (None, r"images has the shape \[-1, 3, 8, 8\] and no optimization profile"),
        (((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 9, 8)), r"has \[1, 3, 9, 8\], but the network takes"),
        (((1, 8, 8), (1, 8, 8), (1, 8, 8)), r"has \[1, 8, 8\], but the network takes"),
        (((0, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 8)), r"has \[0, 3, 8, 8\], but the network takes"),
    ],
)
def test_a_profile_that_does_not_fit(toy: Path, profile: Any, says: str) -> None:
    with pytest.raises(trt.RehearsalError, match=says):
        build(toy, profile)


@pytest.mark.parametrize("order", [(2, 1, 4), (1, 4, 2)])
def test_a_profile_in_the_wrong_order(order: tuple[int, int, int]) -> None:
    low, best, high = ((size, *SHAPE) for size in order)
    profile = trt.Builder(LOGGER).create_optimization_profile()
    with pytest.raises(ValueError, match="not 0 <= min <= opt <= max"):
        profile.set_shape("images", low, best, high)
    assert profile.get_shape("images") == []


def test_a_profile_of_shapes_of_several_ranks() -> None:
    profile = trt.Builder(LOGGER).create_optimization_profile()
    with pytest.raises(ValueError, match="not 0 <= min <= opt <= max"):
        profile.set_shape("images", (1, *SHAPE), (1, *SHAPE), (1, *SHAPE, 1))


def test_a_second_profile(toy: Path) -> None:
    builder, network = parse(toy)
    config = builder.create_builder_config()
    for _ in range(2):
        profile = builder.create_optimization_profile()
        profile.set_shape("images", *PROFILE)
        config.add_optimization_profile(profile)
    with pytest.raises(trt.RehearsalError, match="2 optimization profiles"):
        builder.build_serialized_network(network, config)


def test_a_profile_of_another_input(toy: Path) -> None:
    builder, network = parse(toy)
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("imgaes", *PROFILE)
    config.add_optimization_profile(profile)
    with pytest.raises(trt.RehearsalError, match=r"'imgaes'.* no inputs of the network"):
        builder.build_serialized_network(network, config)


def test_types_of_the_file_and_types_of_the_builder(toy: Path) -> None:
    strongly = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    with pytest.raises(trt.RehearsalError, match=r"strongly typed .*FP16"):
        build(toy, flags=(trt.BuilderFlag.FP16,), network_flags=strongly)


def test_a_memory_limit_is_whole_bytes() -> None:
    config = trt.Builder(LOGGER).create_builder_config()
    with pytest.raises(TypeError, match="number of bytes"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 0.5 * 2**30)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 2**30)
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 2**30


def test_a_timing_cache_keeps_what_came_in() -> None:
    config = trt.Builder(LOGGER).create_builder_config()
    cache = config.create_timing_cache(b"")
    assert cache.combine(config.create_timing_cache(b"measured"), ignore_mismatch=False)
    config.set_timing_cache(cache, ignore_mismatch=False)
    with config.get_timing_cache().serialize() as contents:
        assert bytes(contents) == b"measured"


# Calibration


def calibration_of(contents: bytes, folder: Path) -> Any:
    (folder / "header.engine").write_bytes(contents)
    return trt.read_rehearsal(folder / "header.engine")["calibration"]


def test_calibration_takes_all_batches_and_then_the_cache(toy: Path, tmp_path: Path) -> None:
    int8 = (trt.BuilderFlag.INT8,)
    cache = tmp_path / "cal.bin"
    first = Calibrator(cache)
    assert calibration_of(build(toy, flags=int8, calibrator=first), tmp_path) == {
        "batches": 3,
        "cache": "written",
    }
    assert first.left == 0
    written = cache.read_bytes()
    assert b"rehearsal" in written
    second = Calibrator(cache)
    assert calibration_of(build(toy, flags=int8, calibrator=second), tmp_path) == {
        "batches": 0,
        "cache": "read",
    }
    assert second.left == 3
    assert cache.read_bytes() == written


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({"batches": 0}, trt.RehearsalError, "neither a cache nor a batch"),
        ({"copied": False}, trt.RehearsalError, "batch 1 of images has values that are not finite"),
        ({"size": 1}, cuda.LogicError, r"\[2, 3, 8, 8\], takes 1536 bytes, but .* has 768"),
    ],
)
def test_calibration_that_goes_wrong(
    toy: Path, tmp_path: Path, how: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        build(toy, flags=(trt.BuilderFlag.INT8,), calibrator=Calibrator(tmp_path / "cal.bin", **how))
    assert not (tmp_path / "cal.bin").exists()


def test_a_batch_with_too_many_addresses(toy: Path, tmp_path: Path) -> None:
    class Generous(Calibrator):
        def get_batch(self, names: list[str]) -> list[int] | None:
            return (super().get_batch(names) or []) * 2

    with pytest.raises(trt.RehearsalError, match=r"batch 1 has 2 addresses for the inputs \['images'\]"):
        build(toy, flags=(trt.BuilderFlag.INT8,), calibrator=Generous(tmp_path / "cal.bin"))


def test_calibration_has_a_profile_of_its_own(toy: Path, tmp_path: Path) -> None:
    builder, network = parse(toy)
    config = builder.create_builder_config()
    for size, use in ((4, config.add_optimization_profile), (1, config.set_calibration_profile)):
        profile = builder.create_optimization_profile()
        profile.set_shape("images", *[(size, *SHAPE)] * 3)
        use(profile)
    config.set_flag(trt.BuilderFlag.INT8)
    config.int8_calibrator = Calibrator(tmp_path / "cal.bin", size=1)
    contents = builder.build_serialized_network(network, config)
    assert calibration_of(bytes(contents), tmp_path) == {"batches": 3, "cache": "written"}


def test_a_graph_that_is_quantised_needs_no_calibrator(toy: Path, tmp_path: Path) -> None:
    model = onnx.load(toy)
    scale = numpy_helper.from_array(np.array(0.05, np.float32), "scale")
    zero = numpy_helper.from_array(np.array(0, np.int8), "zero")
    model.graph.initializer.extend([scale, zero])
    model.graph.node[0].input[0] = "rounded"
    for operator, source, target in (("Dequantize", "small", "rounded"), ("Quantize", "images", "small")):
        node = helper.make_node(f"{operator}Linear", [source, "scale", "zero"], [target])
        model.graph.node.insert(0, node)
    onnx.save(model, toy)
    assert calibration_of(build(toy, flags=(trt.BuilderFlag.INT8,)), tmp_path) == {}


def test_int8_without_a_calibrator(toy: Path) -> None:
    with pytest.raises(trt.RehearsalError, match="there is no calibrator"):
        build(toy, flags=(trt.BuilderFlag.INT8,))


def test_a_calibrator_without_its_base(toy: Path, tmp_path: Path) -> None:
    class Forgetful(Calibrator):
        def __init__(self) -> None:
            pass

    for calibrator, says in ((object(), "object is no calibrator"), (Forgetful(), "call super")):
        with pytest.raises(TypeError, match=says):
            build(toy, calibrator=calibrator)


# Memory


def test_a_second_free() -> None:
    block = cuda.mem_alloc(16)
    block.free()
    with pytest.raises(cuda.LogicError, match="it was freed before"):
        block.free()


def test_an_unknown_pointer() -> None:
    block = cuda.mem_alloc(16)
    here = np.zeros(4, np.float32)
    for pointer in (here.ctypes.data, int(block) + 16, int(block) - 1):
        with pytest.raises(cuda.LogicError, match="no address of device memory"):
            cuda.memcpy_htod(pointer, here)
    address = int(block)
    del block
    with pytest.raises(cuda.LogicError, match="no address of device memory"):
        cuda.memcpy_dtoh(here, address)


def test_blocks_do_not_touch() -> None:
    first, second = cuda.mem_alloc(512), cuda.mem_alloc(512)
    assert int(first) < int(second)
    with pytest.raises(cuda.LogicError, match="no address of device memory"):
        cuda.memcpy_htod(int(first) + 512, np.zeros(4, np.float32))


def test_a_wrong_size() -> None:
    block = cuda.mem_alloc(16)
    with pytest.raises(cuda.LogicError, match=r"takes 20 bytes, but .* has 16"):
        cuda.memcpy_htod(block, np.zeros(5, np.float32))
    with pytest.raises(cuda.LogicError, match=r"takes 17 bytes, but .* has 16"):
        cuda.memcpy_dtoh(bytearray(17), block)
    with pytest.raises(cuda.LogicError, match="of 0 bytes"):
        cuda.mem_alloc(0)


def test_host_and_device_mixed_up() -> None:
    block, here = cuda.mem_alloc(16), np.zeros(4, np.float32)
    with pytest.raises(TypeError, match="a device address is"):
        cuda.memcpy_htod(here, block)
    with pytest.raises(TypeError, match="a device address is"):
        cuda.memcpy_dtoh(block, here)
    with pytest.raises(TypeError, match="a host buffer is wanted"):
        cuda.memcpy_dtoh(int(block), block)


def test_a_copy_of_an_array_with_gaps() -> None:
    block, whole = cuda.mem_alloc(64), np.zeros((4, 4), np.float32)
    for gaps in (whole[:, ::2], whole[:2, :2]):
        with pytest.raises(ValueError, match="a host buffer has to be contiguous"):
            cuda.memcpy_dtoh(gaps, block)


def test_a_copy_goes_through() -> None:
    block = cuda.mem_alloc(24)
    sent = np.arange(6, dtype=np.float32).reshape(2, 3)
    cuda.memcpy_htod(block, sent)
    sent[:] = 0
    got = np.empty((2, 3), np.float32)
    cuda.memcpy_dtoh(got, int(block))
    np.testing.assert_array_equal(got, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "wait", [lambda _: cuda.Context.synchronize(), lambda block: cuda.memcpy_htod(block, bytes(16))]
)
def test_calls_that_wait_for_every_stream(wait: Any) -> None:
    block, stream = cuda.mem_alloc(16), cuda.Stream()
    got = np.zeros(4, np.float32)
    cuda.memcpy_htod_async(block, np.ones(4, np.float32), stream)
    cuda.memcpy_dtoh_async(got, block, stream)
    assert not got.any()
    wait(block)
    assert got.all()


def test_a_copy_to_what_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="a host buffer that can be written"):
        cuda.memcpy_dtoh(bytes(16), cuda.mem_alloc(16))


def test_devices_are_counted_once_the_driver_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cuda.Device.count() == 1
    with pytest.raises(cuda.LogicError, match="no device 1"):
        cuda.Device(1)
    monkeypatch.setattr(cuda, "_initialised", False)
    with pytest.raises(cuda.LogicError, match="not initialised"):
        cuda.Device.count()


def test_memory_needs_a_context() -> None:
    context = cuda.Context.get_current()
    assert context is pycuda.autoinit.context
    context.pop()
    try:
        with pytest.raises(cuda.LogicError, match="no context is current"):
            cuda.mem_alloc(16)
    finally:
        context.push()


# What TAO asks of the package itself


def test_the_version_is_three_integers_and_not_an_old_one() -> None:
    assert [int(part) for part in trt.__version__.split(".")] >= [10, 0, 0]
    assert trt.REHEARSAL is True
    assert str(trt.__doc__).startswith("Stand-in")


def test_types_numpy_has_and_has_not() -> None:
    assert trt.nptype(trt.float32) is np.float32
    assert trt.volume((2, 3, 4)) == 24
    with pytest.raises(TypeError, match="BF16"):
        trt.nptype(trt.bfloat16)
