"""Everything that loses nothing leads back; the rest is named."""

from __future__ import annotations

import pytest

from porter.records.inspection import TensorInfo
from porter.records.remap import Fuse, Permute, RemapRules, Rename, Reshape, Select, Split, Transpose
from porter.records.weights import Operation, WeightPlan
from porter.weights.invert import REVERSIBLE, invert
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules
from tests.weights.tables import source_table, target_table


def info(name: str, *shape: int, dtype: str = "F32", file: str = "") -> TensorInfo:
    return TensorInfo(name=name, shape=shape, dtype=dtype, file=file)


def one(source: list[TensorInfo], target: list[TensorInfo], **rules: object) -> dict[str, Operation]:
    """Return the inverse operations by the source tensor that they make."""
    made = plan_weights(source, target, RemapRules(source="a", target="b", **rules))  # type: ignore[arg-type]
    assert made.ledger.leftovers == ()
    return {each.target.name: each for each in invert(made, "t.safetensors").operations}


def test_each_operation_has_its_own_way_back() -> None:
    back = one(
        [info("r", 2, 3), info("t", 2, 3, 4), info("p", 2, 3, 4), info("s", 6), info("k", 2, dtype="BF16")],
        [info("rr", 6), info("tt", 4, 3, 2), info("pp", 4, 2, 3), info("ss", 6), info("k", 2)],
        rename=(Rename(source="k", target="k"),),
        reshape=(Reshape(source="r", target="rr"),),
        transpose=(Transpose(source="t", target="tt", axes=(0, 2)),),
        permute=(Permute(source="p", target="pp", axes=(2, 0, 1)),),
        select=(Select(source="s", target="ss", order=(2, 0, 1)),),
    )
    assert (back["r"].op, back["r"].target.shape, back["r"].sources[0].name) == ("reshape", (2, 3), "rr")
    assert back["t"].axes == (2, 1, 0)
    assert back["p"].axes == (1, 2, 0)
    assert back["s"].index == (1, 2, 0)
    assert (back["k"].op, back["k"].target.dtype, back["k"].sources[0].dtype) == ("copy", "BF16", "F32")
    assert {each.sources[0].file for each in back.values()} == {"t.safetensors"}


def test_what_was_fused_is_cut_and_what_was_cut_is_fused() -> None:
    back = one(
        [info("q", 2, 3), info("v", 2, 3), info("kv", 4, 5)],
        [info("qkv", 6, 3), info("k_", 1, 5), info("v_", 3, 5)],
        fuse=(Fuse(sources=("q", "k", "v"), target="qkv", optional=("k",)),),
        split=(Split(source="kv", targets=("k_", "v_")),),
    )
    assert [(back[name].op, back[name].start, back[name].stop) for name in ("q", "v")] == [
        ("slice", 0, 2),
        ("slice", 4, 6),
    ]
    assert (back["kv"].op, [each.name for each in back["kv"].sources]) == ("concat", ["k_", "v_"])


def vit(**more: object) -> WeightPlan:
    return plan_weights(source_table(), target_table(**more), load_rules("vit"))  # type: ignore[arg-type]


def test_a_whole_vit_leads_back_but_for_what_was_dropped() -> None:
    made = vit()
    back = invert(made)
    assert back.lost_names == ("vit.pooler.dense.bias", "vit.pooler.dense.weight")
    rest = {each.name for each in source_table()} - set(back.lost_names)
    assert {each.target.name for each in back.operations} == rest
    assert {each.name: each.shape for each in source_table() if each.name in rest} == {
        each.target.name: each.target.shape for each in back.operations
    }


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"grid": 6}, {"vit.embeddings.position_embeddings"}),
        ({"labels": 3}, {"classifier.weight", "classifier.bias"}),
    ],
)
def test_what_was_resampled_or_begun_anew_is_lost(changes: dict[str, int], lost: set[str]) -> None:
    back = invert(vit(**changes))
    assert set(back.lost_names) == lost | {"vit.pooler.dense.bias", "vit.pooler.dense.weight"}
    assert {row.fate for row in back.lost}.isdisjoint(REVERSIBLE)
