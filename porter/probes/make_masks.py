"""Makes small images of shapes on a background, with exact masks, so that a port can be tried without data.

Request: ``porter.records.probes.MakeMasks``; answer: ``MadeDataset``. A class has a colour of its own. A
strip of every image shows nothing of any class, and is marked so in its mask: grey 255.
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

UNLABELLED = 255
_NOISE = 12


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Write images and masks; equal requests write equal bytes."""
    from porter.weights.kernel.serve import ProbeError

    root = Path(request["root"])
    if root.exists() and any(root.iterdir()):
        raise ProbeError(f"{root} is not empty", next_step="choose another folder")
    files = []
    for split, count in request["images"].items():
        for number in range(count):
            image, mask = picture(request, f"{request['seed']} {split} {number}", number)
            for folder, made in (("images", image), ("masks", mask)):
                path = root / folder / split / f"{split}_{number:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                made.save(path)
                files.append(path.relative_to(root).as_posix())
    return {"files": sorted(files)}


def picture(request: dict[str, Any], seed: str, number: int) -> tuple[Image.Image, Image.Image]:
    """Return an RGB image that is not square and its grey mask.

    The background is of one class and each of three shapes of another, so that in a few images all classes
    are seen.
    """
    from PIL import Image, ImageDraw

    dice = random.Random(seed)  # noqa: S311 - it has to be repeatable, not unpredictable
    classes, size = request["classes"], request["size"]
    width, height = size + dice.randrange(size // 4 + 1), size
    kinds = [(4 * number + place) % classes for place in range(min(4, classes))]
    image = Image.new("RGB", (width, height), colour(kinds[0], classes))
    mask = Image.new("L", (width, height), kinds[0] + request["shift"])
    pens = ImageDraw.Draw(image), ImageDraw.Draw(mask)
    for place, kind in enumerate(kinds[1:]):
        left, top = width * place // 3 + dice.randrange(3), dice.randrange(height // 3)
        box = (
            left,
            top,
            left + width // 4 + dice.randrange(3),
            top + height // 3 + dice.randrange(height // 4),
        )
        for pen, fill in zip(pens, (colour(kind, classes), kind + request["shift"]), strict=True):
            (pen.ellipse if place % 2 else pen.rectangle)(box, fill=fill)
    edge = height - max(2, height // 12)
    pens[1].rectangle((0, edge, width, height), fill=UNLABELLED)
    pixels = image.load()
    assert pixels is not None
    for y in range(height):
        for x in range(width):
            if y >= edge:
                pixels[x, y] = tuple(dice.randrange(256) for _ in range(3))
            else:
                red, green, blue = pixels[x, y]  # type: ignore[misc]
                noise = dice.randrange(-_NOISE, _NOISE + 1)
                pixels[x, y] = tuple(min(max(part + noise, 0), 255) for part in (red, green, blue))
    return image, mask


def colour(kind: int, classes: int) -> tuple[int, int, int]:
    """Return the colour of a class: a hue of its own, and one of three brightnesses."""
    made = colorsys.hsv_to_rgb(kind / classes, 0.8, (0.9, 0.65, 0.4)[kind % 3])
    red, green, blue = (round(255 * part) for part in made)
    return red, green, blue


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
