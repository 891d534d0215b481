"""Parses and builds a graph with TensorRT-RTX, whose builder needs no GPU.

Request: ``porter.records.engines.RtxRequest``; answer: ``RtxAnswer``. The logger of TensorRT-RTX belongs to
the process, so there is one build in each.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

_KEPT_MESSAGES = 20


def source_module(node: str) -> str:
    """Return the dotted path of the torch module that a node's name tells of; empty where it tells of none.

    torch's exporter names a node after the modules around it: ``/blocks/blocks.0/attn/qkv/MatMul`` came from
    ``blocks.0.attn.qkv``. A container and its element both stand there; the element says it all.
    """
    parts = [part for part in node.split("/") if part]
    if not node.startswith("/"):
        return ""
    path: list[str] = []
    for part in parts[:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)


def refusals(parser: Any) -> list[dict[str, Any]]:
    """Return what the parser says of every node that it refuses."""
    found = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        found.append(
            {
                "operator": str(error.node_operator()),
                "node": str(error.node_name()),
                "module": source_module(str(error.node_name())),
                "code": str(error.code()).rpartition(".")[2],
                "function": str(error.func()),
                "description": str(error.desc()),
            }
        )
    return found


def filled(shape: list[int], batch: int, side: list[int]) -> list[int]:
    """Return a shape with sizes for its dynamic axes; -1 is left where they may not be dynamic."""
    free = [batch, *([-1] * (len(shape) - 1))]
    if len(shape) == 4:
        free[2:] = side
    return [other if size == -1 else size for size, other in zip(shape, free, strict=True)]


def build(
    builder: Any, network: Any, inputs: dict[str, list[int]], request: dict[str, Any], messages: list[str]
) -> int:
    """Build a parsed network; return the size of its plan, 0 with a reason in *messages* if there is none."""
    config = builder.create_builder_config()
    if request["batches"]:
        profile = builder.create_optimization_profile()
        sides = request.get("sides") or [[-1, -1]] * len(request["batches"])
        for name, shape in inputs.items():
            if -1 not in shape:
                continue
            bounds = [
                filled(shape, batch, side) for batch, side in zip(request["batches"], sides, strict=True)
            ]
            try:
                profile.set_shape(name, *bounds)
            except RuntimeError:
                allowed = "the batch, height and width" if request.get("sides") else "axis 0"
                messages.insert(0, f"{name} has the shape {shape}, and only {allowed} may be dynamic")
                return 0
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return 0 if plan is None else int(plan.nbytes)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    import tensorrt_rtx_bindings as rtx

    messages: list[str] = []

    class Listener(rtx.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            rtx.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (rtx.ILogger.Severity.ERROR, rtx.ILogger.Severity.INTERNAL_ERROR):
                messages.append(msg)

    started = time.monotonic()
    logger = Listener()
    builder = rtx.Builder(logger)
    network = builder.create_network(1 << int(rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = rtx.OnnxParser(network, logger)
    parsed = bool(parser.parse_from_file(request["onnx"]))
    answer: dict[str, Any] = {
        "version": str(rtx.__version__),
        "parsed": parsed,
        "refusals": [] if parsed else refusals(parser),
        "inputs": {},
        "outputs": {},
        "engine_bytes": 0,
        "messages": [],
    }
    if parsed:
        answer["inputs"] = {t.name: list(t.shape) for t in map(network.get_input, range(network.num_inputs))}
        answer["outputs"] = {
            t.name: list(t.shape) for t in map(network.get_output, range(network.num_outputs))
        }
        answer["engine_bytes"] = build(builder, network, answer["inputs"], request, messages)
    answer["messages"] = messages[:_KEPT_MESSAGES]
    answer["seconds"] = round(time.monotonic() - started, 2)
    return answer


if __name__ == "__main__":
    answer = run(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(answer))
