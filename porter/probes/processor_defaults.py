"""Probe: the default settings of image processor classes of transformers.

Request: ``{"classes": [name, ...]}``. Answer: ``{"transformers": version, "classes": {name: {setting:
value}}, "model_types": {model type: class that is taken where a checkpoint names none}}``; a class
that cannot be built without arguments is left out.
"""

import json
import sys
from pathlib import Path
from typing import Any

SETTINGS = (
    "crop_pct",
    "crop_size",
    "do_center_crop",
    "do_color_quantize",
    "do_flip_channel_order",
    "do_normalize",
    "do_pad",
    "do_rescale",
    "do_resize",
    "image_mean",
    "image_std",
    "include_top",
    "keep_aspect_ratio",
    "resample",
    "rescale_factor",
    "rescale_offset",
    "size",
)


def defaults(cls: Any) -> dict[str, object]:
    """Return the settings of ``cls()``, and under ``square`` what an integer size means to it."""
    given = cls().to_dict()
    found = {name: given[name] for name in SETTINGS if given.get(name) is not None}
    try:
        # Recent classes normalise a size when they run, older ones when they are made.
        size = cls(size=200).size
        found["square"] = "height" in size if isinstance(size, dict) else bool(given["default_to_square"])
    except (KeyError, TypeError, ValueError):
        found["square"] = False
    plain: dict[str, object] = json.loads(json.dumps(found, default=int))
    return plain


def by_model_type() -> dict[str, str]:
    """Return the image processor class of each model type, the slow one where there are two."""
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    return {name: slow or fast for name, (slow, fast) in sorted(IMAGE_PROCESSOR_MAPPING_NAMES.items())}


def main() -> int:
    """Answer the request named on the command line."""
    import transformers

    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    classes = {}
    for name in request["classes"]:
        cls = getattr(transformers, name, None)
        if cls is None:
            continue
        try:
            classes[name] = defaults(cls)
        except (ImportError, TypeError, ValueError):
            continue
    answer = {"transformers": transformers.__version__, "classes": classes, "model_types": by_model_type()}
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
