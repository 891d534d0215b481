"""A port as the catalog sees it: the facts that its entry is made of, and where porter finds it again."""

from __future__ import annotations

from typing import Any

from porter.records.base import Record, Task


class PortFacts(Record, frozen=True, kw_only=True):
    """What a port says of its network.

    Attributes:
        source: the model that was ported.
        actions: those that the generated packages have a script for.
        deployed: likewise for those of the package in tao-deploy.
        weights, backbone_weights: spec keys for a checkpoint of all to start from, and of the backbone alone.
        checkpoint: the converted one.
        trained: file name that training leaves behind.
        roots: spec keys of folders that the generated data module looks into.
        formats: names of the formats of its datasets, where its spec names them.
        cautious: what a spec has to say so that any number of classes can be trained, by key.
        keys: of the schema; *fixed* are those of them that take one value.
        searched: fields that the schema marks for a search.
    """

    name: str
    task: Task
    source: str
    actions: tuple[str, ...]
    deployed: tuple[str, ...] = ()
    weights: str
    backbone_weights: str
    checkpoint: str
    trained: str
    roots: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    cautious: dict[str, Any] = {}
    keys: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()


class Remembered(Record, frozen=True, kw_only=True):
    """A ported network: the workspace of its port, and its catalog entry in there."""

    workspace: str
    entry: str
