"""What the rule finder is asked, and what it proposed and measured."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record
from porter.records.inspection import TensorInfo
from porter.records.remap import RemapRules
from porter.records.weights import Operation, Parity, TargetSpec

Way = Literal["input", "joined", "cut", "chain", "output", "order", "sibling"]


class TimmCandidate(Record, frozen=True, kw_only=True):
    """A timm model that may be the source's architecture.

    Attributes:
        architecture: name that ``timm.create_model`` knows, or a pattern of names (``resnet*``) of which
            those with the likeliest tensors are taken.
        arguments: what else it is given; ``$hidden_size`` is the config's value, ``$one / other`` is
            calculated.
        words: what the config's words are called in timm (``gelu_new = "gelu_tanh"``).
        when: values of the config under which it is tried.
    """

    architecture: str
    arguments: dict[str, Any] = {}
    words: dict[str, str] = {}
    when: dict[str, Any] = {}


class FindRulesRequest(Record, frozen=True, kw_only=True):
    """Asks ``find_rules`` how the tensors of the source fill those of a candidate.

    Attributes:
        folder: model folder; only its config is read.
        target: the staged TAO module, tried first; None where there is none.
        candidates: timm models, tried in their order until one is accepted.
        work: writable folder.
        few: names that are taken of a pattern.
        tolerance: bound of the relative difference in float32, and of what counts as seen.
        trials: runs of each candidate that the search may make.
        seconds: for all candidates together.
        influence_seconds: for measuring what the output owes to each tensor; where all would take longer,
            some stand for their role.
    """

    folder: str
    target: TargetSpec | None = None
    candidates: tuple[TimmCandidate, ...] = ()
    work: str
    image_size: tuple[int, int]
    channels: int = 3
    inputs: int = 4
    seed: int = 0
    few: int = 3
    tolerance: float = 1e-5
    trials: int = 200
    seconds: float = 600.0
    influence_seconds: float = 30.0


class FoundOperation(Record, frozen=True, kw_only=True):
    """An operation with what speaks for it.

    Attributes:
        way: ``input``: the target computes there on what one module of the source computes on; ``joined``:
            as several do; ``cut``: as one does whose tensors it takes a part of; ``chain``: two of the
            source's operations make what one of the target's makes; ``output``: what comes out is what a
            module of the source makes; ``order``: nothing but the order of execution; ``sibling``: read by
            neither, beside tensors that are paired.
        module, source_modules: where it is used.
        error: how far what came out was from what the source makes there; None where it makes no such value.
        confirmed: module of the target at which values showed that all was well up to there.
        others: ways of equal standing that were open; the values behind it decided.
    """

    operation: Operation
    way: Way
    module: str
    source_modules: tuple[str, ...]
    error: float | None = None
    confirmed: str = ""
    others: int = 0


class DroppedTensor(Record, frozen=True, kw_only=True):
    """A source tensor without a place; *effect* is what the source's output owes to it, where measured."""

    name: str
    reason: str
    effect: float | None = None


class Influence(Record, frozen=True, kw_only=True):
    """What the output owes to one placed tensor.

    Attributes:
        effect: relative change of the logits when its values are replaced by random ones of their mean and
            spread; None: not measured, the others of its role stand for it.
        inert: the output does not show it.
        held: what else fixes the place of an inert tensor; empty: it was placed by guess.
    """

    source: str
    target: str
    effect: float | None = None
    inert: bool = False
    held: str = ""


class Exchange(Record, frozen=True, kw_only=True):
    """Two placed source tensors that can trade places without parity seeing it, and the effect that it has.

    The values where they are used hold them; :attr:`held` is empty where those do not either.
    """

    first: str
    second: str
    effect: float
    held: str = ""


class Setting(Record, frozen=True, kw_only=True):
    """An attribute of a module of the target that must be set for it to calculate as the source does."""

    module: str
    attribute: str
    value: float


class Attempt(Record, frozen=True, kw_only=True):
    """One candidate: what the search proposed, what was measured, and whether it is accepted.

    Attributes:
        architecture, arguments: what was built; the arguments as timm was given them.
        reason: why it is not accepted; empty where it is.
        likeness: share of elements in tensors that have a counterpart of their shape.
        operations: in the order of the target's tensors.
        computed: target buffers that its class computes.
        heads: source and target module of each layer that makes the logits.
        stages: paths of the target's modules that can be frozen one after the other; maps: whether it gives
            feature maps (both of an accepted model of timm).
        parities: on other weights than the search used; the last one is the source's own rounding.
        trials: runs of the candidate.
        rejected: what was shown to be wrong, one line each.
        source, target: the tensor tables.
    """

    architecture: str
    arguments: dict[str, Any] = {}
    accepted: bool
    reason: str
    likeness: float = 0.0
    operations: tuple[FoundOperation, ...] = ()
    dropped: tuple[DroppedTensor, ...] = ()
    computed: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    heads: tuple[tuple[str, str], ...] = ()
    stages: tuple[str, ...] = ()
    maps: bool = False
    parities: tuple[Parity, ...] = ()
    influences: tuple[Influence, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    trials: int = 0
    rejected: tuple[str, ...] = ()
    source: tuple[TensorInfo, ...] = ()
    target: tuple[TensorInfo, ...] = ()
    seconds: float


class FindRulesAnswer(Record, frozen=True, kw_only=True):
    """What ``find_rules`` proposed and measured.

    Attributes:
        source: class of the Hugging Face model, ``module:Class``.
        prefix: what its class puts before the names of its body.
        attempts: in the order tried; the accepted one, if any, is the last.
    """

    source: str
    parameters: int
    prefix: str = ""
    attempts: tuple[Attempt, ...] = ()

    @property
    def accepted(self) -> Attempt | None:
        """The attempt that was accepted."""
        return next((each for each in self.attempts if each.accepted), None)


class Finding(Record, frozen=True, kw_only=True):
    """What the finder made of a family.

    Attributes:
        answer: everything that was proposed and measured.
        rules: of the accepted attempt; None where none was accepted.
        refusal: why no candidate was taken, one sentence; empty where one was.
    """

    answer: FindRulesAnswer
    rules: RemapRules | None = None
    refusal: str = ""

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that was accepted."""
        return self.answer.accepted
