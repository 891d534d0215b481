"""Compares the depth maps, previews and rows that two runs wrote for the same images.

Request: ``porter.records.engines.DepthsRequest``; answer: ``DepthsAnswer``. A depth map was written as levels
between the least and the greatest depth of its image, which result.csv has.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

_FOLDERS = ("depth", "depth_colour")
_ROUND = 65535


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Compare every depth map pixel by pixel."""
    import numpy

    native, engine = Path(request["native"]), Path(request["engine"])
    problems = []
    for folder in _FOLDERS:
        names, others = listed(native / folder), listed(engine / folder)
        if names != others or not names:
            problems.append(f"{folder} has {len(others)} files, the trainer's {len(names)}, or other names")
    heading, rows = table(native / "result.csv")
    other_heading, other_rows = table(engine / "result.csv")
    if heading != other_heading or list(rows) != list(other_rows):
        problems.append("result.csv has other columns or images than the trainer's")
    relative, largest = {}, 0.0
    for name in [] if problems else listed(native / "depth"):
        wanted = depth_map(native, name, rows)
        found = depth_map(engine, name, other_rows)
        if wanted.shape != found.shape:
            problems.append(f"{name} is {found.shape}, the trainer's {wanted.shape}")
            break
        apart = found - wanted
        largest = max(largest, float(numpy.abs(apart).max()))
        length = float(numpy.linalg.norm(wanted))
        relative[name] = float(numpy.linalg.norm(apart)) / max(length, 1e-12)
    return {"relative": relative, "max_abs": largest, "problems": problems}


def listed(folder: Path) -> list[str]:
    """Return the paths of the files below *folder*, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def depth_map(results: Path, name: str, rows: dict[str, list[float]]) -> Any:
    """Return a depth map in its own unit, float64."""
    import numpy
    from PIL import Image

    with Image.open(results / "depth" / name) as opened:
        levels = numpy.asarray(opened).astype(numpy.float64)
    [(lowest, highest)] = {
        (row[0], row[1]) for path, row in rows.items() if path.endswith(f"/{Path(name).with_suffix('')}")
    }
    return lowest + levels * (highest - lowest) / _ROUND


def table(path: Path) -> tuple[list[str], dict[str, list[float]]]:
    """Return the heading, and the numbers by the path of the image without its ending."""
    if not path.is_file():
        return [], {}
    with path.open(encoding="utf-8", newline="") as file:
        heading, *rows = csv.reader(file)
    return heading, {str(Path(row[0]).with_suffix("")): [float(each) for each in row[1:]] for row in rows}


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
