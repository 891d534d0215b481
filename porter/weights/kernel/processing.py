"""The model's own image processor, as transformers runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""PIL mode by number of channels of the model."""


def load_processor(folder: str | Path, *, fast: bool = False) -> Any | None:
    """Return the image processor that resizes with Pillow, or with torchvision (*fast*).

    None where transformers has no such class for the model.
    """
    from transformers import AutoImageProcessor

    try:
        found = AutoImageProcessor.from_pretrained(folder, use_fast=fast, local_files_only=True)
    except (ValueError, ImportError, AttributeError):
        return None
    # Where transformers has one of the two only, it gives that one.
    return found if type(found).__name__.endswith("Fast") == fast else None


def process(processor: Any, image: Any, mode: str) -> Any:
    """Return the float32 array (channels, height, width) that *processor* makes of a ``PIL.Image``.

    It is given ``image.convert(mode)``, as transformers' own pipelines give it RGB.
    """
    import numpy

    converted = image.convert(mode)
    if mode == "RGB":
        made = processor(converted, return_tensors="pt")
    else:
        # Of an image that is not in colour, the processor cannot tell which axis is which.
        pixels = numpy.asarray(converted).reshape(converted.height, converted.width, -1)
        made = processor(pixels, return_tensors="pt", input_data_format="channels_last")
    return numpy.asarray(made["pixel_values"])[0].astype(numpy.float32)
