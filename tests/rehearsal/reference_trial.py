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
from PIL import Image

from tests.rehearsal.cases import direct, images, write_onnx


def write_pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        Image.effect_noise((8, 8), 60 + index).convert("RGB").save(folder / f"{index}.png")
    return folder


def try_out(path: Path, engine_file: str, precision: str, **calibration: Any) -> dict[str, Any]:
    builder = ClassificationEngineBuilder(min_batch_size=1, opt_batch_size=2, max_batch_size=4, workspace=1)
    builder.create_network(str(path))
    builder.create_engine(engine_file, precision, **calibration)
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
    calibration = {
        "calib_input": str(write_pictures(folder / "pictures", 6)),
        "calib_cache": str(folder / "calibration.bin"),
        "calib_data_file": str(folder / "calibration.tensorfile"),
        "calib_num_images": 6,
        "calib_batch_size": 2,
    }
    for name in ("int8", "int8 again"):
        answers[name] = try_out(toy, str(folder / f"{name}.engine"), "int8", **calibration)
    print(json.dumps(answers))
