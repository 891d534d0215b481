"""What a task decides, where the engine would otherwise need a special case for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from porter.dataset import Probes
from porter.generate.values import PortContext
from porter.records.base import Task
from porter.records.consistency import SpecKeys
from porter.records.inspection import DatasetFacts, Inspection
from porter.records.reference import Reference, ReferenceChoice
from porter.records.weights import ImageLayout
from porter.views import View


class Family(Protocol):
    """A task: its dataset, its template values, and what its scripts leave behind.

    Attributes:
        task: which one.
        linear_head: whether phase 1 must find linear layers that make the scores.
        needed: files that each generated script leaves in its results; ``{name}`` is the network's.
        deployed: likewise files of each deploy script that reads images, with their folder.
        calibrated: whether TAO calibrates engines of it for INT8.
        layout: how its datasets lie on disk.
        drawn_classes: what the spec says, by dotted key, where a probe has drawn a dataset.
    """

    task: Task
    linear_head: bool
    needed: Mapping[str, tuple[str, ...]]
    deployed: Mapping[str, tuple[str, ...]]
    calibrated: bool
    layout: ImageLayout
    drawn_classes: Mapping[str, Any]

    def lacking(self, inspection: Inspection) -> tuple[str, ...]:
        """Return what a port needs and the model does not say, in words."""

    def class_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return a name for each of the model's labels, as its dataset spells them; each name once."""

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

    def given(self, probes: Probes, inspection: Inspection, reference: Reference, data: Path) -> DatasetFacts:
        """Return what the user's dataset is.

        Raises:
            DataError: the trainer could not use it as it is.
        """

    def made(
        self, probes: Probes, inspection: Inspection, settings: Mapping[str, str], root: Path
    ) -> DatasetFacts:
        """Make a small dataset in *root*."""

    def view(self, dataset: DatasetFacts, reference: Reference, root: Path) -> View:
        """Make a dataset root of a few images for the gates in *root*."""

    def probe_classes(self, count: int) -> tuple[str, ...]:
        """Return the names that probes write as ``classes.txt``; empty where the network reads none."""

    def sized(self, height: int, width: int) -> dict[str, Any]:
        """Return what the spec says, by dotted key, for images of another size."""

    def predicting(self, context: PortContext, view: View, labels: Path) -> list[str]:
        """Return the spec entries (dotlist) for an inference of the view with the converted checkpoint.

        Args:
            context: of the generated network.
            view: the gates' dataset root.
            labels: a folder with ``classes.txt`` in the model's order.
        """

    def calibration_images(self, view: View) -> str:
        """Return the folder of the images that INT8 engines are calibrated on; empty for none."""

    def spec_keys(self, section: str) -> SpecKeys:
        """Return where specs say what parts have to agree on; *section* is theirs on the dataset."""

    def data_paths(self, root: str) -> dict[str, dict[str, str]]:
        """Return, by deploy script, what the spec's paths to the data come to for a dataset in *root*."""


def common_keys(section: str) -> SpecKeys:
    """Return the keys of a network whose *section* has the data of every task."""
    return SpecKeys(
        section=section,
        data=(f"{section}.root_dir",),
        mean=(f"{section}.augmentation.mean",),
        std=(f"{section}.augmentation.std",),
    )
