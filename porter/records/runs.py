"""Requests and answers of the probes that build the Lightning module and run the scripts."""

from __future__ import annotations

from typing import Any

from porter.records.base import Record
from porter.records.reference import Generated


class ModuleRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/pl_module.py``.

    Attributes:
        name, prefix: network name and class prefix.
        config_root: import path above the network's schema package.
        reference: import path of the reference network.
        hooks: methods of the Lightning module whose owner is asked for.
        spec: path of the experiment spec.
        overrides: dotlist over the spec.
        generated: where the parts of the package lie.
    """

    name: str
    prefix: str
    config_root: str
    reference: str
    generated: Generated
    hooks: tuple[str, ...]
    spec: str
    overrides: tuple[str, ...]


class TaskArguments(Record, frozen=True, kw_only=True):
    """Trainer arguments of a script, and those that TAO's initialiser returned."""

    trainer: dict[str, str]
    expected: dict[str, str]


class ModuleFacts(Record, frozen=True, kw_only=True):
    """Answer of ``probes/pl_module.py``; see there."""

    model_class: str
    built_class: str
    hooks: dict[str, str]
    checkpoint_filename: str
    parameters: int
    trainable: int
    in_no_group: tuple[str, ...]
    in_two_groups: tuple[str, ...]
    frozen_in_group: tuple[str, ...]
    trainable_when_frozen: tuple[str, ...]
    head: tuple[str, ...]
    trainer: dict[str, str]
    reference_trainer: dict[str, str]
    reference_error: str = ""
    tasks: dict[str, TaskArguments]


class ScriptStep(Record, frozen=True, kw_only=True):
    """One script to run: results go to ``<results_dir>/<mode>``."""

    mode: str
    results_dir: str
    overrides: tuple[str, ...]


class ScriptsRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/run_scripts.py``."""

    name: str
    config_root: str
    spec: str
    steps: tuple[ScriptStep, ...]


class ScriptOutcome(Record, frozen=True, kw_only=True):
    """How one script ended.

    Attributes:
        seconds: wall time without imports.
        status, message, kpi: last status, last message and merged KPIs of status.json.
        files: size in bytes by path below the step's folder.
        logs: TensorBoard runs that were written.
    """

    mode: str
    ok: bool
    error: str
    seconds: float
    status: str
    message: str
    kpi: dict[str, Any]
    files: dict[str, int]
    logs: tuple[str, ...]


class ScriptsOutcome(Record, frozen=True, kw_only=True):
    """Answer of ``probes/run_scripts.py``; *core* names the nvidia_tao_core that was imported."""

    steps: tuple[ScriptOutcome, ...]
    core: dict[str, str]


class PredictionsRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/predictions.py``: a result.csv and the model that it must agree with.

    Attributes:
        folder: the Hugging Face model folder.
        csv: result.csv of an inference run with the converted checkpoint.
        classes: classes.txt; line i names the class of the head's row i.
        new_head: key in *checkpoint* by tensor name of the model, where the head is not the model's own.
        checkpoint: the converted checkpoint.
    """

    folder: str
    csv: str
    classes: str
    new_head: dict[str, str] = {}
    checkpoint: str = ""


class MaskPredictionsRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/mask_predictions.py``: masks of an inference run, and the model they are of.

    Attributes:
        folder: the Hugging Face model folder.
        architecture: its class.
        images: folder of the images.
        results: the inference run's results: ``mask_labels``, ``vis_overlay`` and ``result.csv``.
    """

    folder: str
    architecture: str
    images: str
    results: str


class MaskPredictionsAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/mask_predictions.py``.

    Attributes:
        images: images compared; pixels: their pixels.
        equal: share of pixels whose class is the same.
        classes: classes that the model saw in them.
        problems: what is wrong with the files, one sentence each.
    """

    images: int
    pixels: int
    equal: float
    classes: int
    problems: tuple[str, ...] = ()


class DepthPredictionsRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/depth_predictions.py``: depth maps of an inference run, and the model they are of.

    Attributes:
        folder: the Hugging Face model folder.
        architecture: its class.
        images: the image files.
        results: the inference run's results: ``depth``, ``depth_colour`` and ``result.csv``.
    """

    folder: str
    architecture: str
    images: tuple[str, ...]
    results: str


class DepthPredictionsAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/depth_predictions.py``.

    Attributes:
        images: images compared.
        relative, max_abs: how far the depth maps are from the model's, beyond half a level of those that they
            are written in.
        numbers: how far the rows of ``result.csv`` are from the model's least, greatest and mean depth.
        spread: the largest range of a depth map, as a share of its values: of a flat one nothing is learnt.
        problems: what is wrong with the files, one sentence each.
    """

    images: int
    relative: float
    max_abs: float
    numbers: float
    spread: float
    problems: tuple[str, ...] = ()


class PredictionsAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/predictions.py``.

    Attributes:
        rows: images compared.
        max_abs: largest difference of a probability.
        top_1: share of images whose label is the same.
    """

    rows: int
    max_abs: float
    top_1: float
