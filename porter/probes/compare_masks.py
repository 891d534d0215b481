"""Compares the masks and areas that two runs wrote for the same images.

Request: ``porter.records.engines.MasksRequest``; answer: ``MasksAnswer``.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

_FOLDERS = ("mask_labels", "vis_overlay")


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Compare every mask pixel by pixel, and the rows of result.csv with the masks."""
    import numpy
    from PIL import Image

    native, engine = Path(request["pair"]["native"]), Path(request["pair"]["engine"])
    problems = []
    for folder in _FOLDERS:
        names, others = listed(native / folder), listed(engine / folder)
        if names != others:
            problems.append(f"{folder} has {len(others)} files, the trainer's {len(names)}, or other names")
    heading, rows = table(native / "result.csv")
    other_heading, other_rows = table(engine / "result.csv")
    if heading != other_heading or list(rows) != list(other_rows):
        problems.append("result.csv has other columns or images than the trainer's")
    different, equal, pixels = {}, 0, 0
    for name in [] if problems else listed(native / "mask_labels"):
        with Image.open(native / "mask_labels" / name) as opened:
            wanted = numpy.asarray(opened)
        with Image.open(engine / "mask_labels" / name) as opened:
            found = numpy.asarray(opened)
        if wanted.shape != found.shape:
            problems.append(f"{name} is {found.shape}, the trainer's {wanted.shape}")
            break
        same = int((wanted == found).sum())
        different[name] = 1 - same / wanted.size
        equal, pixels = equal + same, pixels + wanted.size
        areas = other_rows.get(Path(name).stem, [])
        if sum(areas) != found.size:
            problems.append(f"the areas of {name} in result.csv are not those of its mask")
    return {
        "images": len(different),
        "equal": equal / max(pixels, 1),
        "different": different,
        "problems": problems,
    }


def listed(folder: Path) -> list[str]:
    """Return the names of the files in *folder*, sorted."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def table(path: Path) -> tuple[list[str], dict[str, list[int]]]:
    """Return the heading, and the areas by name of the image without its ending."""
    if not path.is_file():
        return [], {}
    with path.open(encoding="utf-8", newline="") as file:
        heading, *rows = csv.reader(file)
    return heading, {Path(row[0]).stem: [int(area) for area in row[1:]] for row in rows}


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
