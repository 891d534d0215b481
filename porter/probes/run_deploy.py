"""Runs the generated deploy scripts, one after the other, in one process.

Request: ``porter.records.engines.DeployRequest``; answer: ``DeployAnswer``. Every step is run, also after
one that failed: the steps do not rest on each other beyond the engine files. The tensors that reach an
engine or a calibrator are digested on the way, whatever TensorRT is behind them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

seen: list[str] = []
"""Digests of the image tensors of the step that is running."""


def note(batch: Any) -> None:
    """Note every image of a batch, N first."""
    import numpy

    for image in numpy.asarray(batch, dtype=numpy.float32):
        seen.append(hashlib.sha256(numpy.ascontiguousarray(image).tobytes()).hexdigest()[:16])


def watch(package: str, prefix: str) -> None:
    """Have the generated inferencer and the reference's calibrator tell what they are given."""
    inferencer = importlib.import_module(f"{package}.inferencer")
    kind = getattr(inferencer, f"{prefix}Inferencer")
    infer: Callable[..., Any] = kind.infer

    @functools.wraps(infer)
    def watched(self: Any, imgs: Any, *more: Any, **named: Any) -> Any:
        note(imgs)
        return infer(self, imgs, *more, **named)

    kind.infer = watched

    calibrator = importlib.import_module("nvidia_tao_deploy.engine.calibrator").EngineCalibrator
    attach: Callable[..., Any] = calibrator.set_image_batcher

    @functools.wraps(attach)
    def attached(self: Any, batcher: Any) -> None:
        batches: Callable[[], Iterator[Any]] = batcher.get_batch

        def telling() -> Iterator[Any]:
            for item in batches():
                note(item[0])
                yield item

        batcher.get_batch = telling
        attach(self, batcher)

    calibrator.set_image_batcher = attached


def quantise(source: str, target: str) -> None:
    """Write a copy of a graph whose input goes through a QuantizeLinear/DequantizeLinear pair."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(source)
    graph = model.graph
    name = graph.input[0].name
    for node in graph.node:
        for index, used in enumerate(node.input):
            if used == name:
                node.input[index] = f"{name}_dequantised"
    graph.initializer.append(helper.make_tensor(f"{name}_scale", TensorProto.FLOAT, [], [0.05]))
    graph.initializer.append(helper.make_tensor(f"{name}_zero", TensorProto.INT8, [], [0]))
    pair = [f"{name}_scale", f"{name}_zero"]
    graph.node.insert(0, helper.make_node("QuantizeLinear", [name, *pair], [f"{name}_quantised"]))
    graph.node.insert(
        1, helper.make_node("DequantizeLinear", [f"{name}_quantised", *pair], [f"{name}_dequantised"])
    )
    onnx.save(model, target)


def run_step(request: dict[str, Any], step: dict[str, Any], schema: Any) -> dict[str, Any]:
    """Run one script's main with a fresh config."""
    from omegaconf import OmegaConf

    script = importlib.import_module(f"{request['package']}.scripts.{step['mode']}")
    seen.clear()
    error, config = "", None
    start = time.monotonic()
    try:
        config = OmegaConf.merge(
            OmegaConf.structured(schema),
            OmegaConf.load(request["specs"][step["mode"]]),
            OmegaConf.from_dotlist([f"results_dir={step['results_dir']}", *step["overrides"]]),
        )
        script.main(config)
    except BaseException:
        error = traceback.format_exc()
        print(error, file=sys.stderr)
    folder = Path(step["results_dir"])
    return {
        "label": step["label"],
        "mode": step["mode"],
        "ok": not error,
        "error": error,
        "seconds": round(time.monotonic() - start, 2),
        **last_status(folder, step["mode"]),
        "files": {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
        "inputs": list(seen),
        "engine": {} if config is None or step["mode"] != "gen_trt_engine" else rehearsed_engine(config),
    }


def last_status(folder: Path, mode: str) -> dict[str, str]:
    """Return the last line of the step's status file."""
    place = {"evaluate": "trt_evaluate", "inference": "trt_inference"}.get(mode, mode)
    path = folder / place / "status.json"
    lines = [line for line in path.read_text().splitlines() if line.strip()] if path.is_file() else []
    last = json.loads(lines[-1]) if lines else {}
    return {"status": str(last.get("status", "")), "message": str(last.get("message", ""))}


def rehearsed_engine(config: Any) -> dict[str, Any]:
    """Return what the stand-in's engine file says of itself; nothing for a real engine."""
    import tensorrt

    read = getattr(tensorrt, "read_rehearsal", None)
    path = Path(config.gen_trt_engine.trt_engine)
    return dict(read(str(path))) if read is not None and path.is_file() else {}


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    import tensorrt

    module, _, kind = request["schema"].partition(":")
    schema = getattr(importlib.import_module(module), kind)
    watch(request["package"], request["prefix"])
    if request["quantised"]:
        quantise(request["onnx"], request["quantised"])
    steps = [run_step(request, step, schema) for step in request["steps"]]
    return {"steps": steps, "runtime": f"tensorrt {tensorrt.__version__}"}


if __name__ == "__main__":
    answer = run(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(answer))
