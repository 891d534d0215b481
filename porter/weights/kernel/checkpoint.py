"""The checkpoint file that TAO's own loaders read."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch


def checkpoint(
    state: OrderedDict[str, torch.Tensor], plan: Mapping[str, Any], lightning: str
) -> dict[str, Any]:
    """Return the mapping to save.

    One file serves both loaders: ``tao_model`` makes TAO's weight loader strip the plan's prefix, and
    Lightning's ``load_from_checkpoint`` finds the keys under which its own checkpoints hold the state.
    It holds no ``hyper_parameters``, so it loads with ``weights_only=True``.
    """
    return {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": lightning,
        "state_dict": OrderedDict((plan["key_prefix"] + name, tensor) for name, tensor in state.items()),
        "tao_model": plan["tao_model"],
    }


def save(content: dict[str, Any], path: Path) -> None:
    """Write *content* to *path*, whole or not at all; equal content gives equal bytes.

    ``torch.save`` puts the name of the file that it opens into the archive, so it is given an open one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name, so that the remains of a killed run are overwritten by the next.
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as handle:
            torch.save(content, handle)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the digest of a file, 64 hex digits."""
    running = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(2**20):
            running.update(block)
    return running.hexdigest()


def lightning_version() -> str:
    """Return the version of Lightning that will read the checkpoint.

    Lightning migrates checkpoints of older versions when it loads them; ours must not look old.
    """
    for name in ("pytorch-lightning", "lightning"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "2.0.0"
