"""What ``config.json`` of a timm checkpoint says, read as transformers' TimmWrapper reads it.

A hub repository of timm and a folder that transformers saved from it differ in three keys
(``model_type``, ``architectures``, ``label_names``) and are one thing here.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from porter import processors
from porter.errors import ModelRejectedError
from porter.hub import files
from porter.records.base import Record
from porter.records.inspection import ProcessorFacts

MODEL_TYPE = "timm_wrapper"
CLASS = "TimmWrapperForImageClassification"
BARE = "TimmWrapperModel"
PROCESSOR = "TimmWrapperImageProcessor"
PREFIX = "timm_model."
"""What transformers calls the timm model inside its own; files leave it out."""

_MOST_LABELS = 1_000_000
_ARCHITECTURE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)?")
_ARGUMENT = re.compile(r"[a-z][a-z0-9_]*")
_DEPTH = 4
_RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# The numbers of classes that timm takes for ImageNet and its supersets.
_IMAGENET_CLASSES = frozenset({1000, 11221, 11821, 21841, 21842, 21843})

_REFUSED = {
    "cache_dir": "it chooses where files are looked for",
    "checkpoint_path": "it makes timm open another file",
    "exportable": "it says how the model is built, not what it is",
    "features_only": "such a model has no classification head",
    "num_classes": "the number of classes stands beside model_args",
    "out_indices": "it belongs to features_only, and such a model has no classification head",
    "pretrained": "it makes timm fetch other weights",
    "pretrained_cfg": "it makes timm fetch other weights",
    "pretrained_cfg_overlay": "it makes timm fetch other weights",
    "scriptable": "it says how the model is built, not what it is",
}


class TimmFacts(Record, frozen=True, kw_only=True):
    """What a timm config says, checked.

    Attributes:
        architecture: name that ``timm.create_model`` knows, with or without a tag.
        arguments: what else ``timm.create_model`` is given.
        labels, image_size, channels, processor: as in an inspection.
    """

    architecture: str
    arguments: dict[str, Any]
    labels: tuple[str, ...]
    image_size: tuple[int, int]
    channels: int
    processor: ProcessorFacts


def is_timm(config: Mapping[str, Any]) -> bool:
    """Return whether *config* is of a timm checkpoint, by the keys that timm writes."""
    stated = config.get("model_type")
    if stated is None or stated == "":
        return "pretrained_cfg" in config or isinstance(config.get("architecture"), str)
    return bool(stated == MODEL_TYPE)


def read(ref: str, config: Mapping[str, Any], notes: list[str]) -> TimmFacts:
    """Return what *config* says.

    Args:
        ref: the model, for the errors.
        config: of a checkpoint for which :func:`is_timm` holds.
        notes: what a person should know is added.

    Raises:
        ModelRejectedError: something is missing, or has a value that timm or transformers would not take.
    """
    pretrained = config.get("pretrained_cfg")
    # transformers takes an empty one for none.
    if not isinstance(pretrained, dict) or not pretrained:
        raise ModelRejectedError(
            f"{files.CONFIG} of {ref} has no pretrained_cfg.",
            why="transformers knows a timm checkpoint by it, and it says how images are prepared",
            next_step="save the model again with timm.models.save_for_hf, or with a timm of 2023 or later",
        )
    arguments = _arguments(config)
    size = _input_size(pretrained)
    _check_channels(arguments, size[0])
    return TimmFacts(
        architecture=_architecture(config),
        arguments=arguments,
        labels=_labels(config, notes),
        image_size=(size[1], size[2]),
        channels=size[0],
        processor=_processor(config, pretrained, size),
    )


def _architecture(config: Mapping[str, Any]) -> str:
    name = config.get("architecture")
    # "hf-hub:..." and "local-dir:..." would make timm open other files.
    if not isinstance(name, str) or not _ARCHITECTURE.fullmatch(name):
        raise _unfit("architecture", name, "timm's names are letters, digits and underscores, perhaps .tag")
    return name


def _arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    stated = config.get("model_args")
    if stated is None:
        return {}
    if not isinstance(stated, dict):
        raise _unfit("model_args", stated, "it is a table of arguments")
    for name, value in stated.items():
        if name in _REFUSED:
            raise _unfit(f"model_args.{name}", value, _REFUSED[name])
        if not _ARGUMENT.fullmatch(name):
            raise _unfit("model_args", name, "that is no name of an argument")
        if not _is_literal(value, _DEPTH):
            raise _unfit(f"model_args.{name}", value, "it cannot be written as Python")
    return dict(stated)


def _is_literal(value: Any, depth: int) -> bool:
    if depth < 0:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_literal(item, depth - 1) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_literal(item, depth - 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


def _labels(config: Mapping[str, Any], notes: list[str]) -> tuple[str, ...]:
    count = config.get("num_classes")
    if type(count) is not int or not 0 <= count <= _MOST_LABELS:
        raise _unfit("num_classes", count, "transformers takes the number of classes from it")
    if count == 0:
        # What transformers takes for a class that has a head, where nothing says how many classes there are.
        return ("LABEL_0", "LABEL_1")
    names = config.get("label_names")
    if names is None:
        return _named_by_table(config, count, notes)
    if not isinstance(names, list) or not all(isinstance(each, str | int | float) for each in names):
        raise _unfit("label_names", names, "it is a list of labels")
    if len(names) != count:
        raise _unfit("label_names", names, f"those are {len(names)} labels, and num_classes is {count}")
    labels = tuple(str(each) for each in names)
    twice = [label for label, times in Counter(labels).items() if times > 1]
    if twice:
        shown = ", ".join(repr(label) for label in twice[:3])
        notes.append(f"{len(twice)} labels name more than one class: {shown}")
    return labels


def _named_by_table(config: Mapping[str, Any], count: int, notes: list[str]) -> tuple[str, ...]:
    """Return the labels of ``id2label``, or stand-ins for labels that no file names."""
    table = config.get("id2label")
    if isinstance(table, dict) and table:
        found = {str(key): value for key, value in table.items()}
        if set(found) != {str(index) for index in range(count)}:
            raise _unfit("id2label", table, f"num_classes is {count}, so it has the keys 0 to {count - 1}")
        if not all(isinstance(label, str | int | float) for label in found.values()):
            raise _unfit("id2label", table, "a label is no text")
        return tuple(str(found[str(index)]) for index in range(count))
    known = "; timm knows them as ImageNet's" if count in _IMAGENET_CLASSES else ""
    notes.append(f"{files.CONFIG} names none of the {count} labels: LABEL_0, LABEL_1 ...{known}")
    return tuple(f"LABEL_{index}" for index in range(count))


def _input_size(pretrained: Mapping[str, Any]) -> tuple[int, int, int]:
    value = pretrained.get("input_size")
    if value is None:
        value = [3, 224, 224]
    edges = isinstance(value, list) and len(value) == 3 and all(type(each) is int for each in value)
    if not edges or not 1 <= value[0] <= 64:
        raise _unfit("pretrained_cfg.input_size", value, "it is channels (1 to 64), height and width")
    if not all(1 <= edge <= processors.LARGEST_EDGE for edge in value[1:]):
        raise _unfit("pretrained_cfg.input_size", value, f"an edge has 1 to {processors.LARGEST_EDGE} pixels")
    return value[0], value[1], value[2]


def _check_channels(arguments: Mapping[str, Any], fed: int) -> None:
    built = arguments.get("in_chans", 3)
    if type(built) is not int or built != fed:
        raise _unfit(
            "pretrained_cfg.input_size",
            f"{fed} channels",
            f"the model is built for {built!r} (model_args.in_chans)",
        )


def _processor(
    config: Mapping[str, Any], pretrained: Mapping[str, Any], size: tuple[int, int, int]
) -> ProcessorFacts:
    """Return what timm's evaluation transform does: resize, crop, scale to 0-1, normalise."""
    channels, height, width = size
    share = _share(pretrained.get("crop_pct"))
    mode = pretrained.get("crop_mode") or "center"
    if not isinstance(mode, str):
        raise _unfit("pretrained_cfg.crop_mode", mode, "it is center, squash or border")
    resized = math.floor(height / share), math.floor(width / share)
    if max(resized) > processors.LARGEST_EDGE or min(resized) < 1:
        raise _unfit("pretrained_cfg.crop_pct", share, f"it makes {resized[0]}x{resized[1]} of an image")
    caveats = _caveats(config, mode, square=height == width)
    plain = mode == "squash"
    return ProcessorFacts(
        kind=PROCESSOR,
        size=resized if plain else None,
        shortest_edge=None if plain else min(resized),
        resample=_resample(pretrained.get("interpolation")),
        crop=(height, width),
        margin="even",
        rescale_factor=1 / 255,
        mean=_channels("mean", pretrained, channels),
        std=_channels("std", pretrained, channels),
        caveats=caveats,
    )


