"""What ``config.json`` says about a model, each value checked before it is believed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from porter import processors, tasks, timm_configs
from porter.errors import ModelRejectedError
from porter.hub import files
from porter.records.base import Task
from porter.records.inspection import Contents, ProcessorFacts, Source

OTHER_FORMATS = {
    "adapter_config.json": "an adapter (PEFT), not a whole model",
    "model_index.json": "a diffusers pipeline",
    "modules.json": "a sentence-transformers model",
    ".gguf": "a GGUF model",
    ".onnx": "an ONNX model",
    ".tflite": "a TensorFlow Lite model",
    ".h5": "a TensorFlow or Keras model",
    ".msgpack": "a Flax model",
}
"""What a folder without a transformers model may be, by the file names that give it away."""

_DEFAULT_LABELS = ("LABEL_0", "LABEL_1")


def looks_like(contents: Contents) -> str:
    """Return what the files of a source look like other than a transformers model; empty for nothing."""
    names = [file.path for file in contents.files]
    return next((says for end, says in OTHER_FORMATS.items() for name in names if name.endswith(end)), "")


def read_config(source: Source, contents: Contents) -> dict[str, Any]:
    """Return ``config.json`` of *source*.

    Raises:
        ModelRejectedError: it is missing, does not parse, or is no object.
    """
    folder = Path(source.folder)
    if (folder / files.CONFIG).is_file():
        return read_object(folder / files.CONFIG)
    looks = looks_like(contents)
    names = [file.path for file in contents.files]
    if not set(names) - {".gitattributes", ".gitignore", files.CARD}:
        raise ModelRejectedError(
            f"{source.ref} is empty.",
            why="a model has config.json and weights; nothing was put there"
            + (" at this revision" if source.kind == "hub" else ""),
            next_step="choose another revision with --revision, or another model"
            if source.kind == "hub"
            else "choose the folder that save_pretrained() wrote",
        )
    inside = next((name for name in names if name.endswith("/" + files.CONFIG)), "")
    next_step = "choose a model that was saved with save_pretrained()"
    if inside and source.kind == "folder":
        next_step = f"give the folder that holds it: {(folder / inside).parent}"
    raise ModelRejectedError(
        f"{source.ref} has no {files.CONFIG}.",
        why=f"it looks like {looks}" if looks else "a transformers model has one at its root",
        next_step=next_step,
    )


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in *path*.

    Raises:
        ModelRejectedError: it does not parse, or holds something else.
    """
    try:
        value = json.loads(files.read_small(path).decode("utf-8-sig"))
        # What cannot be written as JSON again could not be recorded either.
        msgspec.json.encode(value)
    except (UnicodeError, RecursionError, OverflowError, ValueError) as error:
        raise ModelRejectedError(
            f"{path.name} does not parse.",
            why=re.sub(r"\s+", " ", str(error))[:200] or type(error).__name__,
            next_step=f"correct {path.name}, or fetch it again",
        ) from None
    if not isinstance(value, dict):
        raise ModelRejectedError(
            f"{path.name} is not an object.",
            why=f"it holds a JSON {type(value).__name__}",
            next_step=f"correct {path.name}, or fetch it again",
        )
    return value


def read_model_type(config: Mapping[str, Any], source: Source, contents: Contents) -> str:
    """Return the model type; a timm checkpoint has transformers' name for it, stated or not.

    Raises:
        ModelRejectedError: there is none; says what the model seems to be instead.
    """
    stated = config.get("model_type")
    if isinstance(stated, str) and stated:
        return stated
    if timm_configs.is_timm(config):
        return timm_configs.MODEL_TYPE
    looks = looks_like(contents)
    raise ModelRejectedError(
        f"{files.CONFIG} of {source.ref} has no model_type.",
        why=f"it looks like {looks}" if looks else "transformers finds a model's class by it",
        next_step="choose a model that was saved with save_pretrained()",
    )


def read_architecture(config: Mapping[str, Any], notes: list[str]) -> str:
    """Return the model class; empty where the config names none.

    Raises:
        ModelRejectedError: what it names is no class name.
    """
    names = config.get("architectures")
    if names is None or names == []:
        return ""
    if not isinstance(names, list) or not isinstance(names[0], str):
        raise _unfit("architectures", names, "it is a list of class names")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", names[0]):
        raise _unfit("architectures", names[0], "that is no class name")
    if len(names) > 1:
        notes.append(f"{files.CONFIG} names {len(names)} architectures; the first counts: {names[0]}")
    return names[0]


