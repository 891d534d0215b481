"""Image classification: images in class folders, one score for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porter import dataset
from porter.dataset import Probes
from porter.families.base import common_keys
from porter.generate.context import classification_context
from porter.generate.values import PortContext
from porter.records.base import Task
from porter.records.consistency import SpecKeys
from porter.records.inspection import DatasetFacts, Inspection
from porter.records.reference import Reference, ReferenceChoice
from porter.records.weights import ImageLayout
from porter.views import View, make_view


class Classification:
    """See :class:`porter.families.base.Family`."""

    task: Task = "image-classification"
    linear_head = True
    needed: Mapping[str, tuple[str, ...]] = {
        "train": ("{name}_model_latest.pth", "status.json"),
        "evaluate": ("results.json", "result.csv", "status.json"),
        "inference": ("result.csv", "status.json"),
        "export": ("{name}.onnx", "status.json"),
    }
    deployed: Mapping[str, tuple[str, ...]] = {
        "inference": ("trt_inference/result.csv",),
        "evaluate": ("trt_evaluate/result.csv", "trt_evaluate/results.json"),
    }
    layout: ImageLayout = "folders"
    calibrated = True
    drawn_classes: Mapping[str, Any] = {"dataset.num_classes": 1, "model.head.topk": [1]}

    def lacking(self, inspection: Inspection) -> tuple[str, ...]:
        """Return what a port needs and the model does not say, in words."""
        wanted = {
            "labels": inspection.labels,
            "an image size": inspection.image_size,
            "an image processor": inspection.processor,
        }
        return tuple(what for what, value in wanted.items() if not value)

    def class_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the labels' folders."""
        return dataset.folder_names(labels)

    def context(
        self,
        inspection: Inspection,
        choice: ReferenceChoice,
        *,
        name: str,
        year: int,
        classes: Sequence[str],
    ) -> PortContext:
        """Return the template values of one port; pure."""
        return classification_context(inspection, choice, name=name, year=year, classes=len(classes))

    def given(self, probes: Probes, inspection: Inspection, reference: Reference, data: Path) -> DatasetFacts:
        """Return what the user's class folders are."""
        return dataset.check(probes, data, inspection.labels, reference.image_suffixes)

    def made(
        self, probes: Probes, inspection: Inspection, settings: Mapping[str, str], root: Path
    ) -> DatasetFacts:
        """Make class folders with a few images each."""
        asked = dataset.asked_labels(settings, inspection.labels)
        return dataset.generate(probes, root, asked, max(inspection.image_size or (224, 224)))

    def view(self, dataset: DatasetFacts, reference: Reference, root: Path) -> View:
        """Make a dataset root of a few images for the gates in *root*."""
        return make_view(dataset, root, reference.image_suffixes)

    def probe_classes(self, count: int) -> tuple[str, ...]:
        """Return the names that probes write as ``classes.txt``."""
        return tuple(f"class_{index}" for index in range(count))

    def sized(self, height: int, width: int) -> dict[str, Any]:
        """Return what the spec says, by dotted key, for images of another size."""
        keys = ("img_size", "img_size") if height == width else ("img_height", "img_width")
        return {f"dataset.{key}": edge for key, edge in zip(keys, (height, width), strict=True)}

    def predicting(self, context: PortContext, view: View, labels: Path) -> list[str]:
        """Return the spec entries for an inference of the view with the model's classes."""
        return [f"dataset.root_dir={labels}", f"dataset.test_dataset.images_dir={view.root}/test"]

    def calibration_images(self, view: View) -> str:
        """Return the folder of the images that INT8 engines are calibrated on: those of inference."""
        return f"{view.root}/test"

    def spec_keys(self, section: str) -> SpecKeys:
        """Return where specs say what parts have to agree on."""
        return common_keys(section)

    def data_paths(self, root: str) -> dict[str, dict[str, str]]:
        """Return, by deploy script, what the spec's paths to the data come to for a dataset in *root*."""
        return {
            "inference": {"dataset.test_dataset.images_dir": f"{root}/test"},
            "evaluate": {"dataset.val_dataset.images_dir": f"{root}/val"},
        }