def _caveats(config: Mapping[str, Any], mode: str, *, square: bool) -> tuple[str, ...]:
    found = []
    other = config.get("image_processor_type") or config.get("feature_extractor_type")
    if other not in (None, PROCESSOR):
        found.append(f"{files.CONFIG} names another image processor than timm's: {str(other)[:80]!r}.")
    if mode == "border":
        found.append(f"{PROCESSOR} adds borders to an image (crop_mode border).")
    elif mode != "squash" and not square:
        found.append(f"{PROCESSOR} chooses the resized edge by the image where the target is no square.")
    return tuple(found)


def _share(value: Any) -> float:
    """Return the share of the resized image that the crop keeps; timm takes 0.875 for nothing."""
    if not value:
        return 0.875
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 16:
        return float(value)
    raise _unfit("pretrained_cfg.crop_pct", value, "it is a share, such as 0.875")


def _resample(value: Any) -> int:
    name = value or "bicubic"
    if isinstance(name, str) and name in _RESAMPLE:
        return _RESAMPLE[name]
    raise _unfit("pretrained_cfg.interpolation", value, f"timm knows {', '.join(_RESAMPLE)}")


def _channels(name: str, pretrained: Mapping[str, Any], channels: int) -> tuple[float, ...]:
    value = pretrained.get(name)
    values = list(_IMAGENET[name]) if value is None else value
    if isinstance(values, list) and len(values) == 1:
        values = values * channels
    numbers = isinstance(values, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each)
        for each in values
    )
    # A deviation divides.
    if numbers and len(values) == channels and (name == "mean" or all(each > 0 for each in values)):
        return tuple(float(each) for each in values)
    raise _unfit(f"pretrained_cfg.{name}", value, f"it is a number for each of {channels} channels")


def _unfit(name: str, value: Any, why: str) -> ModelRejectedError:
    return ModelRejectedError(
        f"{files.CONFIG} sets {name} to {str(value)[:80]!r}.",
        why=why,
        next_step=f"correct {name} in {files.CONFIG}",
    )
