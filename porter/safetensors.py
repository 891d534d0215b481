"""Reads safetensors headers on the host, with the standard library and without trust.

A header is data from a stranger: every size, offset, name and type is checked before it is
believed, and the tensors themselves are never read.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from porter.errors import ModelRejectedError
from porter.records.base import Record
from porter.records.inspection import TensorInfo

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
MAX_HEADER_BYTES = 25_000_000
"""The bound that the Hub puts on a header, too."""

MAX_DIMENSIONS = 32

BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}
"""Width of one element by dtype; whatever is not here is refused."""


class Entry(Record, frozen=True, kw_only=True):
    """One tensor as a header states it; begin and end are offsets into the data section."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_file(path: Path, *, name: str | None = None) -> tuple[TensorInfo, ...]:
    """Return the tensors of one safetensors file, sorted by name.

    Args:
        path: the file.
        name: what messages and the table call it; the file name by default.

    Raises:
        ModelRejectedError: the file is truncated or breaks the format.
    """
    name = name or path.name
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = header_length(file.read(8), name)
            if 8 + length > size:
                raise _broken(name, f"its header claims {length} bytes, and the file has {size}")
            header = file.read(length)
    except OSError as error:
        raise ModelRejectedError(
            f"{name} cannot be read.",
            why=error.strerror or type(error).__name__,
            next_step=f"check that {path} is a readable file",
        ) from None
    return tensors(parse_header(header, name), name, data_bytes=size - 8 - length)


def header_length(start: bytes, name: str) -> int:
    """Return the header's length in bytes from the first eight bytes of the file *name*.

    Raises:
        ModelRejectedError: there are fewer than eight bytes, or the length is out of bounds.
    """
    if len(start) < 8:
        raise _broken(
            name, f"it has {len(start)} bytes; a safetensors file starts with eight bytes of length"
        )
    (length,) = struct.unpack("<Q", start)
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise _broken(name, f"it claims a header of {length} bytes; 2 to {MAX_HEADER_BYTES} are accepted")
    return int(length)


def parse_header(header: bytes, name: str) -> dict[str, Entry]:
    """Return the entries of a header by tensor name, each checked on its own.

    Raises:
        ModelRejectedError: it is not JSON of the right shape, a name comes twice, a dtype is
            unknown, or a shape and its offsets disagree.
    """
    if not header.startswith(b"{"):
        raise _broken(name, "its header does not start with a brace")
    try:
        raw = json.loads(header.decode("utf-8"), object_pairs_hook=lambda pairs: _unique(pairs, name))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValueError) as error:
        raise _broken(name, f"its header is not JSON: {_short(error)}") from None
    metadata = raw.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _broken(name, "its __metadata__ is not a table of strings")
    return {tensor: _entry(tensor, value, name) for tensor, value in raw.items()}


def tensors(
    entries: Mapping[str, Entry], name: str, *, data_bytes: int | None = None
) -> tuple[TensorInfo, ...]:
    """Return *entries* as tensors of the file *name*, sorted by name.

    Args:
        entries: tensors by name.
        name: the file that they lie in.
        data_bytes: size of the data section; None where only a bound is known elsewhere.

    Raises:
        ModelRejectedError: two tensors overlap, the data has holes, or it ends too early or too late.
    """
    position, before = 0, ""
    for tensor, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin < position:
            raise _broken(name, f"{_quoted(tensor)} overlaps {_quoted(before)}")
        if entry.begin > position:
            raise _broken(
                name, f"{entry.begin - position} bytes before {_quoted(tensor)} belong to no tensor"
            )
        position, before = entry.end, tensor
    if data_bytes is not None and position != data_bytes:
        short = "is cut off" if position > data_bytes else "goes on after its last tensor"
        raise _broken(
            name, f"it {short}: the header describes {position} bytes of data, there are {data_bytes}"
        )
    return tuple(
        TensorInfo(name=tensor, shape=entry.shape, dtype=entry.dtype, file=name)
        for tensor, entry in sorted(entries.items())
    )


def parse_index(text: bytes, name: str = INDEX_FILE, *, ending: str = ".safetensors") -> dict[str, str]:
    """Return the shard of each tensor from the text of an index file.

    Raises:
        ModelRejectedError: it is no index, or it names a shard outside of the model's folder.
    """
    try:
        index = json.loads(text.decode("utf-8"), object_pairs_hook=lambda pairs: _unique(pairs, name))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValueError) as error:
        raise _broken(name, f"it is not JSON: {_short(error)}") from None
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise _broken(name, "it has no weight_map")
    for tensor, shard in shards.items():
        if not isinstance(shard, str) or not shard.endswith(ending) or len(PurePosixPath(shard).parts) != 1:
            raise _broken(
                name, f"{_quoted(tensor)} lies in {shard!r}, which is no {ending} file beside the index"
            )
    return dict(shards)


