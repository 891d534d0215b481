"""Files of many tensors that are written as a stream: PyTorch's own format, and safetensors.

``torch.save`` wants all tensors at once. Its format is a zip archive of uncompressed entries: a pickle
that describes the tensors, and one entry of raw bytes for each, which a stream can fill.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from porter.weights.kernel.files import DTYPES, SPELLING

Layout = dict[str, tuple[str, tuple[int, ...]]]
"""Dtype (safetensors spelling) and shape by tensor name."""

ALIGNMENT = 64
"""Bytes; at multiples of it ``torch.save`` lets the data of a tensor begin."""

_STORAGES = {
    "F64": torch.DoubleStorage,
    "F32": torch.FloatStorage,
    "F16": torch.HalfStorage,
    "BF16": torch.BFloat16Storage,
    "I64": torch.LongStorage,
    "I32": torch.IntStorage,
    "I16": torch.ShortStorage,
    "I8": torch.CharStorage,
    "U8": torch.ByteStorage,
    "BOOL": torch.BoolStorage,
}
_PAST = (1980, 1, 1, 0, 0, 0)
_ROOT = "archive"


def size_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the bytes of a tensor."""
    width: int = DTYPES[dtype].itemsize
    return math.prod(shape) * width


def bytes_of(chunk: torch.Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor, without a copy."""
    return memoryview(chunk.detach().reshape(-1).view(torch.uint8).numpy())


class TorchArchive:
    """A file that ``torch.load(weights_only=True)`` reads; equal content gives equal bytes.

    Args:
        handle: an empty file, open for writing.
        content: what to save; its ``state_dict`` is made of *layout*, whose tensors follow in their order
            through :meth:`begin` and :meth:`write`.
        layout: the tensors, by their names in the state dict.
    """

    def __init__(self, handle: IO[bytes], content: Mapping[str, Any], layout: Layout) -> None:
        self._zip = zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._handle = handle
        self._count = 0
        self._entry: IO[bytes] | None = None
        stored = OrderedDict((name, _Tensor(str(key), *layout[name])) for key, name in enumerate(layout))
        text = io.BytesIO()
        _Pickler(text, protocol=2).dump({**content, "state_dict": stored})
        self._put("data.pkl", text.getvalue())
        self._put("byteorder", sys.byteorder.encode())

    def begin(self) -> None:
        """Begin the next tensor."""
        self.end()
        self._entry = self._open(f"data/{self._count}")
        self._count += 1

    def write(self, data: memoryview) -> None:
        """Add bytes to the tensor."""
        assert self._entry
        self._entry.write(data)

    def end(self) -> None:
        """End the tensor that was begun."""
        if self._entry is not None:
            self._entry.close()
            self._entry = None

    def __enter__(self) -> TorchArchive:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the archive, or give it up after an error; the handle stays open."""
        if kind is not None:
            self._zip.fp = None  # so that nobody completes it later
            return
        self.end()
        self._put("version", b"3\n")
        self._zip.close()

    def _put(self, name: str, data: bytes) -> None:
        with self._open(name) as entry:
            entry.write(data)

    def _open(self, name: str) -> IO[bytes]:
        info = zipfile.ZipInfo(f"{_ROOT}/{name}", _PAST)
        # The local header has 30 bytes, the name, this padding and 20 bytes for sizes over 4 GB.
        begin = self._handle.tell() + 30 + len(info.filename) + 4 + 20
        padding = -begin % ALIGNMENT
        info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
        return self._zip.open(info, "w", force_zip64=True)


class SafetensorsArchive:
    """A safetensors file; the tensors follow in the order of *layout*."""

    def __init__(self, handle: IO[bytes], layout: Layout) -> None:
        self._handle = handle
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for name, (dtype, shape) in layout.items():
            size = size_of(dtype, shape)
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
            offset += size
        text = json.dumps(header, separators=(",", ":")).encode("utf-8")
        text += b" " * (-len(text) % 8)
        handle.write(len(text).to_bytes(8, "little"))
        handle.write(text)

    def write(self, data: memoryview) -> None:
        """Add bytes to the tensors."""
        self._handle.write(data)


def write_safetensors(path: Path, tensors: Iterable[tuple[str, torch.Tensor]], layout: Layout) -> None:
    """Write *tensors*, one at a time, in the order of *layout*.

    Raises:
        ValueError: a tensor is not what the layout says.
    """
    with path.open("wb") as handle:
        archive = SafetensorsArchive(handle, layout)
        for (name, tensor), (wanted, (dtype, shape)) in zip(tensors, layout.items(), strict=True):
            if name != wanted or SPELLING[tensor.dtype] != dtype or tuple(tensor.shape) != tuple(shape):
                raise ValueError(f"{name} is not the {wanted} of the layout")
            archive.write(bytes_of(tensor.contiguous()))
        handle.flush()
        os.fsync(handle.fileno())


class _Storage:
    def __init__(self, key: str, dtype: str, count: int) -> None:
        self.key = key
        self.dtype = dtype
        self.count = count


class _Tensor:
    """Pickles as a tensor whose bytes lie in the archive."""

    def __init__(self, key: str, dtype: str, shape: tuple[int, ...]) -> None:
        count = size_of(dtype, shape) // DTYPES[dtype].itemsize
        self._storage = _Storage(key, dtype, count)
        self._shape = tuple(shape)

    def __reduce__(self) -> tuple[Any, ...]:
        stride, step = [], 1
        for each in reversed(self._shape):
            stride.append(step)
            step *= max(each, 1)
        layout = (0, self._shape, tuple(stride[::-1]))
        return torch._utils._rebuild_tensor_v2, (self._storage, *layout, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            return ("storage", _STORAGES[obj.dtype], obj.key, "cpu", obj.count)
        return None
