"""Monocular depth estimation: lists of images and depth maps, one number for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porter import depth_dataset
from porter.dataset import Probes
from porter.generate.depth import NEAREST, SPLITS, depth_context
from porter.generate.depth_kind import RELATIVE, farthest, kind_of
from porter.generate.values import PortContext
from porter.records.base import Task
from porter.records.consistency import SpecKeys
from porter.records.inspection import DatasetFacts, Inspection
from porter.records.reference import Reference, ReferenceChoice
from porter.records.weights import ImageLayout
from porter.views import View


class Depth:
    """See :class:`porter.families.base.Family`."""

    task: Task = "depth-estimation"
    linear_head = False
    needed: Mapping[str, tuple[str, ...]] = {
        "train": ("{name}_model_latest.pth", "status.json"),
        "evaluate": ("results.json", "status.json"),
        "inference": ("result.csv", "status.json"),
        "export": ("{name}.onnx", "status.json"),
    }
    deployed: Mapping[str, tuple[str, ...]] = {
        "inference": ("trt_inference/result.csv",),
        "evaluate": ("trt_evaluate/results.json",),
    }
    layout: ImageLayout = "lists"
    calibrated = False
    drawn_classes: Mapping[str, Any] = {}

    def lacking(self, inspection: Inspection) -> tuple[str, ...]:
        """Return what a port needs and the model does not say, in words."""
        wanted = {"an image size": inspection.image_size, "an image processor": inspection.processor}
        return tuple(what for what, value in wanted.items() if not value)

    def class_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return nothing: depth has no classes."""
        return ()

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
        return depth_context(inspection, choice, name=name, year=year)

    def given(self, probes: Probes, inspection: Inspection, reference: Reference, data: Path) -> DatasetFacts:
        """Return what the user's lists are."""
        return depth_dataset.check(
            probes,
            data,
            relative=kind_of(inspection) == RELATIVE,
            nearest=NEAREST,
            farthest=farthest(inspection),
        )

    def made(
        self, probes: Probes, inspection: Inspection, settings: Mapping[str, str], root: Path
    ) -> DatasetFacts:
        """Make images of boxes before a ramp with their depth."""
        return depth_dataset.generate(
            probes,
            root,
            max(inspection.image_size or (224, 224)),
            relative=kind_of(inspection) == RELATIVE,
            farthest=farthest(inspection),
        )

    def view(self, dataset: DatasetFacts, reference: Reference, root: Path) -> View:
        """Make lists of a few images for the gates in *root*."""
        return depth_dataset.make_view(dataset, root)

    def probe_classes(self, count: int) -> tuple[str, ...]:
        """Return nothing: depth has no classes."""
        return ()

    def sized(self, height: int, width: int) -> dict[str, Any]:
        """Return what the spec says, by dotted key, for images of another size."""
        return {f"dataset.{split}_dataset.augmentation.crop_size": [height, width] for split in SPLITS}

    def predicting(self, context: PortContext, view: View, labels: Path) -> list[str]:
        """Return the spec entries for an inference of the view."""
        return context.dataset(view.root, ())

    def calibration_images(self, view: View) -> str:
        """Return nothing: TAO calibrates no engine of it."""
        return ""

    def spec_keys(self, section: str) -> SpecKeys:
        """Return where specs say what parts have to agree on: each task has its own data."""
        splits = [f"{section}.{split}_dataset" for split in SPLITS]
        return SpecKeys(
            section=section,
            data=tuple(f"{split}.data_sources" for split in splits),
            mean=tuple(f"{split}.augmentation.input_mean" for split in splits),
            std=tuple(f"{split}.augmentation.input_std" for split in splits),
            size=tuple(f"{split}.augmentation.crop_size" for split in splits),
            model="model.encoder",
        )

    def data_paths(self, root: str) -> dict[str, dict[str, str]]:
        """Return, by deploy script, what the spec's paths to the data come to for a dataset in *root*."""
        return {
            "inference": {"dataset.infer_dataset.data_sources[0].data_file": f"{root}/test.txt"},
            "evaluate": {"dataset.test_dataset.data_sources[0].data_file": f"{root}/val.txt"},
        }
