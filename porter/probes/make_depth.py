"""Makes small images of boxes before a ramp, with exact depth, so that a port can be tried without data.

Request: ``porter.records.probes.MakeDepth``; answer: ``MadeDataset``. What is near is bright and warm, what
is far is dark and cold. A strip of every image shows noise, whose depth was not measured.
"""

from __future__ import annotations

import array
import math
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

if TYPE_CHECKING:
    from PIL import Image

NEAR, FAR = 0.1, 0.8
"""The least and the greatest depth, as shares of what the model gives at most."""

_NOISE = 12
_BOXES = 3


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Write images, depth maps and lists; equal requests write equal bytes."""
    from porter.weights.kernel.serve import ProbeError

    root = Path(request["root"])
    if root.exists() and any(root.iterdir()):
        raise ProbeError(f"{root} is not empty", next_step="choose another folder")
    files = []
    for split, count in request["images"].items():
        lines = []
        for number in range(count):
            image, depth = picture(request, f"{request['seed']} {split} {number}")
            paths = [f"images/{split}/{split}_{number:04d}.png", f"depth/{split}/{split}_{number:04d}.pfm"]
            for path in paths:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
            image.save(root / paths[0])
            (root / paths[1]).write_bytes(pfm(depth))
            lines.append(" ".join(paths))
            files += paths
        (root / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        files.append(f"{split}.txt")
    return {"files": sorted(files)}


def picture(request: dict[str, Any], seed: str) -> tuple[Image.Image, list[list[float]]]:
    """Return an RGB image that is not square and, by rows, what its ground truth says of every pixel."""
    from PIL import Image

    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable, not unpredictable
    size = request["size"]
    width, height = size + dice.randrange(size // 4 + 1), size
    # The ramp rises to the top, or to the bottom: where something is must not say how far away it is.
    up = dice.random() < 0.5
    shares = [[(y if up else height - 1 - y) / (height - 1)] * width for y in range(height)]
    for _ in range(_BOXES):
        left, top = dice.randrange(width * 3 // 4), dice.randrange(height * 3 // 4)
        share = dice.random()
        for y in range(top, min(height, top + height // 4 + dice.randrange(height // 4))):
            for x in range(left, min(width, left + width // 5 + dice.randrange(3))):
                shares[y][x] = share
    image = Image.new("RGB", (width, height))
    pixels = image.load()
    assert pixels is not None
    edge = height - max(2, height // 12)
    truth = []
    for y in range(height):
        row = []
        for x in range(width):
            if y >= edge:
                pixels[x, y] = tuple(dice.randrange(256) for _ in range(3))
                row.append(math.inf if request["relative"] else 0.0)
                continue
            noise = dice.randrange(-_NOISE, _NOISE + 1)
            pixels[x, y] = tuple(min(max(part + noise, 0), 255) for part in colour(shares[y][x]))
            depth = (NEAR + (FAR - NEAR) * shares[y][x]) * request["farthest"]
            row.append(1 / depth if request["relative"] else depth)
        truth.append(row)
    return image, truth


def colour(share: float) -> tuple[int, int, int]:
    """Return the colour of a depth: from bright and warm to dark and cold."""
    return round(230 - 190 * share), round(180 - 140 * share), round(60 + 60 * share)


def pfm(rows: list[list[float]]) -> bytes:
    """Return a grey float image as PFM, whose last row comes first."""
    values = array.array("f", [value for row in reversed(rows) for value in row])
    if sys.byteorder == "big":
        values.byteswap()
    return f"Pf\n{len(rows[0])} {len(rows)}\n-1.0\n".encode("ascii") + values.tobytes()


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
