"""Run tao-deploy's own engine builder and inferencer, and say how far they are from onnxruntime's own run.

Argument: a folder to write to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tensorrt as trt
from nvidia_tao_deploy.cv.classification_tf1.engine_builder import ClassificationEngineBuilder
from nvidia_tao_deploy.cv.classification_tf1.inferencer import ClassificationInferencer

from tests.rehearsal.cases import direct, images, write_onnx


def try_out(path: Path, engine_file: str, precision: str) -> dict[str, Any]:
    builder = ClassificationEngineBuilder(min_batch_size=1, opt_batch_size=2, max_batch_size=4, workspace=1)
    builder.create_network(str(path))
    builder.create_engine(engine_file, precision)
    answer: dict[str, Any] = {"header": trt.read_rehearsal(engine_file), "distance": {}, "refused": ""}
    for count in (1, 3, 4):
        batch = images(count)
        found, expected = (
            ClassificationInferencer(engine_file, batch_size=count).infer(batch),
            direct(path, batch),
        )
        assert found.shape == expected.shape
        answer["distance"][str(count)] = float(abs(found - expected).max())
    try:
        ClassificationInferencer(engine_file, batch_size=5)
    except trt.RehearsalError as error:
        answer["refused"] = str(error)
    return answer


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    toy = write_onnx(folder / "toy.onnx")
    answers = {name: try_out(toy, str(folder / f"{name}.engine"), name) for name in ("fp32", "fp16")}
    print(json.dumps(answers))
