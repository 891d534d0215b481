"""Safetensors files for tests, written byte by byte so that they can be wrong in one place."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1, "BOOL": 1}


def entries(tensors: Mapping[str, tuple[str, Sequence[int]]]) -> dict[str, Any]:
    """Return the header entries of *tensors* (dtype and shape by name), laid out one after another."""
    header: dict[str, Any] = {}
    position = 0
    for name, (dtype, shape) in tensors.items():
        size = math.prod(shape) * WIDTHS[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    return header


def raw(header: bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a file of *header* and *data*; *length* lies about the header's length."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def build(tensors: Mapping[str, tuple[str, Sequence[int]]]) -> bytes:
    """Return a valid file of zeros."""
    size = sum(math.prod(shape) * WIDTHS[dtype] for dtype, shape in tensors.values())
    return raw(json.dumps(entries(tensors)).encode(), bytes(size))
