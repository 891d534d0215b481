"""Remap rules as data: how the tensors of one architecture are called, and laid out, in another.

They are written as TOML (``references/remap/<name>.toml``), one table per operation. The templates in
them are described in :mod:`porter.weights.names`.
"""

from __future__ import annotations

from typing import Literal

from porter.records.base import Record


class Rename(Record, frozen=True, kw_only=True):
    """One source tensor becomes one target tensor, as it is.

    Attributes:
        absent: last part of a target name (``bias``) that is filled with zeros where the source has no
            such tensor, because a missing bias and a zero bias are the same function; empty: never.
    """

    source: str
    target: str
    absent: str = ""


class Reshape(Record, frozen=True, kw_only=True):
    """One source tensor in the target's shape, its elements in the same order."""

    source: str
    target: str


class Transpose(Record, frozen=True, kw_only=True):
    """One source tensor with two of its axes exchanged."""

    source: str
    target: str
    axes: tuple[int, int] = (0, 1)


class Permute(Record, frozen=True, kw_only=True):
    """One source tensor with its axes in another order: axis n of the target is *axes[n]* of the source."""

    source: str
    target: str
    axes: tuple[int, ...]


class Select(Record, frozen=True, kw_only=True):
    """One source tensor, cut along *axis* into as many equal parts as *order* has, put into that order.

    ``order = [1, 0]`` exchanges the two halves, as for the gate of a gated MLP.
    """

    source: str
    target: str
    axis: int = 0
    order: tuple[int, ...]


class Fuse(Record, frozen=True, kw_only=True):
    """Several source tensors are concatenated along *axis*, in the order of *sources*.

    Attributes:
        absent: as in :class:`Rename`, where the source has none of the parts.
        optional: those of *sources* that may be missing alone; their equal share is filled with zeros
            (a key without a bias beside a query and a value with one).
    """

    sources: tuple[str, ...]
    target: str
    axis: int = 0
    absent: str = ""
    optional: tuple[str, ...] = ()


class Split(Record, frozen=True, kw_only=True):
    """One source tensor is cut along *axis* into the *targets*, in their order and of their sizes."""

    source: str
    targets: tuple[str, ...]
    axis: int = 0
    absent: str = ""


class Interpolate(Record, frozen=True, kw_only=True):
    """A position embedding, (1, prefix_tokens + rows * columns, width), or the same without the 1.

    It is resampled where the grids differ, bicubic, and otherwise taken as it is.

    Attributes:
        antialias: whether it is smoothed before it is made smaller.
        semantics: whose resampling that is, for the ledger.
    """

    source: str
    target: str
    prefix_tokens: int = 0
    antialias: bool
    semantics: str


class Drop(Record, frozen=True, kw_only=True):
    """A source tensor that the target has no use for, and why.

    Attributes:
        zeros: it may be dropped only because all its values are zero; the conversion refuses otherwise.
    """

    source: str
    reason: str
    zeros: bool = False


class Initialise(Record, frozen=True, kw_only=True):
    """A target tensor that no source tensor fills, and why.

    Attributes:
        std: of the truncated normal, for ``normal``.
    """

    target: str
    value: Literal["zeros", "ones", "normal"]
    reason: str
    std: float = 0.02


class Computed(Record, frozen=True, kw_only=True):
    """A target buffer that its class computes, such as a relative position index: it stays as it is made."""

    target: str
    reason: str


class HeadTwin(Record, frozen=True, kw_only=True):
    """A second classification head (a distillation head), treated as the first one.

    Attributes:
        source_module: path in the source's model, where the files' names are not the model's; empty: theirs.
    """

    source: str
    target: str
    source_module: str = ""


class Head(Record, frozen=True, kw_only=True):
    """The classification head, which is new where the number of classes differs.

    Attributes:
        std: of the truncated normal that fills a new head's weight; its bias is zero.
        reshape: the target's head is a convolution of the same elements, or the other way round.
    """

    source: str
    target: str
    source_module: str
    target_module: str
    std: float
    reshape: bool = False
    twins: tuple[HeadTwin, ...] = ()


class Inert(Record, frozen=True, kw_only=True):
    """A source tensor whose exchange parity may be unable to see, and why."""

    source: str
    reason: str


class Counter(Record, frozen=True, kw_only=True):
    """A placeholder that counts: the place of several numbers among those that a table's names hold.

    With ``over = "stages.{i}.layers.{j}"`` the layers of all stages are numbered through, by stage and
    then by layer, from 0.

    Attributes:
        over: the beginning of the counted names.
        of: the table whose names are counted.
    """

    over: str
    of: Literal["source", "target"] = "source"


class RemapRules(Record, frozen=True, kw_only=True):
    """All rules from one architecture to another.

    Attributes:
        name: of the file that they were read from; empty where they were made otherwise.
        prefixes: what may stand before the source body's names; the one that most tensors have is taken
            for ``{prefix}``.
        counters: by placeholder.
        words: by placeholder, the target's word by the source's (``layernorm_before = "norm1"``).
    """

    name: str = ""
    source: str
    target: str
    prefixes: tuple[str, ...] = ("",)
    counters: dict[str, Counter] = {}
    words: dict[str, dict[str, str]] = {}
    rename: tuple[Rename, ...] = ()
    reshape: tuple[Reshape, ...] = ()
    transpose: tuple[Transpose, ...] = ()
    permute: tuple[Permute, ...] = ()
    select: tuple[Select, ...] = ()
    fuse: tuple[Fuse, ...] = ()
    split: tuple[Split, ...] = ()
    interpolate: tuple[Interpolate, ...] = ()
    drop: tuple[Drop, ...] = ()
    initialise: tuple[Initialise, ...] = ()
    computed: tuple[Computed, ...] = ()
    head: Head | None = None
    inert: tuple[Inert, ...] = ()
