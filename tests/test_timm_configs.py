"""Folders of timm checkpoints, read without running anything of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from porter import hub
from porter.errors import ModelRejectedError
from porter.inspection import inspect
from porter.records.inspection import Inspection, ProcessorFacts
from porter.support import check_supported
from tests.timm_folders import HUB, LABELS, SAVED, write_timm

TARGET = "4.57.6"


def looking(folder: Path) -> Inspection:
    found = inspect(hub.resolve(str(folder)))
    check_supported(found, TARGET)
    return found


def rejected(folder: Path) -> ModelRejectedError:
    with pytest.raises(ModelRejectedError) as caught:
        looking(folder)
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize("config", [HUB, SAVED], ids=["timm", "transformers"])
def test_both_forms_are_one_model(tmp_path: Path, config: dict[str, Any]) -> None:
    found = looking(write_timm(tmp_path / "m", config))
    assert (found.model_type, found.architecture) == ("timm_wrapper", "TimmWrapperForImageClassification")
    assert (found.task.task, found.task.source) == ("image-classification", "architecture")
    assert found.labels == LABELS
    assert (found.image_size, found.channels) == ((64, 64), 3)
    assert found.processor == ProcessorFacts(
        kind="TimmWrapperImageProcessor",
        shortest_edge=71,
        resample=3,
        crop=(64, 64),
        margin="even",
        mean=(0.48, 0.46, 0.41),
        std=(0.27, 0.26, 0.28),
    )
    assert len(found.tensors) == 2
    assert found.notes == ()


def test_what_the_file_leaves_out_is_timms_default(tmp_path: Path) -> None:
    found = looking(
        write_timm(tmp_path / "m", pretrained=dict.fromkeys(HUB["pretrained_cfg"]) | {"tag": "x"})
    )
    assert found.image_size == (224, 224)
    assert found.processor is not None
    assert (found.processor.shortest_edge, found.processor.resample) == (256, 3)
    assert found.processor.mean == (0.485, 0.456, 0.406)
    assert found.processor.std == (0.229, 0.224, 0.225)


def test_squash_resizes_both_edges(tmp_path: Path) -> None:
    found = looking(write_timm(tmp_path / "m", pretrained={"crop_mode": "squash", "crop_pct": 0.875}))
    assert found.processor is not None
    assert (found.processor.size, found.processor.shortest_edge) == ((73, 73), None)
    assert found.processor.crop == (64, 64)


def test_labels_that_no_file_names(tmp_path: Path) -> None:
    found = looking(write_timm(tmp_path / "m", label_names=None))
    assert found.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    (note,) = found.notes
    assert "none of the 3 labels" in note
    named = looking(write_timm(tmp_path / "n", label_names=None, id2label={"1": "b", "0": "a", "2": "c"}))
    assert named.labels == ("a", "b", "c")
    imagenet = looking(write_timm(tmp_path / "i", label_names=None, num_classes=1000))
    assert len(imagenet.labels) == 1000
    assert "ImageNet" in imagenet.notes[0]


def test_features_alone_are_a_bare_network(tmp_path: Path) -> None:
    found = looking(write_timm(tmp_path / "m", label_names=None, num_classes=0))
    assert (found.architecture, found.bare) == ("TimmWrapperForImageClassification", "TimmWrapperModel")
    assert "TimmWrapperModel is the bare network" in " ".join(found.notes)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no processor": ({"pretrained_cfg": "x"}, "no pretrained_cfg"),
    "an empty processor": ({"pretrained_cfg": {}}, "no pretrained_cfg"),
    "another repository": ({"architecture": "hf-hub:evil/model"}, "architecture"),
    "another folder": ({"architecture": "local-dir:/etc"}, "architecture"),
    "a path": ({"architecture": "../../resnet18"}, "architecture"),
    "no architecture": ({"architecture": None}, "architecture"),
    "no count": ({"num_classes": None}, "num_classes"),
    "a count of text": ({"num_classes": "3"}, "num_classes"),
    "a million million classes": ({"num_classes": 10**12}, "num_classes"),
    "too few labels": ({"label_names": ["a"]}, "those are 1 labels"),
    "labels of tables": ({"label_names": [{}, {}, {}]}, "label_names"),
    "labels by other numbers": ({"label_names": None, "id2label": {"7": "a"}}, "id2label"),
    "other weights": ({"model_args": {"checkpoint_path": "/etc/shadow"}}, "another file"),
    "weights of the hub": ({"model_args": {"pretrained": True}}, "other weights"),
    "features": ({"model_args": {"features_only": True}}, "no classification head"),
    "an argument with code": ({"model_args": {"a=1, b": 2}}, "no name of an argument"),
    "arguments in a list": ({"model_args": [1]}, "table of arguments"),
    "a deep argument": ({"model_args": {"a": [[[[[[1]]]]]]}}, "cannot be written"),
    "a depth of 10^9": ({"model_args": {"depth": 10**9}}, "model_args.depth is 1000000000"),
    "channels that the model lacks": ({"model_args": {"in_chans": 1}}, "in_chans"),
    "another class": ({"architectures": ["ViTForImageClassification"]}, "does not wrap timm models"),
    "another processor": ({"image_processor_type": "ViTImageProcessor"}, "another image processor"),
    "a backbone": ({"model_type": "timm_backbone"}, "no head"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_config_is_refused_by_what_is_wrong(tmp_path: Path, case: str) -> None:
    changes, words = BAD[case]
    assert words in str(rejected(write_timm(tmp_path / "m", SAVED, **changes)))


PRETRAINED: dict[str, tuple[dict[str, Any], str]] = {
    "a size of text": ({"input_size": "big"}, "input_size"),
    "two edges": ({"input_size": [64, 64]}, "input_size"),
    "a size of 10^9": ({"input_size": [3, 10**9, 64]}, "input_size"),
    "borders": ({"crop_mode": "border"}, "borders"),
    "a mode of a number": ({"crop_mode": 5}, "crop_mode"),
    "a negative share": ({"crop_pct": -1}, "crop_pct"),
    "a share that makes 10^6 pixels": ({"crop_pct": 1e-6}, "crop_pct"),
    "an unknown filter": ({"interpolation": "random"}, "interpolation"),
    "two means": ({"mean": [0.5, 0.5]}, "mean"),
    "a mean of a number": ({"mean": 0}, "mean"),
    "a deviation of zero": ({"std": [0.1, 0, 0.1]}, "std"),
    "no square": ({"input_size": [3, 64, 96]}, "no square"),
}


@pytest.mark.parametrize("case", PRETRAINED)
def test_a_bad_processor_is_refused_by_what_is_wrong(tmp_path: Path, case: str) -> None:
    changes, words = PRETRAINED[case]
    assert words in str(rejected(write_timm(tmp_path / "m", pretrained=changes)))


def test_a_config_of_infinities_is_refused(tmp_path: Path) -> None:
    folder = write_timm(tmp_path / "m", pretrained={"mean": [math.inf] * 3})
    assert "config.json" in str(rejected(folder))


def test_one_mean_stands_for_all_channels(tmp_path: Path) -> None:
    found = looking(write_timm(tmp_path / "m", pretrained={"mean": [0.5], "std": [0.25]}))
    assert found.processor is not None
    assert (found.processor.mean, found.processor.std) == ((0.5,) * 3, (0.25,) * 3)
