"""What a review shows of a port: one tree that page, terminal and JSON are made from."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record, Task
from porter.records.inspection import DatasetFacts, ExportAttempt, Licence, ProcessorFacts, Source
from porter.records.reference import Candidate, Release, Repo, SourceFile, StrategyChoice
from porter.records.weights import Fate

ShownState = Literal["passed", "rehearsed", "changed", "blocked", "failed", "not run"]
"""How a gate ended; ``changed`` where it passed or was rehearsed on what does not lie there any more."""


class PreprocessingPicture(Record, frozen=True, kw_only=True):
    """A picture that a preprocessing gate left for the review.

    Attributes:
        image: name of the test image; the pictures of one image are shown together.
        file: PNG beside the index; empty where there is nothing to show (shapes that differ).
        what: the image itself, what a side made of it (normalisation taken back), or how far that is from
            what its gate compares it with (stretched so that the largest difference is white).
        shape: (channels, height, width) of what is shown.
        max_abs: of a difference, its largest value in normalised units.
        different: of a difference, the share of values that differ at all.
    """

    image: str
    file: str
    what: Literal["source", "huggingface", "trainer", "deploy", "trainer-difference", "deploy-difference"]
    shape: tuple[int, ...] = ()
    max_abs: float | None = None
    different: float | None = None


PreprocessingPictures = tuple[PreprocessingPicture, ...]
"""``.porter/evidence/preprocessing/index.json``."""


class Unproven(Record, frozen=True, kw_only=True):
    """Something that keeps the port from being proven.

    Attributes:
        kind: ``changed`` where what a gate rested on is not what lies there now.
        what: a gate, a phase or a repository.
        gate: the gate that the page leads to; empty for none.
        why: one line.
        remedy: what to do about it, in words; *command* what to run.
        stand_in: what stood in for the real part, where it was rehearsed.
    """

    kind: Literal["failed", "changed", "blocked", "rehearsed", "not run"]
    what: str
    why: str
    gate: str = ""
    remedy: str = ""
    command: str = ""
    stand_in: str = ""


class ReviewFindings(Record, frozen=True, kw_only=True):
    """Phase 1's facts about the model and its images.

    Attributes:
        tensors, parameters: number of tensors in the checkpoint, and of the values in them.
        dtypes: number of tensors by dtype.
        onnx_relative: ONNX Runtime against torch, of the sanity export that worked.
    """

    source: Source
    task: Task
    task_reason: str
    architecture: str
    model_type: str
    image_size: tuple[int, int] | None
    channels: int
    labels: tuple[str, ...]
    licence: Licence
    saved_with: str
    processor: ProcessorFacts | None
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    notes: tuple[str, ...]
    config: dict[str, Any]
    dataset: DatasetFacts | None = None
    head: str = ""
    output_shapes: dict[str, tuple[int, ...]] = {}
    exports: tuple[ExportAttempt, ...] = ()
    onnx_relative: float | None = None


class ReviewReference(Record, frozen=True, kw_only=True):
    """The TAO model that was chosen, the others that were considered, and the strategy."""

    name: str
    package: str
    release: Release
    candidates: tuple[Candidate, ...]
    files: tuple[SourceFile, ...]
    hooks: tuple[str, ...]
    strategy: StrategyChoice


class ReviewFile(Record, frozen=True, kw_only=True):
    """A file of a clone that is not as the base commit has it, or that the plan names.

    Attributes:
        change: against the base commit; ``absent`` where the plan names it and it is not written.
        by: ``you`` for what no plan of porter names; ``both`` where a person has edited what porter wrote.
        produced_by: template or codemod.
        added, removed: lines.
        diff: unified, against the base commit; *left_out* counts the lines that are not in it.
    """

    repo: Repo
    path: str
    change: Literal["created", "edited", "removed", "absent"]
    by: Literal["porter", "you", "both"]
    produced_by: str = ""
    added: int = 0
    removed: int = 0
    diff: str = ""
    left_out: int = 0


class ReviewRepo(Record, frozen=True, kw_only=True):
    """The worktree of one clone and what the port changed in it.

    Attributes:
        unseen: untracked files that the gates' records do not cover.
        problem: why the worktree cannot be read; empty where it can.
    """

    repo: Repo
    clone: str
    worktree: str
    branch: str
    base: str
    commit: str
    files: tuple[ReviewFile, ...] = ()
    unseen: tuple[str, ...] = ()
    problem: str = ""


class ReviewTensor(Record, frozen=True, kw_only=True):
    """A tensor in the ledger; the shape is empty where no table has it."""

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = ""


class ReviewRow(Record, frozen=True, kw_only=True):
    """A row of the ledger; *hint* names what a leftover may correspond to."""

    fate: Fate
    sources: tuple[ReviewTensor, ...]
    targets: tuple[ReviewTensor, ...]
    reason: str = ""
    inert: float | None = None
    hint: str = ""


class ReviewLedger(Record, frozen=True, kw_only=True):
    """The tensor ledger.

    Attributes:
        fates: number of rows by kind.
        head: what became of the classification head.
    """

    rows: tuple[ReviewRow, ...]
    fates: dict[str, int]
    head: str
    source_tensors: int
    target_tensors: int


class ReviewSeries(Record, frozen=True, kw_only=True):
    """One comparison of a hop.

    Attributes:
        values: relative error of each input.
        control: whether something was damaged on purpose, so that the errors must lie beyond the tolerance.
        names: name of each value; empty where they are numbered inputs.
    """

    label: str
    values: tuple[float, ...]
    max_abs: float | None = None
    control: bool = False
    names: tuple[str, ...] = ()


class ReviewHop(Record, frozen=True, kw_only=True):
    """Parity between two forms of the model, as a gate measured it.

    Attributes:
        relative, max_abs: the worst; None where the gate gives none.
    """

    gate: str
    state: ShownState
    name: str
    tolerance: float | None
    relative: float | None
    max_abs: float | None
    series: tuple[ReviewSeries, ...]


class ReviewImage(Record, frozen=True, kw_only=True):
    """The pictures of one test image; the files lie in *folder*."""

    image: str
    folder: str
    pictures: PreprocessingPictures


class ReviewGate(Record, frozen=True, kw_only=True):
    """A gate of the catalogue, or one that a record has beside it, and how it ended.

    Attributes:
        again: runs the gate again; *command* repeats by hand the sandboxed run that it rests on.
        run: that run's name among :attr:`Review.runs`; empty for none.
    """

    gate: str
    phase: int
    title: str
    state: ShownState
    cpu: bool = True
    stand_in: str = ""
    summary: str = ""
    evidence: dict[str, Any] = {}
    cause: str = ""
    fix: str = ""
    again: str = ""
    command: str = ""
    run: str = ""


class ReviewPhase(Record, frozen=True, kw_only=True):
    """A phase and its gates.

    Attributes:
        changed: why its record is not of what lies there now; empty where it is.
        porter: version that ran it; empty where it has not run.
    """

    number: int
    title: str
    gates: tuple[ReviewGate, ...]
    changed: str = ""
    porter: str = ""


class ReviewRun(Record, frozen=True, kw_only=True):
    """A run in the sandbox that gates rest on.

    Attributes:
        folder: holds request, answer, log and command.
        script: the command, as kept in ``command.sh``; *log* the end of its output.
        left_out: bytes of the log before what is shown.
        gates: those that rest on it.
    """

    name: str
    folder: str
    script: str
    log: str
    left_out: int
    gates: tuple[str, ...]


class ReviewVersions(Record, frozen=True, kw_only=True):
    """A group of versions, pins or digests."""

    title: str
    entries: dict[str, str]


class Review(Record, frozen=True, kw_only=True):
    """A port as it stands.

    Attributes:
        state: ``complete`` when nothing is unproven; ``failed`` when a gate failed.
        written: when, UTC.
        counts: number of gates by state.
        notes: records that could not be read.
    """

    porter: str
    written: str
    workspace: str
    name: str
    source: str
    state: Literal["complete", "incomplete", "failed"]
    counts: dict[str, int]
    unproven: tuple[Unproven, ...]
    findings: ReviewFindings | None
    reference: ReviewReference | None
    repos: tuple[ReviewRepo, ...]
    ledger: ReviewLedger | None
    hops: tuple[ReviewHop, ...]
    images: tuple[ReviewImage, ...]
    phases: tuple[ReviewPhase, ...]
    runs: tuple[ReviewRun, ...]
    versions: tuple[ReviewVersions, ...]
    notes: tuple[str, ...] = ()
