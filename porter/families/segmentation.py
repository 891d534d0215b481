"""Semantic segmentation: images and label masks, one score for each class and pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porter import mask_dataset
from porter.dataset import Probes
from porter.families.base import common_keys
from porter.generate.segmentation import segmentation_context
from porter.generate.values import PortContext
from porter.records.base import Task
from porter.records.consistency import SpecKeys
from porter.records.inspection import DatasetFacts, Inspection, ProcessorFacts
from porter.records.reference import Reference, ReferenceChoice
from porter.records.weights import ImageLayout
from porter.views import View


class Segmentation:
    """See :class:`porter.families.base.Family`."""

    task: Task = "semantic-segmentation"
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
    layout: ImageLayout = "masks"
    calibrated = True
    drawn_classes: Mapping[str, Any] = {}

    def lacking(self, inspection: Inspection) -> tuple[str, ...]:
        """Return what a port needs and the model does not say, in words."""
        processor = inspection.processor
        wanted = {
            "labels": inspection.labels,
            "an image size" + _squared(processor): inspection.image_size,
            "an image processor": processor,
        }
        return tuple(what for what, value in wanted.items() if not value)

    def class_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the labels; one that comes again gets its number behind it, or the next that is free.

        They stand in the spec, where OmegaConf takes ``${`` for a reference and ``???`` for what is missing.
        """
        fit = [label.replace("${", "$ {") if label != "???" else "unknown" for label in labels]
        taken: set[str] = set(fit)
        names: dict[str, None] = {}
        for number, label in enumerate(fit):
            name = label
            while name in names or (name != label and name in taken):
                name, number = f"{label}_{number}", number + 1
            names[name] = None
        return tuple(names)

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
        return segmentation_context(inspection, choice, name=name, year=year, classes=classes)

    def given(self, probes: Probes, inspection: Inspection, reference: Reference, data: Path) -> DatasetFacts:
        """Return what the user's images and masks are."""
        names = self.class_names(inspection.labels)
        return mask_dataset.check(probes, data, names, reduced=_reduced(inspection))

    def made(
        self, probes: Probes, inspection: Inspection, settings: Mapping[str, str], root: Path
    ) -> DatasetFacts:
        """Make images of shapes with their masks."""
        names = self.class_names(inspection.labels)
        size = max(inspection.image_size or (224, 224))
        return mask_dataset.generate(probes, root, names, size, reduced=_reduced(inspection))

    def view(self, dataset: DatasetFacts, reference: Reference, root: Path) -> View:
        """Make a dataset root of a few images for the gates in *root*."""
        return mask_dataset.make_view(dataset, root)

    def probe_classes(self, count: int) -> tuple[str, ...]:
        """Return nothing: the classes stand in the spec's palette."""
        return ()

    def sized(self, height: int, width: int) -> dict[str, Any]:
        """Return what the spec says, by dotted key, for images of another size."""
        return {"dataset.segment.img_size": max(height, width)}

    def predicting(self, context: PortContext, view: View, labels: Path) -> list[str]:
        """Return the spec entries for an inference of the view with the model's classes."""
        return [f"dataset.segment.root_dir={view.root}"]

    def calibration_images(self, view: View) -> str:
        """Return the folder of the images that INT8 engines are calibrated on: those of inference."""
        return f"{view.root}/images/test"

    def spec_keys(self, section: str) -> SpecKeys:
        """Return where specs say what parts have to agree on."""
        return common_keys(section)

    def data_paths(self, root: str) -> dict[str, dict[str, str]]:
        """Return, by deploy script, what the spec's paths to the data come to for a dataset in *root*."""
        return {mode: {"dataset.segment.root_dir": root} for mode in ("inference", "evaluate")}


def _squared(processor: ProcessorFacts | None) -> str:
    """Return what to write where the image processor leaves images of many sizes; empty elsewhere."""
    edge = processor.shortest_edge if processor else None
    if edge is None:
        return ""
    return (
        " (its image processor keeps the ratio of images, and TAO's reference resizes them to squares: "
        f'"size": {{"height": {edge}, "width": {edge}}} in preprocessor_config.json says so)'
    )


def _reduced(inspection: Inspection) -> bool:
    return inspection.processor is not None and inspection.processor.reduce_labels
