"""The operations of a weight plan, carried out as a stream: no target tensor is ever held whole.

A target is made of chunks: parts of the mapped source file where they will do as they are, else
pieces of at most :data:`CHUNK` bytes that are copied, widened or put into another order.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from porter.weights.kernel.files import DTYPES, ModelFolder

CHUNK = 2**18
"""Bytes of a piece that has to be made; small, as it is all that a conversion needs of memory."""

Operation = dict[str, Any]
"""A ``porter.records.weights.Operation`` as plain JSON."""


def chunks(operation: Operation, source: ModelFolder) -> Iterator[torch.Tensor]:
    """Yield one-dimensional tensors that are, one after the other, the elements of the target.

    Raises:
        ValueError: the operation does not fit the tensors; the planner should not have made it.
    """
    target = operation["target"]
    shape, dtype = list(target["shape"]), DTYPES[target["dtype"]]
    views, axis = _views(operation, source)
    made = list(views[0].shape)
    if len(views) > 1:
        made[axis] = sum(view.shape[axis] for view in views)
    same = math.prod(made) == math.prod(shape) if operation["op"] in _RESHAPING else made == shape
    if not same:
        raise ValueError(f"{operation['op']} does not make {target['name']} of shape {shape}")
    yield from _stream(views, axis, dtype)


def execute(operation: Operation, source: ModelFolder) -> torch.Tensor:
    """Return the target tensor that *operation* makes; it may be a view of the mapped file."""
    target = operation["target"]
    dtype = DTYPES[target["dtype"]]
    parts = list(chunks(operation, source))
    flat = parts[0] if len(parts) == 1 else torch.cat(parts) if parts else torch.empty(0, dtype=dtype)
    return flat.reshape(target["shape"])


def execute_all(operations: Iterable[Operation], source: ModelFolder) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each target's name and tensor."""
    for operation in operations:
        yield operation["target"]["name"], execute(operation, source)


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


_RESHAPING = {"reshape", "interpolate"}


def _views(operation: Operation, source: ModelFolder) -> tuple[list[torch.Tensor], int]:
    """Return what the target consists of along an axis, and the axis; nothing large is computed yet."""
    kind, axis = operation["op"], operation["axis"]
    parts = [source.tensor(each["file"], each["name"]) for each in operation["sources"]]
    if kind in {"copy", "reshape"}:
        return parts, 0
    if kind == "permute":
        return [parts[0].permute(operation["axes"])], 0
    if kind == "slice":
        start, stop = operation["start"], operation["stop"]
        return [parts[0].narrow(axis, start, stop - start)], 0
    if kind == "select":
        order = operation["index"]
        size = parts[0].shape[axis] // len(order)
        return [parts[0].narrow(axis, place * size, size) for place in order], axis
    if kind == "concat":
        return _with_gaps(operation, parts), axis
    if kind == "interpolate":
        return [_interpolate(parts[0], operation)], 0
    shape, dtype = operation["target"]["shape"], DTYPES[operation["target"]["dtype"]]
    if kind in {"zeros", "ones"}:
        return [torch.full((), kind == "ones", dtype=dtype).expand(shape)], 0
    if kind == "initialise":
        result = torch.empty(shape, dtype=dtype)
        generator = torch.Generator().manual_seed(seed_of("initialise", operation["target"]["name"]))
        std = operation["std"]
        with torch.no_grad():
            torch.nn.init.trunc_normal_(result, std=std, a=-2 * std, b=2 * std, generator=generator)
        return [result], 0
    raise ValueError(f"unknown operation {kind}")


def _starts(operation: Operation) -> list[int]:
    """Return where each source of a ``concat`` begins along the axis."""
    if operation["starts"]:
        return list(operation["starts"])
    sizes = [each["shape"][operation["axis"]] for each in operation["sources"]]
    return [0, *itertools.accumulate(sizes[:-1])]


def _with_gaps(operation: Operation, parts: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the parts of a ``concat``, with zeros where none of them lies."""
    axis, shape = operation["axis"], operation["target"]["shape"]
    views: list[torch.Tensor] = []
    end = 0

    def gap(size: int) -> torch.Tensor:
        room = [size if place == axis else each for place, each in enumerate(shape)]
        return torch.zeros((), dtype=parts[0].dtype).expand(room)

    for part, start in zip(parts, _starts(operation), strict=True):
        if start < end:
            raise ValueError(f"two parts of {operation['target']['name']} overlap")
        views += [gap(start - end)] if start > end else []
        views.append(part)
        end = start + part.shape[axis]
    if operation["starts"] and end < shape[axis]:
        views.append(gap(shape[axis] - end))
    return views


def _stream(views: list[torch.Tensor], axis: int, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    """Yield the elements of *views*, joined along *axis*, as *dtype*."""
    if len(views) == 1 or axis == 0:
        for view in views:
            yield from _rows(view, dtype)
        return
    # Row by row of the first axis; the parts of a row lie side by side.
    count = views[0].shape[0]
    size = sum(view[0].numel() for view in views) * dtype.itemsize if count else 0
    step = max(1, CHUNK // max(size, 1))
    for start in range(0, count, step):
        rows = [view[start : start + step].to(dtype) for view in views]
        yield torch.cat(rows, dim=axis).reshape(-1)


def _rows(view: torch.Tensor, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    if view.numel() == 0:
        return
    if view.dtype == dtype and view.is_contiguous() and 0 not in view.stride():
        yield view.reshape(-1)
        return
    count = view.shape[0] if view.dim() else 1
    size = view.numel() // count * dtype.itemsize
    if size > CHUNK and view.dim() > 1:
        for row in view:
            yield from _rows(row, dtype)
        return
    if view.dim() == 0:
        yield _made(view.reshape(1), dtype)
        return
    step = max(1, CHUNK // size)
    for start in range(0, count, step):
        yield _made(view[start : start + step], dtype)


def _made(view: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return view.to(dtype, copy=True, memory_format=torch.contiguous_format).reshape(-1)


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
