"""Writes the graphs of test_rtx_build; run in the rehearsal environment. Argument: a folder to write to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.rehearsal.cases import write_onnx


def write_nodes(path: Path, *nodes: tuple[str, str, str], dims: tuple[Any, ...] = (1, 3, 3)) -> None:
    """Write nodes of one input and one output each, given as name, operator and domain."""
    graph = helper.make_graph(
        [
            helper.make_node(operator, ["x"], [f"y{index}"], name=name, domain=domain)
            for index, (name, operator, domain) in enumerate(nodes)
        ],
        "nodes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, None) for index in range(len(nodes))],
    )
    domains = {"": 17, **{domain: 1 for _, _, domain in nodes if domain}}
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def write_scaled(path: Path) -> None:
    """Write a graph with a dynamic batch beside an input without axes."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "scale"], ["y"])],
        "scaled",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_onnx(folder / "dynamic.onnx")
    write_onnx(folder / "static.onnx", batch=2)
    write_onnx(folder / "external.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    # onnx makes it for its owner alone, who is not the sandbox's user.
    (folder / "weights.bin").chmod(0o644)
    write_scaled(folder / "scaled.onnx")
    write_nodes(folder / "wide.onnx", ("", "Relu", ""), dims=("batch", 3, "height", "width"))
    write_nodes(
        folder / "refused.onnx",
        ("/blocks/blocks.0/attn/Det", "Det", ""),
        ("", "Det", ""),
        ("/model/head/Gadget", "Gadget", "local"),
    )
    (folder / "damaged.onnx").write_bytes(b"no graph at all")