def join(index: Mapping[str, str], files: Mapping[str, Sequence[TensorInfo]]) -> tuple[TensorInfo, ...]:
    """Return the tensors of a sharded model, sorted by name, after holding the index against its shards.

    Args:
        index: shard by tensor, as the index file has it.
        files: tensors by shard, of every shard that is there.

    Raises:
        ModelRejectedError: a shard is missing, or the index and a shard's header disagree.
    """
    missing = sorted(set(index.values()) - set(files))
    if missing:
        raise ModelRejectedError(
            f"The model is incomplete: {_some(missing)} named by {INDEX_FILE} {_are(missing)} not there.",
            next_step="fetch the missing files, then try again",
        )
    table: dict[str, TensorInfo] = {}
    for shard in sorted(files):
        for tensor in files[shard]:
            if tensor.name in table:
                raise _broken(shard, f"{_quoted(tensor.name)} is in {table[tensor.name].file}, too")
            table[tensor.name] = tensor
    absent = sorted(name for name, shard in index.items() if name not in table or table[name].file != shard)
    if absent:
        raise _broken(INDEX_FILE, f"it places {_some(absent)} in a file that does not have {_it(absent)}")
    unlisted = sorted(set(table) - set(index))
    if unlisted:
        raise _broken(INDEX_FILE, f"it does not list {_some(unlisted)}, which the shards hold")
    return tuple(table[name] for name in sorted(table))


def read_folder(folder: Path) -> tuple[TensorInfo, ...]:
    """Return the tensor table of a model folder, sorted by name.

    ``model.safetensors`` goes before a sharded model, as in transformers.

    Raises:
        ModelRejectedError: there are no safetensors weights, or they are broken.
    """
    if (folder / SINGLE_FILE).exists():
        return read_file(folder / SINGLE_FILE)
    if not (folder / INDEX_FILE).exists():
        raise ModelRejectedError(
            f"{folder} has no safetensors weights.", why=f"neither {SINGLE_FILE} nor {INDEX_FILE} is there"
        )
    if (folder / INDEX_FILE).stat().st_size > MAX_HEADER_BYTES:
        raise _broken(INDEX_FILE, f"it is larger than {MAX_HEADER_BYTES} bytes")
    index = parse_index((folder / INDEX_FILE).read_bytes())
    shards = sorted(set(index.values()))
    return join(index, {name: read_file(folder / name) for name in shards if (folder / name).exists()})


def _entry(tensor: str, value: Any, name: str) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _broken(name, f"{_quoted(tensor)} does not have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _broken(name, f"{_quoted(tensor)} has the dtype {_short(dtype)}, which porter does not know")
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_DIMENSIONS
        or not all(type(n) is int and 0 <= n < 2**63 for n in shape)
    ):
        raise _broken(name, f"{_quoted(tensor)} has the shape {_short(shape)}")
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(type(n) is int and n >= 0 for n in offsets)
    ):
        raise _broken(name, f"{_quoted(tensor)} has the offsets {_short(offsets)}")
    elements = 1
    for size in shape:
        elements *= size
    begin, end = offsets
    if end - begin != elements * BITS[dtype] // 8:
        need = elements * BITS[dtype] // 8
        raise _broken(
            name, f"{_quoted(tensor)} needs {need} bytes for {shape} of {dtype} and has {end - begin}"
        )
    return Entry(dtype=dtype, shape=tuple(shape), begin=begin, end=end)


def _unique(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise _broken(name, f"{_quoted(key)} comes twice")
        try:
            key.encode("utf-8")
        except UnicodeEncodeError:
            raise _broken(name, f"{_quoted(key)} is not valid Unicode") from None
        table[key] = value
    return table


def _broken(name: str, why: str) -> ModelRejectedError:
    return ModelRejectedError(
        f"{name} is not a valid safetensors file."
        if name.endswith(".safetensors")
        else f"{name} is not valid.",
        why=why,
        next_step="fetch the file again, or save the model again with save_pretrained()",
    )


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 120 else text[:117] + "...")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(_quoted(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