def read_labels(config: Mapping[str, Any], task: Task, notes: list[str]) -> tuple[str, ...]:
    """Return the labels by index, with transformers' own stand-ins where a classifier has none.

    Raises:
        ModelRejectedError: an index is missing, comes twice, or is no number.
    """
    stated = config.get("id2label")
    if not isinstance(stated, dict) or not stated:
        number = config.get("num_labels")
        if task != "image-classification":
            return ()
        if type(number) is not int or not 0 < number <= 1_000_000:
            number = 2
        notes.append(f"{files.CONFIG} names no labels; transformers takes {number}: LABEL_0, LABEL_1 ...")
        return tuple(f"LABEL_{index}" for index in range(number))
    if not all(isinstance(label, str | int | float) for label in stated.values()):
        raise _bad_labels("a label is no text")
    try:
        table = {int(key): str(label) for key, label in stated.items()}
    except ValueError:
        raise _bad_labels("a key is not a number") from None
    if len(table) != len(stated):
        raise _bad_labels("an index comes twice")
    gap = next((index for index in range(len(table)) if index not in table), None)
    if gap is not None:
        raise _bad_labels(f"of {len(table)} labels, the index {gap} has none")
    labels = tuple(table[index] for index in range(len(table)))
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        shown = ", ".join(repr(label) for label in twice[:3])
        notes.append(f"{len(twice)} labels name more than one class: {shown}")
    return labels


def read_channels(config: Mapping[str, Any], model_type: str) -> int:
    """Return the number of input channels, by transformers' default where the config has none.

    Raises:
        ModelRejectedError: it is no number that makes sense.
    """
    for part in (config, _vision(config), _defaults(config, model_type)):
        value = part.get("num_channels")
        if value is not None:
            if type(value) is int and 1 <= value <= 64:
                return value
            raise _unfit("num_channels", value, "1 to 64 make sense")
    return 3


def read_image_size(
    config: Mapping[str, Any], model_type: str, processor: ProcessorFacts | None, notes: list[str]
) -> tuple[int, int] | None:
    """Return the (height, width) that the model was built for, or else is fed with; None for unknown.

    A model that takes any size is described by what it is fed with.

    Raises:
        ModelRejectedError: the config states something else than a size.
    """
    leaves = processors.output_size(processor) if processor else None
    for part in (config, _vision(config)):
        if part.get("image_size") is not None:
            stated = _pair(part["image_size"])
            if leaves and leaves != stated:
                notes.append(
                    f"the model was built for {_by(stated)}, its image processor makes {_by(leaves)}"
                )
                if processors.takes_any_size(model_type):
                    return leaves
            return stated
    if leaves:
        notes.append(f"{files.CONFIG} has no image_size; the image processor makes {_by(leaves)}")
        return leaves
    default = _defaults(config, model_type).get("image_size")
    if default is None:
        return None
    notes.append(f"no file says a size; transformers takes {default} for {model_type}")
    return _pair(default)


def read_processor(
    folder: Path, config: Mapping[str, Any], channels: int, notes: list[str]
) -> ProcessorFacts | None:
    """Return what the image processor does; None where no file says it.

    Raises:
        ModelRejectedError: the file does not parse, or holds values that no processor takes.
    """
    settings: dict[str, Any] = {}
    if (folder / files.PREPROCESSOR).is_file():
        settings = read_object(folder / files.PREPROCESSOR)
    elif (folder / files.PROCESSOR).is_file():
        nested = read_object(folder / files.PROCESSOR).get("image_processor")
        settings = nested if isinstance(nested, dict) else {}
    if not settings:
        notes.append(f"there is no {files.PREPROCESSOR}: how images are prepared is not stated")
        return None
    kind = processors.class_name(settings, config)
    if kind.endswith("Fast"):
        notes.append(f"{kind} resizes with torchvision; Pillow's resize is some levels of 255 apart")
    return processors.facts(kind, settings, channels)


def remote_code(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files of remote code that ``auto_map`` names, sorted."""
    named = config.get("auto_map")
    if not isinstance(named, dict):
        return ()
    entries = [entry for value in named.values() for entry in (value if isinstance(value, list) else [value])]
    modules = {e.rpartition("--")[2].rpartition(".")[0] for e in entries if isinstance(e, str)}
    return tuple(sorted(f"{module}.py" for module in modules if module))


def _vision(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of *config* that describes the image encoder."""
    part = config.get("vision_config")
    return part if isinstance(part, dict) else config


def _defaults(config: Mapping[str, Any], model_type: str) -> Mapping[str, Any]:
    inputs = tasks.releases().inputs
    inner = str(_vision(config).get("model_type"))
    return inputs.get(inner) or inputs.get(model_type) or {}


def _pair(value: Any) -> tuple[int, int]:
    pair = value if isinstance(value, list | tuple) else [value, value]
    if len(pair) == 2 and all(type(edge) is int and 1 <= edge <= processors.LARGEST_EDGE for edge in pair):
        return pair[0], pair[1]
    raise _unfit("image_size", value, "a size is a number, or height and width")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _bad_labels(why: str) -> ModelRejectedError:
    return ModelRejectedError(
        f"id2label in {files.CONFIG} is not a table of labels by index.",
        why=why,
        next_step=f"correct id2label in {files.CONFIG}",
    )


def _unfit(name: str, value: Any, why: str) -> ModelRejectedError:
    return ModelRejectedError(
        f"{files.CONFIG} sets {name} to {str(value)[:80]!r}.",
        why=why,
        next_step=f"correct {name} in {files.CONFIG}",
    )
