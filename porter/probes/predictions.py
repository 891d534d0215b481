"""Probe: hold result.csv against what the Hugging Face model says of the same images.

Request: ``folder``, ``csv``, ``classes``, ``new_head``, ``checkpoint``. Answer: ``rows``, ``max_abs``,
``top_1``. Where the port began a new head, the model is given that head.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))


def build(folder: str, classes: int, new_head: dict[str, str], checkpoint: str) -> Any:
    """Return the model, with the checkpoint's head in the place of its own where *new_head* names one."""
    import torch
    from transformers import AutoModelForImageClassification

    more = {"num_labels": classes, "ignore_mismatched_sizes": True} if new_head else {}
    model = AutoModelForImageClassification.from_pretrained(
        folder, local_files_only=True, attn_implementation="eager", dtype=torch.float32, **more
    ).eval()
    if new_head:
        state = model.state_dict()
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
        for name, key in new_head.items():
            state[name].copy_(stored[key])
    return model


def probabilities(model: Any, folder: str, images: list[str]) -> Any:
    """Return softmax(logits) of every image, (N, labels) float32, one image at a time."""
    import torch
    from PIL import Image

    from porter.weights.kernel.processing import MODES, load_processor, process

    processor = load_processor(folder) or load_processor(folder, fast=True)
    mode = MODES[getattr(model.config, "num_channels", None) or 3]
    rows = []
    with torch.inference_mode():
        for path in images:
            with Image.open(path) as image:
                pixels = torch.from_numpy(process(processor, image, mode))
            rows.append(model(pixel_values=pixels[None]).logits.softmax(dim=-1)[0])
    return torch.stack(rows)


def main() -> None:
    """Answer the request."""
    import torch

    request = json.loads(Path(sys.argv[1]).read_text())
    # As TAO reads it: what else may break a line is part of a folder's name.
    classes = Path(request["classes"]).read_text(encoding="utf-8").split("\n")[:-1]
    with Path(request["csv"]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    heading, body = rows[0], rows[1:]
    if heading != ["img_name", *classes, "pred_label", "pred_score"]:
        raise SystemExit(f"result.csv has the columns {heading[:4]}..., not those of {request['classes']}")
    with torch.no_grad():
        model = build(request["folder"], len(classes), request["new_head"], request["checkpoint"])
    expected = probabilities(model, request["folder"], [row[0] for row in body])
    found = torch.tensor([[float(value) for value in row[1:-2]] for row in body])
    best = [classes[int(index)] for index in expected.argmax(dim=1)]
    answer = {
        "rows": len(body),
        "max_abs": float((expected - found).abs().max()),
        "top_1": sum(row[-2] == label for row, label in zip(body, best, strict=True)) / len(body),
    }
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
