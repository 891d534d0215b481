"""A training that was asked for, what is known of its data, and the plan that comes of both."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record

Platform = Literal["docker", "kubernetes", "slurm", "brev", "virtualenv"]
AutoMlChoice = Literal["default", "on", "off"]
"""What was asked for; the default is a search wherever the network has one that can run."""


class SearchOptions(Record, frozen=True, kw_only=True):
    """What a person asked for of a search; empty where nothing was said.

    Attributes:
        algorithm: of NVIDIA's search.
        trials: how many.
        metric: ``KEY`` or ``KEY:maximize``.
        vary: spec keys, each with its range or options: ``KEY``, ``KEY=LEAST..MOST``, ``KEY=A,B,C``.
    """

    algorithm: str = ""
    trials: int = 0
    metric: str = ""
    vary: tuple[str, ...] = ()


class TrainOptions(Record, frozen=True, kw_only=True):
    """What a person asked for.

    Attributes:
        train: URI of the training set, and *eval* of the validation set; empty where none was given.
        base: URI of the checkpoint to start from.
        gpus: on every node; 0 for none, and None where nothing was said. So with *nodes*, where that is 0.
        image: that takes the place of the catalog's.
        settings: ``key=value`` as they were typed.
    """

    train: str = ""
    eval: str = ""
    base: str = ""
    platform: Platform = "docker"
    gpus: int | None = None
    nodes: int = 0
    automl: AutoMlChoice = "default"
    search: SearchOptions = SearchOptions()
    image: str = ""
    settings: tuple[str, ...] = ()


class DataFacts(Record, frozen=True, kw_only=True):
    """What was found in a dataset.

    Attributes:
        uri: where it is.
        kind: what was checked: ``coco`` and ``classes`` (folders) whole, of ``files`` only that they are
            there, and nothing of what is ``remote``.
        archives: paths below it that are archives, to be unpacked; those that are folders already are none.
        fallbacks: paths that it does not have, and in whose place what the catalog names is taken.
        max_category_id: the greatest id of COCO categories and annotations.
        classes: images by class folder.
    """

    uri: str
    kind: Literal["coco", "classes", "files", "remote"]
    archives: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    images: int = 0
    annotations: int = 0
    categories: int = 0
    max_category_id: int | None = None
    classes: dict[str, int] = {}


class Mount(Record, frozen=True, kw_only=True):
    """A local folder that the job reads, and where it finds it."""

    source: str
    target: str


class Staged(Record, frozen=True, kw_only=True):
    """What has to be brought to the job before it starts; *unpack* where it is an archive."""

    source: str
    target: str
    unpack: bool = False


class Credential(Record, frozen=True, kw_only=True):
    """The name of a secret, never its value.

    Attributes:
        name: of the variable; one of *others* does as well.
        purpose: what it is needed for, and *where* to get it.
        required: whether the job cannot start without it.
        present: whether the environment has it.
    """

    name: str
    others: tuple[str, ...] = ()
    purpose: str
    where: str
    required: bool = True
    present: bool


class SearchRoute(Record, frozen=True, kw_only=True):
    """Whether the training is a search.

    Attributes:
        on: whether it is; *reason* says why.
        algorithm, metric, direction: of the search.
        parameters: spec keys that it varies.
        ranges: of parameters, where they are other than the schema's: ``minimum`` and ``maximum``, or
            ``enum``.
        recommendations: how many trials, where the algorithm does not say so itself.
    """

    on: bool
    reason: str
    algorithm: str = ""
    metric: str = ""
    direction: str = ""
    parameters: tuple[str, ...] = ()
    ranges: dict[str, dict[str, Any]] = {}
    recommendations: int = 0


class StartPoint(Record, frozen=True, kw_only=True):
    """The checkpoint that a training starts from, and the spec key that it goes to."""

    key: str
    part: Literal["backbone", "model"]
    source: str


class TrainPlan(Record, frozen=True, kw_only=True):
    """Everything that a training is, before anything is created.

    Attributes:
        spec: only what differs from the dataclass's defaults.
        gpus: of every node; 0 runs on the CPU.
        environment: variables of each node; empty for one node.
        start: None where training starts from scratch.
        inputs: values by spec key that the data is held against, also those that are the default.
        workspace: of the port that the network comes from; empty for TAO's own.
        warnings: what was changed or assumed; *notes* is what is good to know.
    """

    model: str
    action: str
    platform: Platform
    format: str
    release: str
    spec: dict[str, Any]
    command: str
    image: str
    gpus: int
    nodes: int
    environment: tuple[dict[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    staged: tuple[Staged, ...] = ()
    credentials: tuple[Credential, ...] = ()
    search: SearchRoute
    start: StartPoint | None = None
    inputs: dict[str, Any] = {}
    workspace: str = ""
    data: dict[str, DataFacts] = {}
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
