from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from porter import safetensors
from porter.errors import ModelRejectedError
from porter.records.inspection import TensorInfo
from tests.safetensors_files import build, entries, raw

GOOD = {"b": ("F32", (2, 3)), "a": ("BF16", (4,)), "empty": ("F32", (0, 5)), "scalar": ("I64", ())}


def reading(tmp_path: Path, data: bytes) -> ModelRejectedError:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelRejectedError) as caught:
        safetensors.read_folder(tmp_path)
    return caught.value


def test_table_is_sorted_and_holds_name_shape_dtype_and_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(build(GOOD))
    assert safetensors.read_folder(tmp_path) == (
        TensorInfo(name="a", shape=(4,), dtype="BF16", file="model.safetensors"),
        TensorInfo(name="b", shape=(2, 3), dtype="F32", file="model.safetensors"),
        TensorInfo(name="empty", shape=(0, 5), dtype="F32", file="model.safetensors"),
        TensorInfo(name="scalar", shape=(), dtype="I64", file="model.safetensors"),
    )


def test_metadata_and_padding_are_accepted(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries({"a": ("F32", (1,))})}).encode() + b"   "
    (tmp_path / "model.safetensors").write_bytes(raw(header, bytes(4)))
    assert [t.name for t in safetensors.read_folder(tmp_path)] == ["a"]


def one(**changes: Any) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
    return raw(json.dumps({"a": entry}).encode(), bytes(8))


TWO = entries({"a": ("F32", (2,)), "b": ("F32", (2,))})
BROKEN = {
    "empty file": (b"", "0 bytes"),
    "cut in the length": (b"\x08\x00\x00", "3 bytes"),
    "header longer than the file": (raw(b"{}", length=1000), "claims 1000 bytes"),
    "header beyond the bound": (raw(b"{}", length=2**40), "25000000"),
    "not JSON": (raw(b"{nope"), "not JSON"),
    "not an object": (raw(b"[1]"), "brace"),
    "not UTF-8": (raw(b'{"\xff": 1}'), "not JSON"),
    "lone surrogate": (raw(b'{"\\ud800": {}}'), "Unicode"),
    "deep nesting": (raw(b'{"a":' * 100_000), "not JSON"),
    "metadata of numbers": (raw(b'{"__metadata__": {"a": 1}}'), "__metadata__"),
    "name twice": (raw(b'{"a": {}, "a": {}}'), "twice"),
    "unknown dtype": (one(dtype="Q4_K"), "Q4_K"),
    "dtype of a wrong type": (one(dtype=["F32"]), "dtype"),
    "extra key": (one(extra=1), "exactly"),
    "negative size": (one(shape=[-2]), "shape"),
    "boolean size": (one(shape=[True, 2]), "shape"),
    "too many dimensions": (one(shape=[1] * 33 + [2]), "shape"),
    "shape and offsets disagree": (one(shape=[3]), "needs 12 bytes"),
    "offsets backwards": (one(data_offsets=[8, 0]), "has -8"),
    "three offsets": (one(data_offsets=[0, 4, 8]), "offsets"),
    "overlap": (raw(json.dumps({**TWO, "c": TWO["a"]}).encode(), bytes(16)), "overlaps"),
    "hole": (raw(json.dumps({"b": TWO["b"]}).encode(), bytes(16)), "belong to no tensor"),
    "data cut off": (build({"a": ("F32", (4,))})[:-1], "cut off"),
    "data goes on": (build({"a": ("F32", (4,))}) + b"x", "goes on"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_is_rejected_by_name_with_the_fact(tmp_path: Path, case: str) -> None:
    data, fact = BROKEN[case]
    error = reading(tmp_path, data)
    assert "model.safetensors" in error.what
    assert fact in error.why
    assert error.next_step


def sharded(folder: Path, index: Any, shards: dict[str, bytes]) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name, data in shards.items():
        (folder / name).write_bytes(data)


A, B = build({"a": ("F32", (1,))}), build({"b": ("F32", (1,))})
ONE, OTHER = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = {"weight_map": {"a": ONE, "b": OTHER}}


def test_shards_are_joined(tmp_path: Path) -> None:
    sharded(tmp_path, INDEX, {ONE: A, OTHER: B})
    assert [(t.name, t.file) for t in safetensors.read_folder(tmp_path)] == [("a", ONE), ("b", OTHER)]


def test_single_file_goes_before_an_index(tmp_path: Path) -> None:
    sharded(tmp_path, INDEX, {})
    (tmp_path / "model.safetensors").write_bytes(build(GOOD))
    assert len(safetensors.read_folder(tmp_path)) == 4


@pytest.mark.parametrize(
    ("index", "shards", "fact"),
    [
        (INDEX, {ONE: A}, OTHER),
        (INDEX, {ONE: A, OTHER: A}, "'a' is in"),
        (INDEX, {ONE: A, OTHER: build({"c": ("F32", (1,))})}, "'b'"),
        (INDEX, {ONE: A, OTHER: build({"b": ("F32", (1,)), "c": ("F32", (1,))})}, "does not list 'c'"),
        ({"weight_map": {"a": "../" + ONE}}, {}, "../"),
        ({"weight_map": {"a": "model.bin"}}, {}, "model.bin"),
        ({"weight_map": {}}, {}, "no weight_map"),
        ([], {}, "no weight_map"),
    ],
)
def test_index_is_held_against_its_shards(
    tmp_path: Path, index: Any, shards: dict[str, bytes], fact: str
) -> None:
    sharded(tmp_path, index, shards)
    with pytest.raises(ModelRejectedError) as caught:
        safetensors.read_folder(tmp_path)
    assert fact in str(caught.value)


def test_folder_without_weights_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match="no safetensors weights"):
        safetensors.read_folder(tmp_path)
