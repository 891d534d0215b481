"""The ledger as a file beside the checkpoint: ``<name>.ledger.json``."""

from __future__ import annotations

from typing import Literal

from porter.records.base import Record
from porter.records.weights import LedgerRow, Operation


class LedgerModel(Record, frozen=True, kw_only=True):
    """The source of a port.

    Attributes:
        id: hub id or folder.
        revision: the commit on the Hub; for a folder the digest of its files.
        architecture: class of transformers.
        tensors: how many its files hold.
    """

    id: str
    revision: str
    architecture: str
    tensors: int


class LedgerTarget(Record, frozen=True, kw_only=True):
    """The TAO module of a port.

    Attributes:
        kind: its class, ``module:Class``.
        release, commit: of the tao-pytorch clone.
        tensors: how many it has.
    """

    kind: str
    release: str
    commit: str
    tensors: int


class LedgerCheckpoint(Record, frozen=True, kw_only=True):
    """The files that hold the target tensors, by their names beside the ledger.

    Attributes:
        file: read by TAO's loaders; every key has *key_prefix* in front.
        safetensors: the same tensors under their names, but for those that TAO's loader would shorten
            (they hold ``module`` or begin with ``model.``, ``backbone.`` or ``ema_``): they have
            ``backbone.`` in front.
    """

    file: str
    sha256: str
    key_prefix: str
    safetensors: str = ""


class LedgerFile(Record, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        format, version: change with the meaning of what follows; a reader refuses what it does not know.
        name: of the port.
        strategy: how the architecture got into TAO.
        rules: name of the remap rules (``references/remap/<name>.toml``), or what they are made from.
        head: what became of the classification head: copied, permuted or re-initialised.
        fates: number of rows by fate.
        rows: what became of every tensor, each in exactly one row.
        operations: how each target tensor is made, in the order of the module's state dict.
        computed: target buffers that no operation makes, as their class computes them.
        irreversible: source tensors that cannot be had again from the checkpoint; all others can, bit
            for bit.
    """

    format: Literal["porter-ledger"] = "porter-ledger"
    version: Literal[1] = 1
    name: str
    source: LedgerModel
    target: LedgerTarget
    checkpoint: LedgerCheckpoint
    strategy: str
    rules: str
    head: str
    fates: dict[str, int]
    rows: tuple[LedgerRow, ...]
    operations: tuple[Operation, ...]
    computed: tuple[str, ...] = ()
    irreversible: tuple[str, ...] = ()
