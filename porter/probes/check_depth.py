"""Looks through lists of images and depth maps and decodes them.

Request: ``porter.records.probes.CheckDepth``; answer: ``DepthScan``.
"""

from __future__ import annotations

import array
import math
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

NAMED = 20
_HEADER = re.compile(rb"(PF|Pf)\s+(\d+)\s+(\d+)\s+(-?[0-9.eE+]+)\s")
_LARGEST = 100_000_000


class Looked(NamedTuple):
    """What is wrong with the files of a line, and what the depth map measures."""

    problem: tuple[str, str] | None = None
    pixels: int = 0
    measured: int = 0
    least: float = math.inf
    greatest: float = -math.inf


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Read the list of every split that is there, then decode what it names."""
    root = Path(request["root"])
    there = [name for name in request["splits"] if (root / f"{name}.txt").is_file()]
    return {"splits": [scan(root, name, request) for name in there]}


def scan(root: Path, split: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return what a list names and what lies there."""
    text = (root / f"{split}.txt").read_text(encoding="utf-8", errors="replace")
    lines = [line.split(" ") for line in text.splitlines() if line]
    strange = [" ".join(parts) for parts in lines if len(parts) > 3 or not all(parts)]
    rows = [[root / part for part in parts] for parts in lines]
    outside = sorted({str(path) for row in rows for path in row if not is_below(path, root)})
    chosen = [] if strange or outside else spread(rows, request["decode"])
    with ThreadPoolExecutor(request["processes"]) as pool:
        looked = list(pool.map(lambda row: look(root, row, request), chosen))
    broken = [each.problem for each in looked if each.problem]
    measuring = [each for each in looked if each.measured]
    return {
        "name": split,
        "images": len(rows),
        "depths": sum(len(row) > 1 for row in rows),
        "strange": strange[:NAMED],
        "outside": outside[:NAMED],
        "decoded": len(chosen),
        "broken": [{"path": path, "error": error} for path, error in broken[:NAMED]],
        "broken_count": len(broken),
        "pixels": sum(each.pixels for each in looked),
        "measured": sum(each.measured for each in looked),
        "least": min((each.least for each in measuring), default=None),
        "greatest": max((each.greatest for each in measuring), default=None),
    }


def is_below(path: Path, root: Path) -> bool:
    """Return whether *path* lies in *root*, whatever it is a link to."""
    return ".." not in path.parts and path.is_relative_to(root)


def spread(rows: list[list[Path]], limit: int) -> list[list[Path]]:
    """Return at most *limit* of *rows*, evenly spread; all for 0."""
    if not limit or len(rows) <= limit:
        return rows
    return [rows[index * len(rows) // limit] for index in range(limit)]


def look(root: Path, row: list[Path], request: dict[str, Any]) -> Looked:
    """Decode an image and its depth map."""
    from PIL import Image

    path = row[0]
    try:
        with Image.open(path) as opened:
            opened.load()
            size = opened.size
        if len(row) == 1:
            return Looked()
        path = row[-1]
        width, height, values = decoded(path)
    except Exception as error:
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return Looked(problem=(path.relative_to(root).as_posix(), text[:200]))
    if (width, height) != size:
        said = f"it is {width} x {height}, its image {size[0]} x {size[1]}"
        return Looked(problem=(path.relative_to(root).as_posix(), said))
    kept = [value for value in values if request["above"] < value < request["below"]]
    return Looked(
        pixels=len(values),
        measured=len(kept),
        least=min(kept, default=math.inf),
        greatest=max(kept, default=-math.inf),
    )


def decoded(path: Path) -> tuple[int, int, list[float]]:
    """Return width, height and values of a depth map; by its ending, as TAO's reader takes it.

    Raises:
        ValueError: it is no depth map.
    """
    from PIL import Image

    if ".pfm" in path.name:
        return from_pfm(path.read_bytes())
    if ".png" not in path.name:
        raise ValueError("depth is read from .pfm and .png files")
    with Image.open(path) as opened:
        if opened.mode not in ("L", "I", "I;16", "I;16B"):
            raise ValueError(f"it has the mode {opened.mode}: a depth map is grey")
        return (*opened.size, [float(value) for value in opened.getdata()])


def from_pfm(content: bytes) -> tuple[int, int, list[float]]:
    """Return width, height and values of a PFM image; of one in colour, those of the first channel."""
    header = _HEADER.match(content)
    if header is None:
        raise ValueError("it does not begin as a PFM image")
    width, height = int(header[2]), int(header[3])
    channels = 3 if header[1] == b"PF" else 1
    body = content[header.end() :]
    if not 0 < width * height <= _LARGEST or len(body) != 4 * width * height * channels:
        raise ValueError(f"{width} x {height} pixels do not fill {len(body)} bytes")
    values = array.array("f", body)
    if (float(header[4]) < 0) != (sys.byteorder == "little"):
        values.byteswap()
    return width, height, list(values[::channels])


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
