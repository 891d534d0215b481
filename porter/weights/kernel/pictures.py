"""Pictures of what preprocessing makes of an image, for a person to compare. Needs numpy and Pillow only.

The index beside them is ``porter.records.review.PreprocessingPictures``; several probes add to one folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

INDEX = "index.json"
WORST = sys.float_info.max
"""Stands for a difference that is no number (JSON has no infinity)."""

_SOURCE_EDGE = 320

Side = Literal["huggingface", "trainer", "deploy"]


class Album:
    """The pictures of one folder. Nothing counts before :meth:`save`.

    Args:
        folder: made where it is missing.
        mean, std: per channel, what the Hugging Face processor normalises with. Every side is shown through
            these: one that normalises otherwise then looks otherwise.
    """

    def __init__(self, folder: Path, mean: Sequence[float], std: Sequence[float]) -> None:
        self.folder = folder
        self._mean, self._std = list(mean), list(std)
        self._entries: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def source(self, image: str, picture: Any) -> None:
        """Keep the image file itself, a ``PIL.Image``, as RGB and no larger than 320 pixels a side."""
        small = picture.convert("RGB")
        small.thumbnail((_SOURCE_EDGE, _SOURCE_EDGE))
        self._keep(image, "source", small, (3, picture.height, picture.width))

    def tensor(self, image: str, side: Side, tensor: Any) -> None:
        """Keep a normalised float array (channels, height, width) with the normalisation taken back."""
        import numpy
        from PIL import Image

        channels = len(tensor)
        mean = numpy.resize(numpy.asarray(self._mean or [0.0], numpy.float64), channels)
        std = numpy.resize(numpy.asarray(self._std or [1.0], numpy.float64), channels)
        values = numpy.nan_to_num(numpy.asarray(tensor, numpy.float64)) * std[:, None, None]
        pixels = ((values + mean[:, None, None]) * 255).round().clip(0, 255).astype(numpy.uint8)
        if channels != 3:
            pixels = numpy.repeat(pixels[:1], 3, axis=0)
        picture = Image.fromarray(numpy.ascontiguousarray(pixels.transpose(1, 2, 0)), "RGB")
        self._keep(image, side, picture, tensor.shape)

    def difference(self, image: str, side: Side, reference: Any, candidate: Any) -> None:
        """Keep ``|reference - candidate|``, the largest channel, stretched so that its maximum is white.

        The index gets the maximum (in normalised units) and the share of values that differ at all. Shapes
        that differ have no picture.
        """
        import numpy
        from PIL import Image

        what = f"{side}-difference"
        if reference.shape != candidate.shape:
            self._note(image, what, "", candidate.shape, max_abs=WORST, different=1.0)
            return
        gap = numpy.abs(numpy.asarray(reference, numpy.float64) - numpy.asarray(candidate, numpy.float64))
        broken = not numpy.isfinite(gap).all()
        gap = numpy.where(numpy.isfinite(gap), gap, numpy.nanmax(gap[numpy.isfinite(gap)], initial=1.0))
        largest = float(gap.max())
        stretched = gap.max(axis=0) * (255 / largest if largest else 0.0)
        # Rounded up: a difference however small beside the largest one is not black.
        picture = Image.fromarray(numpy.ceil(stretched).clip(0, 255).astype(numpy.uint8), "L")
        self._keep(
            image,
            what,
            picture,
            candidate.shape,
            max_abs=WORST if broken else largest,
            different=float((gap > 0).mean()),
        )

    def save(self) -> None:
        """Write the index: what was kept here takes the place of what an earlier run kept under its name."""
        index = self.folder / INDEX
        try:
            known = json.loads(index.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = []
        entries = {(entry["image"], entry["what"]): entry for entry in [*known, *self._entries]}
        partial = index.with_name(f".{INDEX}.{os.getpid()}")
        partial.write_text(json.dumps(list(entries.values()), allow_nan=False, indent=1), encoding="utf-8")
        partial.replace(index)

    def _keep(self, image: str, what: str, picture: Any, shape: Sequence[int], **numbers: float) -> None:
        # The image's own name may be anything; a digest of it is a file name everywhere.
        file = f"{hashlib.sha256(image.encode()).hexdigest()[:12]}-{what}.png"
        picture.save(self.folder / file, optimize=True)
        self._note(image, what, file, shape, **numbers)

    def _note(self, image: str, what: str, file: str, shape: Sequence[int], **numbers: float) -> None:
        size = [int(edge) for edge in shape]
        self._entries.append({"image": image, "what": what, "file": file, "shape": size, **numbers})
