"""Probe: hold result.csv against what the Hugging Face model says of the same images.

Request: ``folder``, ``csv``, ``classes``. Answer: ``rows``, ``max_abs``, ``top_1``.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any


def probabilities(folder: str, images: list[str]) -> Any:
    """Return softmax(logits) of every image, (N, labels) float32, one image at a time."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, use_fast=False)
    model = AutoModelForImageClassification.from_pretrained(
        folder, local_files_only=True, attn_implementation="eager", dtype=torch.float32
    ).eval()
    rows = []
    with torch.inference_mode():
        for path in images:
            with Image.open(path) as image:
                inputs = processor(image.convert("RGB"), return_tensors="pt")
            rows.append(model(**inputs).logits.softmax(dim=-1)[0])
    return torch.stack(rows)


def main() -> None:
    """Answer the request."""
    import torch

    request = json.loads(Path(sys.argv[1]).read_text())
    classes = Path(request["classes"]).read_text(encoding="utf-8").splitlines()
    with Path(request["csv"]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    heading, body = rows[0], rows[1:]
    if heading != ["img_name", *classes, "pred_label", "pred_score"]:
        raise SystemExit(f"result.csv has the columns {heading[:4]}..., not those of {request['classes']}")
    expected = probabilities(request["folder"], [row[0] for row in body])
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
