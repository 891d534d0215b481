"""What is lifted out of the installed transformers, and what came of it."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record

TweakName = Literal[
    "static-sizes",
    "norm-by-parts",
    "averaging-matrices",
    "fold-by-permute",
    "grid-dtype",
    "pooling-apart",
    "counted-parts",
]


class LiftRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/lift_facts.py``; the answer is a :class:`LiftFacts`.

    Attributes:
        folder: model folder; only its config is read.
        architecture: class of transformers.
        skip: modules of transformers, dotted and without the package's name, whose source is not wanted; what
            lies below them neither.
    """

    folder: str
    architecture: str
    skip: tuple[str, ...] = ()


class LiftedPart(Record, frozen=True, kw_only=True):
    """The class that transformers builds from a part of a config, and the dotted module that defines it."""

    module: str
    architecture: str


class LiftFacts(Record, frozen=True, kw_only=True):
    """The source that a model class is made of, and what of it one config uses.

    Attributes:
        transformers: version that is installed.
        module: dotted module that defines the class.
        sources: text by dotted module: that module and what it imports of transformers.
        modules: names of the ``nn.Module`` classes that the module defines.
        live: names of the classes that the built model consists of, their bases included.
        config: every setting as a plain value, properties and aliases too; a sub-config is a dictionary.
        parts: what was built from each sub-config, by the setting's name, where it is a model of its own.
        licence: text of the licence that transformers is installed with.
    """

    transformers: str
    architecture: str
    module: str
    sources: dict[str, str]
    modules: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    parts: dict[str, LiftedPart] = {}
    licence: str = ""


class Tweak(Record, frozen=True, kw_only=True):
    """A rewrite of lifted code that ONNX needs.

    Attributes:
        places: how many expressions it changed.
        exact: whether the module computes the same numbers, bit for bit.
    """

    name: TweakName
    text: str
    places: int
    exact: bool


class Lifted(Record, frozen=True, kw_only=True):
    """A model class of transformers as one file of its own.

    Attributes:
        text: the file.
        header: its first lines: copyright, licence, where it comes from and that it was changed.
        config: the settings that the file reads, less the number of classes.
        origins: the modules of transformers that it was taken from.
        copyrights: every distinct copyright line of those.
        tweaks: the rewrites that ONNX needs.
    """

    architecture: str
    transformers: str
    text: str
    header: tuple[str, ...]
    config: dict[str, Any]
    origins: tuple[str, ...]
    copyrights: tuple[str, ...]
    tweaks: tuple[Tweak, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the file computes what transformers computes, bit for bit."""
        return all(tweak.exact for tweak in self.tweaks)


class Lifting(Record, frozen=True, kw_only=True):
    """The outcome: the file, or the reasons why there is none.

    Attributes:
        attention: attention implementation whose export to ONNX was seen to work.
    """

    lifted: Lifted | None = None
    reasons: tuple[str, ...] = ()
    attention: str = ""


class TrialRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/lift_trial.py``; the answer is a :class:`Trial`.

    Attributes:
        folder: model folder, with weights.
        text: the lifted file.
        config: its settings.
        attention: attention implementation that both sides run.
        image_size: (height, width) of the input.
        export: whether to export it to ONNX as well.
        batches: batch sizes at which the exported file is compared.
        tolerance: bound on the relative error of ONNX Runtime against torch.
    """

    folder: str
    architecture: str
    text: str
    config: dict[str, Any]
    attention: str
    image_size: tuple[int, int]
    channels: int = 3
    export: bool = False
    batches: tuple[int, ...] = (1, 2, 5)
    opset: int = 17
    tolerance: float = 1e-4
    seed: int = 0
    threads: int = 2


class Trial(Record, frozen=True, kw_only=True):
    """What came of running a lifted file without transformers, beside transformers.

    Attributes:
        error: what stopped it; empty for nothing.
        missing, unexpected: names in one state dict and not in the other, those of another shape in both.
        relative, max_abs: difference of the output that the task is about; None where there is none.
        control: relative change of that output when the first weight is scaled.
        exported: largest relative error of ONNX Runtime over the batches; None where it was not tried.
    """

    error: str = ""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    relative: float | None = None
    max_abs: float | None = None
    control: float | None = None
    exported: float | None = None
