"""From a network to the contents of an engine file."""

from __future__ import annotations

from tensorrt import engine_file
from tensorrt.calibration import calibrate
from tensorrt.config import IBuilderConfig, IHostMemory, IOptimizationProfile, Shapes
from tensorrt.network import INetworkDefinition, ITensor
from tensorrt.types import (
    BuilderFlag,
    ILogger,
    NetworkDefinitionCreationFlag,
    RehearsalError,
    Severity,
    check_logger,
)

_WEAK_TYPING = (BuilderFlag.FP16, BuilderFlag.BF16, BuilderFlag.INT8, BuilderFlag.FP8)


class Builder:
    """Makes networks, configurations and engines."""

    platform_has_tf32 = True
    platform_has_fast_fp16 = True
    platform_has_fast_int8 = True

    def __init__(self, logger: ILogger) -> None:
        self._logger = check_logger(logger)
        logger.log(Severity.INFO, "this is a rehearsal with onnxruntime on the CPU; TensorRT is not here")

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        """Return an empty network.

        Raises:
            TypeError: the flags are not given as bits.
        """
        known = sum(1 << int(flag) for flag in NetworkDefinitionCreationFlag)
        if not isinstance(flags, int) or flags & ~known:
            raise TypeError(f"network creation flags are an integer of the bits {known:#b}, not {flags!r}")
        return INetworkDefinition(int(flags))

    def create_builder_config(self) -> IBuilderConfig:
        """Return a configuration with nothing chosen."""
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        """Return an empty profile."""
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory:
        """Return the contents of an engine file.

        Raises:
            RehearsalError: there is no network, its profile does not fit it, its flags contradict each
                other, or INT8 has nothing to get scales from.
        """
        if not network.num_inputs or not network.num_outputs:
            raise RehearsalError("the network is empty: nothing was parsed into it")
        if len(config.profiles) > 1:
            raise RehearsalError(
                f"{len(config.profiles)} optimization profiles: the rehearsal builds one at most"
            )
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        profile = config.profiles[0] if config.profiles else IOptimizationProfile()
        profiles = fit(profile, inputs)
        flags = {flag.name for flag in config.chosen_flags}
        if network.get_flag(NetworkDefinitionCreationFlag.STRONGLY_TYPED):
            flags.add(NetworkDefinitionCreationFlag.STRONGLY_TYPED.name)
            wrong = sorted(flag.name for flag in config.chosen_flags.intersection(_WEAK_TYPING))
            if wrong:
                raise RehearsalError(
                    f"a strongly typed network takes its types from the ONNX file, not from {wrong}"
                )
        header = {
            "profiles": {name: [list(shape) for shape in shapes] for name, shapes in profiles.items()},
            "flags": sorted(flags),
            "calibration": _calibration(network, config, inputs, profiles),
        }
        self._logger.log(Severity.INFO, f"built a rehearsal engine: {header}")
        return IHostMemory(engine_file.pack(header, network.model))


def fit(profile: IOptimizationProfile, inputs: list[ITensor]) -> dict[str, Shapes]:
    """Return the shapes of every input, those of fixed inputs included.

    Raises:
        RehearsalError: the profile names something else, leaves out an input that is not fixed, or
            contradicts the network.
    """
    strangers = sorted(set(profile.inputs) - {tensor.name for tensor in inputs})
    if strangers:
        raise RehearsalError(
            f"the optimization profile is of {strangers}, which are no inputs of the network"
        )
    shapes: dict[str, Shapes] = {}
    for tensor in inputs:
        found = profile.get_shape(tensor.name)
        if not found:
            if -1 in tensor.shape:
                raise RehearsalError(
                    f"{tensor.name} has the shape {list(tensor.shape)} and no optimization profile"
                )
            found = [tensor.shape] * 3
        for shape in found:
            fits = len(shape) == len(tensor.shape) and all(
                dim == -1 or dim == size for dim, size in zip(tensor.shape, shape, strict=True)
            )
            if not fits or 0 in shape:
                raise RehearsalError(
                    f"the profile of {tensor.name} has {list(shape)}, "
                    f"but the network takes {list(tensor.shape)}"
                )
        low, best, high = found
        shapes[tensor.name] = (low, best, high)
    return shapes


def _calibration(
    network: INetworkDefinition,
    config: IBuilderConfig,
    inputs: list[ITensor],
    profiles: dict[str, Shapes],
) -> dict[str, int | str]:
    if not config.get_flag(BuilderFlag.INT8) or network.has_quantize_nodes:
        return {}
    if config.int8_calibrator is None:
        raise RehearsalError(
            "INT8 was asked for, but there is no calibrator, and the ONNX file has no quantize nodes"
        )
    chosen = config.get_calibration_profile()
    fitted = fit(chosen, inputs) if chosen is not None else profiles
    return calibrate(config.int8_calibrator, inputs, {name: shapes[1] for name, shapes in fitted.items()})
