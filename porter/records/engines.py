"""Requests and answers of the probes that run the deploy package."""

from __future__ import annotations

from typing import Any

from porter.records.base import Record
from porter.records.weights import ImageLayout


class PackageRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/deploy_package.py``.

    Attributes:
        modules: import paths to import, one after the other.
        forbidden: top-level packages that none of them may bring in.
        schema: ``module:class`` of the experiment schema.
        specs: path of each spec, by its name.
        given: what a user sets, as a dotlist.
        asked: keys whose resolved values are wanted; those that a spec's schema lacks are left out.
    """

    modules: tuple[str, ...]
    forbidden: tuple[str, ...]
    schema: str
    specs: dict[str, str]
    given: tuple[str, ...]
    asked: tuple[str, ...]


class SpecFacts(Record, frozen=True, kw_only=True):
    """One spec: mandatory keys that it leaves to the user, and resolved values by key."""

    missing: tuple[str, ...]
    resolved: dict[str, Any]
    error: str = ""


class PackageFacts(Record, frozen=True, kw_only=True):
    """Answer of ``probes/deploy_package.py``.

    Attributes:
        imported: file by module.
        errors: traceback by module that does not import.
        loaded: forbidden packages that were brought in.
        specs: facts by spec.
    """

    imported: dict[str, str]
    errors: dict[str, str]
    loaded: tuple[str, ...]
    specs: dict[str, SpecFacts]


class LoaderRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/deploy_preprocess.py``.

    Attributes:
        loader: ``module:class`` of the generated loader.
        shape: channels, height, width.
        spec, schema: what the scripts would read their settings from.
        root: folder with ``val`` and ``test`` that the trainer's datasets read, and ``classes.txt``.
        tensors: path of the trainer's tensor by its name, ``<image>.<val or predict>.tao.npy``.
        pictures: folder for the review's pictures.
        tolerance: largest difference allowed.
        section: key of the spec's section on the dataset; layout: how the images lie on disk.
        palette: ``module:class`` that says what the pixels of masks mean; empty where there are none.
    """

    loader: str
    shape: tuple[int, int, int]
    spec: str
    schema: str
    root: str
    tensors: dict[str, str]
    pictures: str
    tolerance: float
    section: str = "dataset"
    layout: ImageLayout = "folders"
    palette: str = ""


class LoaderCheck(Record, frozen=True, kw_only=True):
    """One image: the largest difference between the loader's tensor and the trainer's."""

    image: str
    split: str
    max_abs: float


class LoaderAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/deploy_preprocess.py``.

    Attributes:
        batches: rows of each batch by split; together they are all images.
    """

    checks: tuple[LoaderCheck, ...]
    batches: dict[str, tuple[int, ...]]
    problems: tuple[str, ...] = ()


class DeployStep(Record, frozen=True, kw_only=True):
    """One script to run.

    Attributes:
        label: unique in the request.
        mode: ``gen_trt_engine``, ``inference`` or ``evaluate``.
        overrides: dotlist over the spec of that mode.
    """

    label: str
    mode: str
    results_dir: str
    overrides: tuple[str, ...]


class DeployRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/run_deploy.py``.

    Attributes:
        package: import path of the deploy package.
        prefix: class prefix.
        schema: ``module:class`` of the experiment schema.
        specs: path by mode.
        onnx: the exported graph; a copy with Q/DQ nodes around its input is written to *quantised*.
    """

    package: str
    prefix: str
    schema: str
    specs: dict[str, str]
    onnx: str
    quantised: str
    steps: tuple[DeployStep, ...]


class DeployOutcome(Record, frozen=True, kw_only=True):
    """How one script ended.

    Attributes:
        error: traceback; empty where it ran.
        seconds: wall time without imports.
        status, message: last line of status.json.
        files: size in bytes by path below the step's results folder.
        inputs: digest of every image tensor that reached the engine or the calibrator, in order.
        engine: what the rehearsal's engine file records (profile, flags, calibration); empty for a real one.
    """

    label: str
    mode: str
    ok: bool
    error: str
    seconds: float
    status: str
    message: str
    files: dict[str, int]
    inputs: tuple[str, ...] = ()
    engine: dict[str, Any] = {}


class DeployAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/run_deploy.py``; *runtime* names the TensorRT that was imported."""

    steps: tuple[DeployOutcome, ...]
    runtime: str


class RtxRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/rtx_build.py``.

    Attributes:
        onnx: the graph.
        batches: smallest, best and largest batch for axis 0 where it is dynamic; empty for no profile.
        sides: likewise (height, width) for the last two axes.
    """

    onnx: str
    batches: tuple[int, ...] = ()
    sides: tuple[tuple[int, int], ...] = ()


class RtxRefusal(Record, frozen=True, kw_only=True):
    """A node that the parser refuses, and the torch module that it came from; empty where it is not known."""

    operator: str
    node: str
    module: str
    code: str
    function: str
    description: str


class RtxAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/rtx_build.py``.

    Attributes:
        inputs, outputs: shape by name; -1 for a dynamic axis.
        engine_bytes: size of the plan; 0 where nothing was built.
        messages: what the builder logged as errors.
    """

    version: str
    parsed: bool
    refusals: tuple[RtxRefusal, ...]
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    engine_bytes: int
    messages: tuple[str, ...]
    seconds: float


class MaskPair(Record, frozen=True, kw_only=True):
    """The results of the trainer's inference, and of the deploy script's for the same images."""

    native: str
    engine: str


class MasksRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/compare_masks.py``."""

    pair: MaskPair


class MasksAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/compare_masks.py``.

    Attributes:
        images: masks compared.
        equal: share of all pixels that have the same class.
        different: share of pixels that have another class, by mask.
        problems: what differs beyond pixels, one sentence each.
    """

    images: int
    equal: float
    different: dict[str, float]
    problems: tuple[str, ...] = ()


class DepthsRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/compare_depths.py``: the results of the trainer's and of the deploy inference."""

    native: str
    engine: str


class DepthsAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/compare_depths.py``.

    Attributes:
        relative: difference (L2) by depth map, as a share of the trainer's.
        max_abs: largest difference of a pixel, in the unit of the depth.
        problems: what differs beyond numbers, one sentence each.
    """

    relative: dict[str, float]
    max_abs: float
    problems: tuple[str, ...] = ()
