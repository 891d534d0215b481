"""Compares the TAO module, loaded from a checkpoint, with its exported ONNX file.

Request: ``porter.records.weights.OnnxParityRequest``; answer: ``OnnxParityAnswer``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run both at every batch size and look at the graph's inputs and outputs."""
    import onnxruntime
    import torch

    from porter.weights.kernel.compare import Difference, seeded_images, top1_agreement
    from porter.weights.kernel.models import load_tao
    from porter.weights.kernel.serve import ProbeError

    torch.set_grad_enabled(False)
    try:
        session = onnxruntime.InferenceSession(request["onnx"], providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception classes are not public
        raise ProbeError(
            f"ONNX Runtime does not load {Path(request['onnx']).name}",
            why=str(error).splitlines()[0],
            next_step="read the export's log",
        ) from error
    inputs, outputs = _described(session.get_inputs()), _described(session.get_outputs())
    problems = _problems(request, inputs, outputs)
    module = load_tao(request["target"], Path(request["work"]), request["checkpoint"])
    parities, wanted, got = [], [], []
    runs = [(batch, request["image_size"]) for batch in request["batches"]]
    runs += [(request["batches"][1], size) for size in request["more_sizes"]]
    for batch, sides in runs:
        size = (request["channels"], *sides)
        images = seeded_images(batch, size, request["seed"], label=f"batch {batch}")
        expected = module(images)
        difference = Difference()
        try:
            results = session.run(None, {inputs[0]["name"]: images.numpy()})
        except Exception as error:
            where = f"batch {batch} of {sides[0]} x {sides[1]}"
            problems.append(f"{where} does not run: {str(error).splitlines()[0]}")
            difference.add(expected, expected.new_empty(0))
        else:
            result = torch.from_numpy(results[0])
            difference.add_each(expected, result)
            if result.shape == expected.shape:
                wanted.append(expected)
                got.append(result)
        parities.append(
            {
                **difference.parity("tao -> onnx", outputs[0]["name"], request["tolerance"]),
                "inputs": batch,
                "batches": [batch],
                "way": "load_from_checkpoint",
                "attention": "as built",
            }
        )
    return {
        "parities": parities,
        "inputs": inputs,
        "outputs": outputs,
        "problems": problems,
        "agreement": top1_agreement(wanted, got) if wanted else 0.0,
        "runtime": f"onnxruntime {onnxruntime.__version__}",
    }


def _described(values: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": value.name,
            "shape": [size if isinstance(size, int) else str(size or "?") for size in value.shape],
            "dtype": value.type,
        }
        for value in values
    ]


def _problems(
    request: dict[str, Any], inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]
) -> list[str]:
    problems = []
    free = {"inputs": {0}, "outputs": {0}}
    if request["more_sizes"]:
        free = {"inputs": {0, 2, 3}, "outputs": {0, 1}}
    for side, found, wanted in (
        ("inputs", inputs, request["input_names"]),
        ("outputs", outputs, request["output_names"]),
    ):
        names = [each["name"] for each in found]
        if names != list(wanted):
            problems.append(f"{side} are {', '.join(names)}, not {', '.join(wanted)}")
        for each in found:
            if not each["shape"] or isinstance(each["shape"][0], int):
                problems.append(f"the batch axis of {each['name']} is fixed")
            problems += [
                f"axis {axis} of {each['name']} is dynamic"
                # The exporter may leave a map's height and width to be computed from the input's.
                for axis, size in enumerate(each["shape"][: 2 if side == "outputs" else None])
                if axis not in free[side] and not isinstance(size, int)
            ]
    found_shape, wanted_shape = inputs[0]["shape"][1:], [request["channels"], *request["image_size"]]
    if request["more_sizes"]:
        found_shape, wanted_shape = found_shape[:1], wanted_shape[:1]
        if any(isinstance(size, int) for size in inputs[0]["shape"][2:]):
            problems.append(f"height or width of {inputs[0]['name']} is fixed")
    if found_shape != wanted_shape:
        problems.append(f"{inputs[0]['name']} takes {found_shape}, not {wanted_shape}")
    return problems


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
