"""The operations of a weight plan, carried out without copies where a view of the file will do."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from porter.weights.kernel.files import DTYPES, ModelFolder

Operation = dict[str, Any]
"""A ``porter.records.weights.Operation`` as plain JSON."""


class Scratch:
    """File-backed memory for results that are no views of the source.

    The files are unlinked as soon as they are mapped: the kernel may write the pages back under
    pressure, they never count as anonymous memory, and nothing is left behind.

    Attributes:
        bytes: handed out so far.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bytes = 0

    def empty(self, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
        """Return an uninitialised tensor of its own storage."""
        count = 1
        for each in shape:
            count *= each
        if count == 0:
            return torch.empty(shape, dtype=dtype)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f".scratch-{os.getpid()}-{self.bytes}"
        flat = torch.from_file(str(path), shared=True, size=count, dtype=dtype)
        path.unlink()
        self.bytes += count * dtype.itemsize
        return flat.reshape(shape)


class Anonymous:
    """Ordinary memory in place of :class:`Scratch`, for comparing single tensors."""

    def empty(self, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
        """Return an uninitialised tensor."""
        return torch.empty(shape, dtype=dtype)


def execute(operation: Operation, source: ModelFolder, scratch: Scratch | Anonymous) -> torch.Tensor:
    """Return the target tensor that *operation* makes.

    Raises:
        ValueError: the operation does not fit the tensors; the planner should not have made it.
    """
    target = operation["target"]
    shape, dtype = list(target["shape"]), DTYPES[target["dtype"]]
    parts = [source.tensor(each["file"], each["name"]) for each in operation["sources"]]
    kind = operation["op"]
    if kind in {"copy", "reshape"} and parts[0].dtype == dtype:
        result = parts[0].reshape(shape)
    else:
        result = scratch.empty(shape, dtype)
        _fill(result, kind, parts, operation)
    if list(result.shape) != shape or (kind == "copy" and list(parts[0].shape) != shape):
        raise ValueError(f"{kind} does not make {target['name']} of shape {shape}")
    return result


def execute_all(
    operations: list[Operation], source: ModelFolder, scratch: Scratch | Anonymous
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each target's name and tensor."""
    for operation in operations:
        yield operation["target"]["name"], execute(operation, source, scratch)


def source_parts(operation: Operation) -> Iterator[tuple[str, int, int]]:
    """Yield, for each source that lands unchanged in the target, its name, start and stop along the axis.

    A cut or resampled source has no place of its own in the target.
    """
    axis = operation["axis"]
    if operation["op"] in {"copy", "reshape", "permute"}:
        shape = operation["target"]["shape"]
        yield operation["sources"][0]["name"], 0, shape[0] if shape else 1
    elif operation["op"] == "concat":
        for each, start in zip(operation["sources"], _starts(operation), strict=True):
            yield each["name"], start, start + each["shape"][axis]


def seed_of(*words: object) -> int:
    """Return a seed that depends on nothing but *words*."""
    text = "\0".join(str(word) for word in words)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") % 2**63


def _fill(result: torch.Tensor, kind: str, parts: list[torch.Tensor], operation: Operation) -> None:
    axis = operation["axis"]
    with torch.no_grad():
        if kind == "copy" or kind == "reshape":
            result.copy_(parts[0].reshape(result.shape))
        elif kind == "concat":
            total = sum(part.shape[axis] for part in parts)
            if operation["starts"]:
                result.zero_()
            elif total != result.shape[axis]:
                raise ValueError(f"the parts make {total} of {result.shape[axis]} along axis {axis}")
            for part, start in zip(parts, _starts(operation), strict=True):
                result.narrow(axis, start, part.shape[axis]).copy_(part)
        elif kind == "permute":
            result.copy_(parts[0].permute(operation["axes"]))
        elif kind == "slice":
            start, stop = operation["start"], operation["stop"]
            result.copy_(parts[0].narrow(axis, start, stop - start))
        elif kind == "select":
            size = result.shape[axis] // len(operation["index"])
            for place, index in enumerate(operation["index"]):
                result.narrow(axis, place * size, size).copy_(parts[0].narrow(axis, index * size, size))
        elif kind == "interpolate":
            result.copy_(_interpolate(parts[0], operation).reshape(result.shape))
        elif kind == "zeros":
            result.zero_()
        elif kind == "ones":
            result.fill_(1)
        elif kind == "initialise":
            generator = torch.Generator().manual_seed(seed_of("initialise", operation["target"]["name"]))
            std = operation["std"]
            torch.nn.init.trunc_normal_(result, std=std, a=-2 * std, b=2 * std, generator=generator)
        else:
            raise ValueError(f"unknown operation {kind}")


def _starts(operation: Operation) -> list[int]:
    """Return where each source of a ``concat`` begins along the axis."""
    if operation["starts"]:
        return list(operation["starts"])
    sizes = [each["shape"][operation["axis"]] for each in operation["sources"]]
    return [0, *itertools.accumulate(sizes[:-1])]


def _interpolate(position: torch.Tensor, operation: Operation) -> torch.Tensor:
    prefix = operation["prefix"]
    rows, columns = operation["source_grid"]
    width = position.shape[-1]
    position = position.reshape(1, -1, width)
    patches = position[:, prefix:].float().reshape(1, rows, columns, width).permute(0, 3, 1, 2)
    patches = torch.nn.functional.interpolate(
        patches,
        size=tuple(operation["target_grid"]),
        mode="bicubic",
        align_corners=False,
        antialias=operation["antialias"],
    )
    patches = patches.permute(0, 2, 3, 1).reshape(1, -1, width)
    return torch.cat([position[:, :prefix].float(), patches], dim=1)
