"""Schemas of DINO, MAL and the classifier with as many fields as plans are tested on, and data for them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from porter.records.skills import Difference, SchemaAnswer

INFINITY = float("inf")
_TRAIN: dict[str, dict[str, Any]] = {
    "results_dir": {"type": "string", "default": ""},
    "encryption_key": {"type": "string", "default": ""},
    "train.num_gpus": {"type": "int", "default": 1, "minimum": 1},
    "train.gpu_ids": {"type": "list", "default": [0]},
    "train.num_nodes": {"type": "int", "default": 1, "minimum": 1},
    "train.num_epochs": {"type": "int", "default": 10, "minimum": 1, "maximum": INFINITY},
    "train.checkpoint_interval": {"type": "int", "default": 1},
    "train.validation_interval": {"type": "int", "default": 1},
    "train.pretrained_model_path": {"type": "string", "default": ""},
    "train.resume_training_checkpoint_path": {"type": "string", "default": ""},
}

DINO = {
    **_TRAIN,
    "model.backbone": {"type": "categorical", "default": "resnet_50", "enum": ["resnet_50", "fan_tiny"]},
    "model.pretrained_backbone_path": {"type": "string", "default": ""},
    "model.num_feature_levels": {"type": "int", "default": 4, "minimum": 1, "maximum": 5},
    "model.aux_loss": {"type": "bool", "default": True},
    "dataset.train_data_sources": {"type": "list", "default": [{"image_dir": "", "json_file": ""}]},
    "dataset.val_data_sources": {"type": "list", "default": [{"image_dir": "", "json_file": ""}]},
    "dataset.batch_size": {"type": "int", "default": 4, "minimum": 1, "maximum": INFINITY},
    "dataset.num_classes": {"type": "int", "default": 91, "minimum": 1, "maximum": INFINITY},
    "train.optim.lr": {"type": "float", "default": 2e-4, "minimum": 0, "maximum": INFINITY},
    "train.optim.lr_steps": {"type": "list", "default": [11]},
    "train.distributed_strategy": {"type": "categorical", "default": "ddp", "enum": ["ddp", "fsdp"]},
    "export.input_channel": {"type": "ordered_int", "default": 3, "enum": [1, 3]},
    "quantize.backend_kwargs": {"type": "collection"},
}

MAL = {
    **_TRAIN,
    "model.arch": {
        "type": "categorical",
        "default": "vit-mae-base/16",
        "enum": ["vit-deit-tiny/16", "vit-mae-base/16", "vit-mae-huge/14"],
    },
    **{
        f"dataset.{key}": {"type": "string", "default": ""}
        for key in ("train_img_dir", "train_ann_path", "val_img_dir", "val_ann_path")
    },
    "dataset.crop_size": {"type": "int", "default": 512, "minimum": 256, "maximum": INFINITY},
    # The dataclass holds this one as a text.
    "dataset.load_mask": {"type": "bool", "default": True},
    "train.batch_size": {"type": "int", "default": 1, "minimum": 1},
    "train.lr": {"type": "float", "default": 1e-6, "minimum": 0, "maximum": INFINITY},
    "train.wd": {"type": "float", "default": 5e-4},
    "train.margin_rate": {"type": "list", "default": [0, 1.2]},
}

CLASSIFIER = {
    **_TRAIN,
    "model.backbone.pretrained_backbone_path": {"type": "string", "default": ""},
    "dataset.train_dataset.images_dir": {"type": "string", "default": ""},
    "dataset.val_dataset.images_dir": {"type": "string", "default": ""},
    "dataset.classes_file": {"type": "string", "default": ""},
    "dataset.num_classes": {"type": "int", "default": 20, "minimum": 1},
    "dataset.batch_size": {"type": "int", "default": 8},
    "train.optim.lr": {"type": "float", "default": 1e-3},
}

_SEARCHED = {"train.optim.lr", "dataset.batch_size"}


def schema_of(
    fields: Mapping[str, dict[str, Any]],
    differences: tuple[Difference, ...] = (),
    filled: dict[str, str] | None = None,
    searched: set[str] = _SEARCHED,
) -> SchemaAnswer:
    """Return an answer with these fields, as the converter nests them."""
    properties: dict[str, Any] = {}
    default: dict[str, Any] = {}
    keys = set()
    for key, described in fields.items():
        *sections, last = key.split(".")
        place, values = properties, default
        for depth, name in enumerate(sections):
            section = place.setdefault(name, {"type": "collection", "properties": {}, "default": {}})
            place = section["properties"]
            values = values.setdefault(name, {})
            keys.add(".".join(sections[: depth + 1]))
        place[last] = dict(described)
        values[last] = described.get("default")
        keys.add(key)
    schema = {
        "type": "object",
        "properties": properties,
        "default": default,
        "automl_default_parameters": sorted(searched & set(fields)),
        "automl_disabled_parameters": [],
        "popular": {},
        "required": [],
    }
    return SchemaAnswer(
        schema=json.dumps(schema), filled=filled or {}, differences=differences, keys=tuple(sorted(keys))
    )


def dino_answer() -> SchemaAnswer:
    """DINO's, whose data sources are nothing in an empty spec."""
    return schema_of(
        DINO,
        tuple(
            Difference(key=key, value=None, default_value=DINO[key]["default"])
            for key in ("dataset.train_data_sources", "dataset.val_data_sources")
        ),
    )


def mal_answer() -> SchemaAnswer:
    """MAL's, whose batch is another one in a template."""
    return schema_of(MAL, (Difference(key="train.batch_size", value=3, default_value=1),), searched=set())


def coco(folder: Path, *, ids: tuple[Any, ...] = (1, 4), images: int = 3, archive: str = "") -> Path:
    """Write a COCO dataset with one annotation an image, in a folder, or in an archive with such entries."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.jpg" for number in range(images)]
    document = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": ids[number % len(ids)], "bbox": [0, 0, 1, 1]}
            for number in range(images)
        ],
        "categories": [{"id": one, "name": f"c{one}"} for one in ids],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    if archive:
        pack(folder / "images.tar.gz", [archive.replace("*", name) for name in names])
        return folder
    (folder / "images").mkdir()
    for name in names:
        (folder / "images" / name).write_bytes(b"x")
    return folder


def edit(folder: Path, change: Any) -> Path:
    """Change the annotations of a COCO dataset."""
    path = folder / "annotations.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    return folder


def pack(path: Path, names: list[str]) -> Path:
    """Write an archive with files, and with folders where a name ends in a slash."""
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
                continue
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    return path


def class_folders(folder: Path, classes: Mapping[str, int], *, split: str = "train") -> Path:
    """Write class folders with so many images each, and the list of the classes."""
    for name, count in classes.items():
        (folder / f"images_{split}" / name).mkdir(parents=True)
        for number in range(count):
            (folder / f"images_{split}" / name / f"{number}.PNG").write_bytes(b"x")
    (folder / "classes.txt").write_text("\n".join(classes) + "\n")
    return folder
