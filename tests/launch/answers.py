"""What the probe says of a small network that is in no catalog, so that tests need no environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from porter.launch import catalog
from porter.records.catalog import CatalogEntry
from porter.records.skills import Difference, SchemaAnswer, SkillSource

SOURCE = SkillSource(
    config="tao.config.toy.default_config:ExperimentConfig",
    repository="tao-pytorch",
    version="7.0.1",
    commit="c0ffee",
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "results_dir": {"type": "string", "default": ""},
        "model": {
            "type": "collection",
            "properties": {
                "arch": {"type": "ordered", "enum": ["tiny", "base", "huge"], "option_weights": [1, 2, 3]}
            },
            "automl_disabled_parameters": ["model.b", "model.a"],
            "default": {"arch": "base"},
        },
        "train": {
            "type": "collection",
            "properties": {"lr": {"type": "float", "minimum": 0, "maximum": float("inf"), "default": 1e-6}},
            "popular": ["lr", "epochs"],
            "default": {"lr": 1e-6},
        },
        "evaluate": {"type": "collection", "properties": {}, "default": {"batch_size": 1}},
        "inference": {"type": "collection", "properties": {}, "default": {"batch_size": 2}},
        "automl_disabled_parameters": ["left by the converter"],
    },
    "default": {
        "results_dir": "",
        "model": {"arch": "base"},
        "train": {"lr": 1e-6},
        "evaluate": {"batch_size": 1},
        "inference": {"batch_size": 2},
    },
    "automl_default_parameters": ["model.z", "model.arch"],
    "automl_disabled_parameters": ["train.lr", "evaluate", "model"],
    "popular": {"train": {"lr": 1e-6, "epochs": 1}, "evaluate": {"batch_size": 1}},
    "required": ["train", "inference"],
}


def answer(schema: dict[str, Any] | None = None) -> SchemaAnswer:
    """Return an answer with one difference."""
    return SchemaAnswer(
        schema=json.dumps(schema or SCHEMA),
        differences=(Difference(key="train.batch_size", value=3, default_value=1),),
    )


TOY = """\
name = "toy"
title = "Toy"
task = "object-detection"
skill = "tao-train-toy"
description = "Finds toys: big ones, and small ones."
config = "{config}.toy.default_config:ExperimentConfig"
formats = ["a", "b"]
checkpoint = "toy_model_latest.pth"

[by_format.a]
"dataset.type" = "a"

[actions.train]
command = "toy train -e {config_path}"
[actions.train.rules]
results_dir = "output_dir"
encryption_key = "key"
[actions.evaluate]
command = "toy evaluate -e {config_path}"
engine = "evaluate.trt_engine"
[actions.inference]
command = "toy inference -e {config_path}"
image = "deploy"

[[data]]
key = "dataset.sources"
actions = ["train"]
origin = "train"
list = true
parts = { image_dir = { path = "images.tar.gz", kind = "folder" }, name = { kind = "format" } }
[[data]]
key = "dataset.labels"
actions = ["train"]
origin = "train"
formats = ["a"]
value = { path = "a.json", kind = "file" }
[[data]]
key = "dataset.labels"
actions = ["train"]
origin = "train"
formats = ["b"]
value = { path = "b.json", kind = "file" }

[metric]
key = "mAP"
direction = "maximize"

[launch]
strategy = "ddp"

[hardware]
memory_gb = 16

[[errors]]
pattern = "one|two"
cause = "a cause"
fix = "a fix"

[automl]
enabled = true
[[automl.overlay]]
key = "train.lr"
minimum = 1e-7
maximum = 1e-5
reason = "a reason"

[[base]]
key = "train.pretrained_model_path"
part = "model"

[[refused]]
key = "model.arch"
values = ["huge"]
reason = "it breaks"

[[rewrites]]
old = "model.crop"
new = "dataset.crop"
reason = "it moved"
"""


def write_toy(folder: Path, text: str = TOY) -> Path:
    """Write a catalog file and return it."""
    path = folder / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def toy(folder: Path, text: str = TOY) -> CatalogEntry:
    """Return the small network as the reader gives it."""
    return catalog.read(write_toy(folder, text))
