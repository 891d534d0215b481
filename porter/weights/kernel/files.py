"""safetensors files, read through a memory map."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

import torch

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""torch's dtype by the safetensors spelling."""

SPELLING = {dtype: name for name, dtype in DTYPES.items()}
"""The safetensors spelling by torch's dtype."""

MAX_HEADER = 100 * 2**20
"""Bytes; what the safetensors library itself accepts."""


class BrokenFileError(Exception):
    """A file is not what its header says."""


class SafetensorsFile:
    """One safetensors file; its tensors are views of the mapped file, so they cost no memory.

    Attributes:
        names: tensor names in the order of the header.

    Raises:
        BrokenFileError: the header or an offset does not fit the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        size = path.stat().st_size
        if size < 8:
            raise BrokenFileError(f"{path.name} is too short for a safetensors file")
        with path.open("rb") as handle:
            # A private map is writable as torch wants it, and nothing that writes reaches the file.
            self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY)
        length = int.from_bytes(self._map[:8], "little")
        if length > min(MAX_HEADER, size - 8):
            raise BrokenFileError(f"{path.name} has a header longer than the file")
        try:
            header: dict[str, Any] = json.loads(self._map[8 : 8 + length].decode("utf-8"))
        except ValueError as error:
            raise BrokenFileError(f"the header of {path.name} is no JSON: {error}") from error
        header.pop("__metadata__", None)
        self._entries = header
        self._start = 8 + length
        self._room = size - self._start
        self.names = tuple(header)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor as a view of the file.

        Raises:
            KeyError: there is none of that name.
            BrokenFileError: its offsets do not fit its shape, or its dtype is unknown.
        """
        entry = self._entries[name]
        dtype = DTYPES.get(entry["dtype"])
        if dtype is None:
            raise BrokenFileError(f"{name} in {self._path.name} has the unknown dtype {entry['dtype']}")
        begin, end = entry["data_offsets"]
        count = 1
        for each in entry["shape"]:
            count *= each
        if not 0 <= begin <= end <= self._room or end - begin != count * dtype.itemsize:
            raise BrokenFileError(f"{name} in {self._path.name} has offsets that do not fit its shape")
        if count == 0:
            return torch.empty(entry["shape"], dtype=dtype)
        offset = self._start + begin
        if offset % dtype.itemsize:
            raw = torch.frombuffer(self._map, dtype=torch.uint8, count=end - begin, offset=offset)
            return raw.clone().view(dtype).reshape(entry["shape"])
        flat = torch.frombuffer(self._map, dtype=dtype, count=count, offset=offset)
        return flat.reshape(entry["shape"])


class ModelFolder:
    """The safetensors files of a model folder, each opened when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, SafetensorsFile] = {}

    def tensor(self, file: str, name: str) -> torch.Tensor:
        """Return tensor *name* of *file* (relative to the folder) as a view of the file.

        Raises:
            BrokenFileError: the file lies outside the folder, or does not hold the tensor.
        """
        if file not in self._files:
            path = self._folder / file
            if not file or Path(file).is_absolute() or ".." in Path(file).parts:
                raise BrokenFileError(f"{file!r} is no file of the model folder")
            self._files[file] = SafetensorsFile(path)
        if name not in self._files[file]:
            raise BrokenFileError(f"{file} does not hold {name}")
        return self._files[file].tensor(name)
