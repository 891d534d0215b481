"""The list of `porter matrix`, and what became of each of its rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from porter.records.base import Record, Task
from porter.records.reference import Strategy

Slug = Annotated[str, Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Expected = Literal["ported", "refused"]


class ModelToMake(Record, frozen=True, kw_only=True):
    """A model of transformers, made from its config with random weights.

    Attributes:
        architecture: model class.
        config: arguments of its config class.
        processor: content of ``preprocessor_config.json``, or the name of one of the list's processors.
        labels: label by index; empty for those of the list.
        calibrate: whether images are shown to it, so that batch norms fit what they see.
    """

    architecture: str
    config: dict[str, Any] = {}
    processor: str | dict[str, Any] = ""
    labels: tuple[str, ...] = ()
    calibrate: bool = True
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    shard_bytes: int = 0


class TimmToMake(Record, frozen=True, kw_only=True):
    """A model of timm, made as a hub repository of timm has it.

    Attributes:
        architecture: name that ``timm.create_model`` knows.
        arguments: what else it is given.
        pretrained: keys of ``pretrained_cfg``: input_size, crop_pct, interpolation, mean, std ...
        labels: as of :class:`ModelToMake`.
    """

    architecture: str
    arguments: dict[str, Any] = {}
    pretrained: dict[str, Any] = {}
    labels: tuple[str, ...] = ()


class MatrixEntry(Record, frozen=True, kw_only=True):
    """A row of the list: where its model comes from, and how it is ported.

    Attributes:
        name: slug, unique in the list.
        source: hub id, or folder (from the list's own folder on); or the model is made: *model*, *timm*.
        strategy: the one to force.
        settings: ``--set`` of `porter port`.
        budget: seconds that the port may take; 0 for that of the list.
        memory_gb: what the port needs, where that is known better than porter guesses it.
        expected: how the row has to end; ``refused`` where porter has to turn the model away.
    """

    name: Slug
    source: str = ""
    model: ModelToMake | None = None
    timm: TimmToMake | None = None
    revision: str = ""
    task: Task | None = None
    strategy: Strategy | None = None
    settings: dict[str, str | int | float | bool] = {}
    budget: Annotated[int, Meta(ge=0)] = 0
    memory_gb: Annotated[float, Meta(ge=0)] = 0.0
    expected: Expected = "ported"


class MatrixDefaults(Record, frozen=True, kw_only=True):
    """What holds for rows that say nothing else."""

    budget: Annotated[int, Meta(ge=1)] = 900
    labels: tuple[str, ...] = ()
    processor: str = ""


class MatrixList(Record, frozen=True, kw_only=True):
    """A list as its TOML file has it.

    Attributes:
        processors: contents of ``preprocessor_config.json`` by name.
    """

    rows: tuple[MatrixEntry, ...]
    defaults: MatrixDefaults = MatrixDefaults()
    processors: dict[str, dict[str, Any]] = {}


RowState = Literal["ported", "refused", "failed", "stopped", "not run"]
"""``ported``: no gate failed; ``refused``: porter turned the model away; ``failed``: a gate did, or the model
could not be made; ``stopped``: its time was over; ``not run``: there was not enough memory."""


class MatrixHop(Record, frozen=True, kw_only=True):
    """A measured hop of parity.

    Attributes:
        relative, max_abs: the worst; None where nothing was measured.
        batches: batch sizes that were compared.
    """

    gate: str
    name: str
    state: str
    relative: float | None = None
    max_abs: float | None = None
    tolerance: float | None = None
    batches: tuple[int, ...] = ()


class MatrixGate(Record, frozen=True, kw_only=True):
    """How a gate of a row ended."""

    gate: str
    phase: int
    state: str
    summary: str = ""


class MatrixRow(Record, frozen=True, kw_only=True):
    """What became of a row.

    Attributes:
        inputs: digest of everything that the result rests on.
        code: digest of porter's own code and data at that time, 12 digits.
        as_expected: whether it ended as the list says.
        reason: why it is not ported, in porter's own words; empty where it is.
        next_step: what to do about it.
        rejected: why each earlier strategy was not taken.
        forced: whether the list forces the strategy.
        fates: number of ledger rows by kind.
        closed: whether every tensor of both sides is in the ledger; None before there is one.
        preprocessing: largest difference of the prepared images; None where it was not measured.
        trained: whether a training run ended well; None where it did not come to that.
        reloaded: likewise, whether parity holds after the checkpoint was loaded as TAO's scripts load it.
        rtx: seconds of the TensorRT-RTX build; None where it was not built.
        spread: how far the outputs of different images are apart, where the model was made here.
        log: what the port said, from the matrix's folder on.
        seconds, peak_bytes: of the port; the memory is that of the whole tree of processes, without the pages
            of files that they share.
    """

    name: str
    inputs: str
    code: str
    until: int
    state: RowState
    as_expected: bool
    reason: str = ""
    next_step: str = ""
    source: str = ""
    model_type: str = ""
    architecture: str = ""
    parameters: int = 0
    image_size: tuple[int, int] | None = None
    strategy: str = ""
    strategy_reason: str = ""
    rejected: dict[str, str] = {}
    forced: bool = False
    source_tensors: int = 0
    target_tensors: int = 0
    fates: dict[str, int] = {}
    closed: bool | None = None
    hops: tuple[MatrixHop, ...] = ()
    preprocessing: float | None = None
    trained: bool | None = None
    reloaded: bool | None = None
    rtx: float | None = None
    gates: tuple[MatrixGate, ...] = ()
    counts: dict[str, int] = {}
    spread: float | None = None
    seconds: float = 0.0
    budget: int = 0
    peak_bytes: int = 0
    log: str = ""


class Matrix(Record, frozen=True, kw_only=True):
    """The port matrix.

    Attributes:
        list_name: file name of the list.
        clones: what was ported into: release and commit by repository.
        rows: sorted by name.
        waiting: rows of the list that have no result of these inputs yet.
        totals: number of rows by state.
        seconds: of all ports together.
    """

    porter: str
    code: str
    list_name: str
    until: int
    clones: dict[str, str]
    machine: str
    rows: tuple[MatrixRow, ...]
    waiting: tuple[str, ...] = ()
    totals: dict[str, int] = {}
    seconds: float = 0.0
