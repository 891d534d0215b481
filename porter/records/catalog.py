"""A TAO network that can be trained: what ``references/catalog`` says of it."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record, Task

ImageKind = Literal["pytorch", "deploy"]
Direction = Literal["maximize", "minimize"]
Origin = Literal["train", "eval", "inference", "calibration"]
"""Whose files a spec key is given: those of the training, evaluation, inference or calibration set."""

CatalogTask = Task | Literal["change-detection"]
"""A task of a TAO network; change detection is none that a port can have."""

Rule = Literal[
    "output_dir",
    "parent_model",
    "parent_model_folder",
    "resume_model",
    "ptm_if_no_resume_model",
    "key",
    "create_onnx_file",
    "create_engine_file",
    "create_cal_cache",
    "create_inference_result_file_mal",
]
"""How a spec key gets its value from the jobs around it, by the names that TAO has for these rules."""


class DataPart(Record, frozen=True, kw_only=True):
    """What a spec key, or one field of it, is given of a dataset.

    Attributes:
        path: below the dataset; empty for the dataset's own folder. An archive becomes the folder that is
            named like it.
        fallback: path that is taken where a dataset has none of the first.
        kind: what the network finds there; ``format`` is no path but the name of the dataset's format.
        list: whether the value is a list with that one entry.
        sparse: of a dataset's own folder, whether what other keys take of it is all that has to be in it.
    """

    path: str = ""
    fallback: str = ""
    kind: Literal["file", "folder", "format"]
    list: bool = False
    sparse: bool = False


class DataSource(Record, frozen=True, kw_only=True):
    """A spec key that is given files of a dataset.

    Attributes:
        key: of the spec.
        actions: those that read it.
        origin: the dataset.
        list: whether the value is a list with one entry per dataset.
        required: whether the action fails without it.
        reuses: the dataset that is taken, and said to be taken, where there is none of *origin*.
        formats: the data formats that have it; empty for all.
        value: what the key is given, where it has no fields.
        parts: what its fields are given.
    """

    key: str
    actions: tuple[str, ...]
    origin: Origin
    list: bool = False
    required: bool = True
    reuses: Origin | None = None
    formats: tuple[str, ...] = ()
    value: DataPart | None = None
    parts: dict[str, DataPart] = {}


class Action(Record, frozen=True, kw_only=True):
    """What a network can be asked to do.

    Attributes:
        command: with ``{config_path}`` for the spec.
        image: which of the two images has it.
        engine: spec key of a TensorRT engine; with one, the deploy image runs the same command.
        rules: by spec key, where its value comes from.
    """

    command: str
    image: ImageKind = "pytorch"
    engine: str = ""
    rules: dict[str, Rule] = {}


class RequiredInput(Record, frozen=True, kw_only=True):
    """A spec key whose default does not fit a user's own data.

    Attributes:
        actions: those that need it; empty for all.
        at_least: what its value is held against before a job is made; empty where nothing can be.
    """

    key: str
    title: str
    actions: tuple[str, ...] = ()
    at_least: Literal["", "max_category_id + 1", "classes"] = ""
    reason: str


class Metric(Record, frozen=True, kw_only=True):
    """What a training is measured by.

    Attributes:
        key: in ``status.json``; *evaluate* is that of the action evaluate, where it has another name.
        text: whether the number stands there as a string.
        others: further metrics of the network.
        refused: names that tell nothing, with the reason.
    """

    key: str
    direction: Direction
    text: bool = False
    evaluate: str = ""
    others: tuple[str, ...] = ()
    refused: dict[str, str] = {}


class Launch(Record, frozen=True, kw_only=True):
    """How processes are started on one and on several GPUs.

    Attributes:
        method: ``lightning`` where one process starts those of the other GPUs itself.
        gpus, gpu_ids, nodes: spec keys.
        strategy: of Lightning, on more than one GPU.
        choice: spec key that chooses another one, and *choices* what it takes.
        rate: spec keys whose product with the number of GPUs is the learning rate; empty where one is.
        notes: what a plan has to say.
    """

    method: Literal["lightning"] = "lightning"
    gpus: str = "train.num_gpus"
    gpu_ids: str = "train.gpu_ids"
    nodes: str = "train.num_nodes"
    strategy: str
    choice: str = ""
    choices: tuple[str, ...] = ()
    rate: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Hardware(Record, frozen=True, kw_only=True):
    """What training needs: GPUs, and memory of each in GB."""

    gpus: int = 1
    recommended_gpus: int = 1
    memory_gb: int
    note: str = ""


class ErrorPattern(Record, frozen=True, kw_only=True):
    """A failure as the log of a job shows it.

    Attributes:
        pattern: regular expression that is looked for in every line.
    """

    pattern: str
    cause: str
    fix: str


class RefusedValue(Record, frozen=True, kw_only=True):
    """Values that the schema allows and the network does not; none named means any."""

    key: str
    values: tuple[Any, ...]
    reason: str


class Overlay(Record, frozen=True, kw_only=True):
    """What the schema says of a field beyond the dataclass, set by hand."""

    key: str
    minimum: float | None = None
    maximum: float | None = None
    reason: str


class AutoMl(Record, frozen=True, kw_only=True):
    """How hyperparameters are searched.

    Attributes:
        enabled: whether training is a search unless it is turned off.
        carried: settings of the best trial that evaluation needs too, or its checkpoint does not fit.
        overlay: fields that are searched though the dataclasses do not say so, with their ranges.
        refused: spec keys with the value for which the metric means nothing, and the reason.
    """

    enabled: bool
    carried: tuple[str, ...] = ()
    overlay: tuple[Overlay, ...] = ()
    refused: tuple[RefusedValue, ...] = ()


class BaseCheckpoint(Record, frozen=True, kw_only=True):
    """Where weights to start from go.

    Attributes:
        key: spec key.
        part: whether they are those of the backbone or of the whole model.
        default: NGC's checkpoint; empty where training starts from scratch.
        when: spec values that the default fits.
        known: others that NGC has.
        note: what a plan has to say.
    """

    key: str
    part: Literal["backbone", "model"]
    default: str = ""
    when: dict[str, Any] = {}
    known: tuple[str, ...] = ()
    note: str = ""


class Rewrite(Record, frozen=True, kw_only=True):
    """A key of older texts, and the one that it is taken for, with a warning."""

    old: str
    new: str
    reason: str


class SmallProfile(Record, frozen=True, kw_only=True):
    """Data and settings for a first look; taken whole or not at all, and only where it is asked for."""

    train: str
    eval: str
    classes: int
    recommendations: int
    settings: dict[str, Any]


class CatalogEntry(Record, frozen=True, kw_only=True):
    """One trainable network.

    Attributes:
        name: of the network, and of its command.
        title: as people write it; *skill* is the folder of its skill-bank package.
        config: dataclass of its spec, ``package.module:Class``; ``{config}`` is the package of all configs.
        formats: of datasets; *by_format* has the spec values that choose one.
        actions: in the order of a workflow.
        checkpoint: file name that training leaves behind.
        shorthands: spec key by the short name that a person may use for it.
        workspace: of the port that made the network; empty for TAO's own. It stands in no file: whoever
            reads the entry knows where it lay.
    """

    name: str
    title: str
    task: CatalogTask
    skill: str
    description: str
    config: str
    formats: tuple[str, ...]
    by_format: dict[str, dict[str, Any]] = {}
    actions: dict[str, Action]
    data: tuple[DataSource, ...]
    inputs: tuple[RequiredInput, ...] = ()
    metric: Metric
    launch: Launch
    hardware: Hardware
    errors: tuple[ErrorPattern, ...] = ()
    automl: AutoMl
    base: tuple[BaseCheckpoint, ...] = ()
    checkpoint: str = ""
    refused: tuple[RefusedValue, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    shorthands: dict[str, str] = {}
    profile: SmallProfile | None = None
    images: dict[ImageKind, str] = {}
    workspace: str = ""


class CatalogRow(Record, frozen=True, kw_only=True):
    """A network as ``porter models`` lists it.

    Attributes:
        automl: whether its hyperparameters can be searched.
        workspace: of the port that it comes from; empty for TAO's own.
    """

    name: str
    title: str
    task: CatalogTask
    actions: tuple[str, ...]
    formats: tuple[str, ...]
    automl: bool
    workspace: str = ""


class ResolvedImage(Record, frozen=True, kw_only=True):
    """What runs an action.

    Attributes:
        kind: which of the two images it is.
        engine_image: what runs the same command on a TensorRT engine; empty where nothing does.
        code: worktree of a port, which no image has: it goes on PYTHONPATH. Empty for TAO's own networks.
    """

    model: str
    action: str
    kind: ImageKind
    image: str
    command: str
    engine_image: str = ""
    code: str = ""
