"""What an image processor does, read from its settings and from tables, without running it."""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from porter.errors import ModelRejectedError
from porter.hub.files import PREPROCESSOR
from porter.records.inspection import ProcessorFacts
from porter.resources import tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STYLES = ("plain", "convnext", "levit", "poolformer", "rounded_down", "unfiltered", "padded")
_OLD, _NEW = "FeatureExtractor", "ImageProcessor"


LARGEST_EDGE = 16384
"""Edge length in pixels beyond which no image is fed to a model."""


@functools.cache
def _table() -> dict[str, Any]:
    text = (tree("references") / "processors.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)
    return table


@functools.cache
def _recorded(section: str) -> dict[str, Any]:
    stored = json.loads((tree("references") / "processor_defaults.json").read_bytes())
    found: dict[str, Any] = stored[section]
    return found


def classes() -> list[str]:
    """Return the class names that the tables speak of, with their fast variants, sorted."""
    names = {name for style in _STYLES for name in _table()[style]} | set(_table()["caveats"]["classes"])
    return sorted(names | {name + "Fast" for name in names if not name.endswith("Fast")})


def class_name(settings: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return the image processor class that transformers picks; empty where it finds none.

    Feature extractors of old checkpoints became image processors of the same stem. Where neither
    file names a class, the model type has one.
    """
    for source in (settings, config):
        name = source.get("image_processor_type") or source.get("feature_extractor_type")
        if isinstance(name, str) and name:
            return name.replace(_OLD, _NEW)
    return str(_recorded("model_types").get(str(config.get("model_type")), ""))


def facts(kind: str, settings: Mapping[str, Any], channels: int) -> ProcessorFacts:
    """Return what the processor class *kind* with *settings* does to an image.

    Settings that the file leaves out take the class's defaults in transformers 4.57.6. What the
    record cannot hold is named in its caveats.

    Raises:
        ModelRejectedError: a setting has a value that no image processor takes.
    """
    stem = kind.removesuffix("Fast")
    known = _recorded("classes").get(kind, {})
    merged = {**known, **{name: value for name, value in settings.items() if value is not None}}
    caveats = list(_caveats(kind, stem, merged))
    size: tuple[int, int] | None = None
    shortest: int | None = None
    crop: tuple[int, int] | None = None
    keeps_ratio = bool(merged.get("keep_aspect_ratio"))
    multiple = int(_number(merged, "ensure_multiple_of")) if merged.get("ensure_multiple_of") else 1
    unfiltered, padded = stem in _table()["unfiltered"], stem in _table()["padded"]
    if padded and not kind.endswith("Fast"):
        multiple = int(_number({"ensure_multiple_of": 32, **merged}, "ensure_multiple_of"))
    if (unfiltered or padded) and merged.get("resample", 2) != 2:
        caveats.append(f"{kind} resizes by something else than a weighted mean of four pixels.")
    rounded_down = stem in _table()["rounded_down"] and bool(merged.get("do_resize", True))
    if rounded_down:
        multiple = int(_number({"size_divisor": 32, **merged}, "size_divisor"))
    if merged.get("do_resize", True) and merged.get("size") is not None:
        size, shortest, longest = _size(merged["size"], "size", square=bool(known.get("square", True)))
        if longest is not None:
            caveats.append(f"{kind} bounds the longer side of an image.")
        if size is not None:
            size = (
                max(1, round(size[0] / multiple)) * multiple,
                max(1, round(size[1] / multiple)) * multiple,
            )
    if merged.get("do_center_crop") and merged.get("crop_size") is not None:
        crop, edge, _ = _size(merged["crop_size"], "crop_size", square=True)
        crop = crop or (edge, edge) if edge else crop
    if stem in _table()["convnext"] and shortest is not None:
        if shortest < 384:
            crop = (shortest, shortest)
            shortest = int(shortest / _number(merged, "crop_pct"))
        else:
            size, shortest = (shortest, shortest), None
    elif stem in _table()["levit"] and shortest is not None:
        shortest = int((256 / 224) * shortest)
    elif stem in _table()["poolformer"] and merged.get("crop_pct") is not None:
        share = _number(merged, "crop_pct")
        if shortest is not None:
            shortest = int(shortest / share)
        elif size is not None and size[0] == size[1]:
            shortest, size = int(size[0] / share), None
        elif size is not None:
            size = (int(size[0] / share), int(size[1] / share))
    mean, std = _normalisation(merged, channels)
    return ProcessorFacts(
        kind=kind,
        size=size,
        shortest_edge=shortest,
        resample=_resample(merged.get("resample", 2)),
        keeps_ratio=keeps_ratio,
        multiple=multiple,
        rounded_down=rounded_down,
        interpolation="linear" if unfiltered else "aligned" if padded else "pillow",
        padded=padded and bool(merged.get("do_pad")),
        crop=crop,
        margin="even" if kind in _table()["even_margins"] else "down",
        rescale_factor=_number(merged, "rescale_factor") if merged.get("do_rescale", True) else None,
        mean=mean,
        std=std,
        flipped=bool(merged.get("do_flip_channel_order")),
        # Older files have the setting's former name.
        reduce_labels=bool(merged.get("do_reduce_labels") or merged.get("reduce_labels")),
        caveats=tuple(caveats),
    )


def _normalisation(merged: Mapping[str, Any], channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return all that is subtracted and divided by after the rescale; empty for nothing."""
    offset = 1.0 if merged.get("rescale_offset") and merged.get("do_rescale", True) else 0.0
    if not merged.get("do_normalize"):
        return ((offset,) * channels, (1.0,) * channels) if offset else ((), ())
    mean = _channels(merged.get("image_mean"), "image_mean", channels)
    std = _channels(merged.get("image_std"), "image_std", channels)
    if merged.get("include_top"):
        # Normalised a second time, with a mean of zero.
        std = tuple(each * each for each in std)
    return tuple(each + offset for each in mean), std


def takes_any_size(model_type: str) -> bool:
    """Return whether models of the type take squares of any size, whatever their config states."""
    return model_type in _table()["models"]["any_size"]


def output_size(processor: ProcessorFacts) -> tuple[int, int] | None:
    """Return the (height, width) that every image leaves with; None where it depends on the image."""
    return processor.crop or processor.size


def _caveats(kind: str, stem: str, merged: Mapping[str, Any]) -> Sequence[str]:
    table = _table()["caveats"]
    found = [
        f"{kind} {table['classes'][name]}."
        for name in dict.fromkeys((kind, stem))
        if name in table["classes"]
    ]
    if not found and kind not in _recorded("classes"):
        return [f"{kind or 'Its class'} is not among the image processors that porter knows."]
    known = {"do_pad"} if stem in _table()["padded"] else set()
    return found + [
        f"{kind} {text}."
        for name, text in table["settings"].items()
        if merged.get(name) and name not in known
    ]


def _size(value: Any, name: str, *, square: bool) -> tuple[tuple[int, int] | None, int | None, int | None]:
    """Return (height, width), shortest edge and longest edge, each where *value* has it."""
    if type(value) is int and 0 < value <= LARGEST_EDGE:
        return ((value, value), None, None) if square else (None, value, None)
    if isinstance(value, list) and len(value) == 2:
        value = {"height": value[0], "width": value[1]}
    if isinstance(value, dict):
        edges = {key: edge for key, edge in value.items() if edge is not None}
        if edges and all(type(edge) is int and 0 < edge <= LARGEST_EDGE for edge in edges.values()):
            if set(edges) == {"height", "width"}:
                return (edges["height"], edges["width"]), None, None
            if set(edges) <= {"shortest_edge", "longest_edge"}:
                return None, edges.get("shortest_edge"), edges.get("longest_edge")
            if set(edges) == {"max_height", "max_width"}:
                return None, None, edges["max_height"]
    raise _unfit(name, value)


def _resample(value: Any) -> int:
    if type(value) is int and 0 <= value <= 5:
        return value
    raise _unfit("resample", value)


def _number(merged: Mapping[str, Any], name: str) -> float:
    value = merged.get(name, 1 / 255 if name == "rescale_factor" else None)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise _unfit(name, value)


def _channels(value: Any, name: str, channels: int) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value] * channels
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    # A deviation divides; and nothing that is not finite is a number of a pixel.
    if values and numbers and all(math.isfinite(v) and (v > 0 or name != "image_std") for v in values):
        return tuple(float(v) for v in values)
    raise _unfit(name, value)


def _unfit(name: str, value: Any) -> ModelRejectedError:
    return ModelRejectedError(
        f"{PREPROCESSOR} sets {name} to {str(value)[:80]!r}.",
        why="no image processor takes such a value",
        next_step=f"correct {name} in {PREPROCESSOR}",
    )
