"""Makes small images by class, so that a port can be tried without a dataset.

Request: ``porter.records.probes.MakeDataset``; answer: ``MadeDataset``.
"""

from __future__ import annotations

import colorsys
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

if TYPE_CHECKING:
    from PIL import Image


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Write the images; equal requests write equal bytes."""
    from porter.weights.kernel.serve import ProbeError

    root = Path(request["root"])
    if root.exists() and any(root.iterdir()):
        raise ProbeError(f"{root} is not empty", next_step="choose another folder")
    files = []
    for number, (split, count) in enumerate(request["images"].items()):
        for index, name in enumerate(request["classes"]):
            folder = root / split / name
            folder.mkdir(parents=True)
            for image in range(count if index < request["filled"] else 0):
                mode = mode_of(index, image) if number == 0 else "RGB"
                share = index / len(request["classes"])
                made = picture(share, request["size"], f"{request['seed']} {split} {index} {image}")
                path = folder / f"{split}_{index:04d}_{image:04d}.png"
                made.convert(mode).save(path)
                files.append(path.relative_to(root).as_posix())
    return {"files": sorted(files)}


def mode_of(index: int, image: int) -> str:
    """Return the mode of an image of the first split: a trainer has to take more than RGB."""
    return ("L", "P" if index % 2 else "RGBA", "RGB")[min(image, 2)]


def picture(share: float, size: int, seed: str) -> Image.Image:
    """Return an RGB image that is not square: a hue and a slope of its class, with noise.

    Args:
        share: place of the class among all, from 0 to 1; fixes hue and slope.
        size: rough edge length in pixels.
        seed: fixes all that is random.
    """
    from PIL import Image

    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable, not unpredictable
    width, height = size + dice.randrange(1, size // 2 + 2), size + dice.randrange(size // 4 + 1)
    coarse = Image.new("RGB", (8, 8))
    for y in range(8):
        for x in range(8):
            light = 0.25 + 0.5 * ((x * (1 - share) + y * share) / 7) + dice.uniform(-0.15, 0.15)
            colour = colorsys.hsv_to_rgb(share, 0.7, min(max(light, 0.0), 1.0))
            coarse.putpixel((x, y), tuple(round(255 * part) for part in colour))
    return coarse.resize((width, height), Image.Resampling.BILINEAR)


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
