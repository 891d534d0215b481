"""The rules of SegFormer on the tables of a tiny one: everything is placed, and leads back."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from porter.records.inspection import TensorInfo
from porter.records.sandbox import Environment
from porter.records.weights import Operation, WeightPlan
from porter.weights.invert import invert
from porter.weights.ledger import audit, open_reasons
from porter.weights.plan import plan_weights
from porter.weights.remap import inert_reason, load_rules
from tests.weights.tables import without

RULES = load_rules("segformer")
WIDTHS, DEPTHS, REDUCTIONS = (4, 8, 12, 16), (1, 2, 1, 1), (4, 2, 2, 1)
DECODER, LABELS, RATIO = 8, 3, 2
Table = tuple[TensorInfo, ...]
Shapes = dict[str, tuple[int, ...]]

_REAL = f"""
import json
from transformers import SegformerConfig, SegformerForSemanticSegmentation
config = SegformerConfig(
    hidden_sizes={list(WIDTHS)}, depths={list(DEPTHS)}, sr_ratios={list(REDUCTIONS)}, num_labels={LABELS},
    num_attention_heads=[1, 2, 3, 4], mlp_ratios={[RATIO] * 4}, decoder_hidden_size={DECODER},
)
state = SegformerForSemanticSegmentation(config).state_dict()
print(json.dumps({{name: list(tensor.shape) for name, tensor in state.items()}}))
"""


def affine(name: str, *shape: int) -> Shapes:
    """Return weight and bias of a layer whose weight has *shape*."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def statistics(name: str) -> Shapes:
    kept: Shapes = {f"{name}.running_{what}": (DECODER,) for what in ("mean", "var")}
    return {**affine(name, DECODER), **kept, f"{name}.num_batches_tracked": ()}


def table(shapes: Shapes, file: str = "") -> Table:
    return tuple(
        TensorInfo(name=name, shape=shape, dtype="I64" if "tracked" in name else "F32", file=file)
        for name, shape in shapes.items()
    )


def source_table(*, labels: int = LABELS, reductions: tuple[int, ...] = REDUCTIONS) -> Table:
    """Return what transformers calls the tensors."""
    shapes: Shapes = {}
    encoder = "segformer.encoder"
    for stage, (width, depth, reduction) in enumerate(zip(WIDTHS, DEPTHS, reductions, strict=True)):
        before, kernel = (3, *WIDTHS)[stage], 3 if stage else 7
        shapes |= affine(f"{encoder}.patch_embeddings.{stage}.proj", width, before, kernel, kernel)
        shapes |= affine(f"{encoder}.patch_embeddings.{stage}.layer_norm", width)
        for block in range(depth):
            here = f"{encoder}.block.{stage}.{block}"
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                shapes |= affine(f"{here}.attention.{part}", width, width)
            if reduction > 1:
                shapes |= affine(f"{here}.attention.self.sr", width, width, reduction, reduction)
                shapes |= affine(f"{here}.attention.self.layer_norm", width)
            shapes |= affine(f"{here}.layer_norm_1", width) | affine(f"{here}.layer_norm_2", width)
            shapes |= affine(f"{here}.mlp.dense1", RATIO * width, width)
            shapes |= affine(f"{here}.mlp.dwconv.dwconv", RATIO * width, 1, 3, 3)
            shapes |= affine(f"{here}.mlp.dense2", width, RATIO * width)
        shapes |= affine(f"{encoder}.layer_norm.{stage}", width)
        shapes |= affine(f"decode_head.linear_c.{stage}.proj", DECODER, width)
    shapes["decode_head.linear_fuse.weight"] = (DECODER, 4 * DECODER, 1, 1)
    shapes |= statistics("decode_head.batch_norm")
    shapes |= affine("decode_head.classifier", labels, DECODER, 1, 1)
    return table(shapes, "model.safetensors")


def target_table(*, labels: int = LABELS, reductions: tuple[int, ...] = REDUCTIONS) -> Table:
    """Return what the generated network calls them."""
    shapes: Shapes = {}
    for stage, (width, depth, reduction) in enumerate(zip(WIDTHS, DEPTHS, reductions, strict=True), 1):
        before, kernel = (3, *WIDTHS)[stage - 1], 3 if stage > 1 else 7
        shapes |= affine(f"backbone.patch_embed{stage}.proj", width, before, kernel, kernel)
        shapes |= affine(f"backbone.patch_embed{stage}.norm", width)
        for block in range(depth):
            here = f"backbone.block{stage}.{block}"
            shapes |= affine(f"{here}.norm1", width) | affine(f"{here}.norm2", width)
            shapes |= affine(f"{here}.attn.q", width, width) | affine(f"{here}.attn.kv", 2 * width, width)
            shapes |= affine(f"{here}.attn.proj", width, width)
            if reduction > 1:
                shapes |= affine(f"{here}.attn.sr", width, width, reduction, reduction)
                shapes |= affine(f"{here}.attn.norm", width)
            shapes |= affine(f"{here}.mlp.fc1", RATIO * width, width)
            shapes |= affine(f"{here}.mlp.dwconv.dwconv", RATIO * width, 1, 3, 3)
            shapes |= affine(f"{here}.mlp.fc2", width, RATIO * width)
        shapes |= affine(f"backbone.norm{stage}", width)
        shapes |= affine(f"decoder.linear_c{stage}.proj", DECODER, width)
    shapes |= affine("decoder.linear_fuse.0", DECODER, 4 * DECODER, 1, 1)
    shapes |= statistics("decoder.linear_fuse.1")
    shapes |= affine("decoder.linear_pred", labels, DECODER, 1, 1)
    return table(shapes)


SOURCE, TARGET = source_table(), target_table()


def plan(source: Table = SOURCE, target: Table = TARGET, labels: int = LABELS) -> WeightPlan:
    return plan_weights(source, target, RULES, num_labels=labels)


def operation(made: WeightPlan, target: str) -> Operation:
    (found,) = [each for each in made.operations if each.target.name == target]
    return found


@pytest.mark.torch_env
def test_transformers_calls_them_so(tao_environment: Environment, tmp_path: Path) -> None:
    done = subprocess.run(
        [tao_environment.python, "-W", "ignore", "-c", _REAL],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {each.name: list(each.shape) for each in SOURCE}


@pytest.mark.parametrize("reductions", [REDUCTIONS, (1, 1, 1, 1), (8, 4, 2, 2)])
def test_a_whole_segformer_closes_the_ledger(reductions: tuple[int, ...]) -> None:
    source, target = source_table(reductions=reductions), target_table(reductions=reductions)
    made = plan(source, target)
    assert open_reasons(made.ledger) == ()
    assert audit(made, source, target) == ()
    fates = Counter(row.fate for row in made.ledger.rows)
    assert set(fates) == {"renamed", "fused", "initialised"}
    assert (fates["fused"], fates["initialised"]) == (2 * sum(DEPTHS), 1)
    assert made.head == "copied"
    assert (made.source_head, made.target_head) == ("decode_head.classifier", "decoder.linear_pred")


def test_stages_count_from_one_in_tao_and_blocks_from_zero() -> None:
    made = plan()
    pairs = {each.target.name: [part.name for part in each.sources] for each in made.operations}
    assert pairs["backbone.block2.1.attn.q.weight"] == [
        "segformer.encoder.block.1.1.attention.self.query.weight"
    ]
    assert pairs["backbone.patch_embed4.norm.bias"] == [
        "segformer.encoder.patch_embeddings.3.layer_norm.bias"
    ]
    assert pairs["backbone.norm1.weight"] == ["segformer.encoder.layer_norm.0.weight"]
    assert pairs["decoder.linear_c3.proj.bias"] == ["decode_head.linear_c.2.proj.bias"]
    assert pairs["decoder.linear_fuse.1.running_var"] == ["decode_head.batch_norm.running_var"]
    # The norm behind the reduction and the two around it are three of a kind.
    assert pairs["backbone.block1.0.attn.norm.weight"] == [
        "segformer.encoder.block.0.0.attention.self.layer_norm.weight"
    ]
    assert pairs["backbone.block1.0.norm2.weight"] == ["segformer.encoder.block.0.0.layer_norm_2.weight"]


@pytest.mark.parametrize("leaf", ["weight", "bias"])
def test_keys_come_before_values(leaf: str) -> None:
    fused = operation(plan(), f"backbone.block3.0.attn.kv.{leaf}")
    assert (fused.op, fused.axis) == ("concat", 0)
    here = "segformer.encoder.block.2.0.attention.self"
    assert [each.name for each in fused.sources] == [f"{here}.key.{leaf}", f"{here}.value.{leaf}"]


def test_the_bias_that_transformers_lacks_is_zero() -> None:
    made = plan()
    assert operation(made, "decoder.linear_fuse.0.bias").op == "zeros"
    (row,) = [row for row in made.ledger.rows if row.fate == "initialised"]
    assert row.targets == ("decoder.linear_fuse.0.bias",)
    assert row.sources == ()


def test_a_bias_that_is_there_is_taken() -> None:
    bias = TensorInfo(name="decode_head.linear_fuse.bias", shape=(DECODER,), dtype="F32", file="m")
    made = plan((*SOURCE, bias))
    assert audit(made, (*SOURCE, bias), TARGET) == ()
    assert operation(made, "decoder.linear_fuse.0.bias").sources == (bias,)


def test_everything_leads_back() -> None:
    back = invert(plan(), "t.safetensors")
    assert back.lost == ()
    assert {each.target.name: each.target.shape for each in back.operations} == {
        each.name: each.shape for each in SOURCE
    }
    steps = {each.target.name: each for each in back.operations}
    here = "segformer.encoder.block.1.0.attention.self"
    cut = [steps[f"{here}.{part}.weight"] for part in ("key", "value")]
    assert [(each.op, each.start, each.stop) for each in cut] == [("slice", 0, 8), ("slice", 8, 16)]


def test_every_source_tensor_that_is_missing_is_named() -> None:
    for gone in SOURCE:
        made = plan(without(SOURCE, gone.name))
        reasons = open_reasons(made.ledger)
        assert any(gone.name in reason for reason in reasons), gone.name


def test_every_target_tensor_that_is_missing_leaves_its_source_over() -> None:
    for gone in TARGET:
        if gone.name == "decoder.linear_fuse.0.bias":
            # A decoder without it is as transformers has it.
            assert open_reasons(plan(SOURCE, without(TARGET, gone.name)).ledger) == ()
            continue
        made = plan(SOURCE, without(TARGET, gone.name))
        assert any(gone.name in reason for reason in open_reasons(made.ledger)), gone.name


@pytest.mark.parametrize(
    ("side", "name"),
    [
        ("source", "segformer.encoder.block.0.7.attention.self.query.weight"),
        ("source", "decode_head.extra.weight"),
        ("source", "segformer.classifier.weight"),
        ("target", "backbone.head.weight"),
        ("target", "backbone.block1.0.attn.kv.scale"),
        ("target", "decoder.linear_pred.scale"),
    ],
)
def test_what_no_rule_knows_is_left_over(side: str, name: str) -> None:
    extra = (TensorInfo(name=name, shape=(4,), dtype="F32"),)
    source, target = (SOURCE + extra, TARGET) if side == "source" else (SOURCE, TARGET + extra)
    made = plan(source, target)
    assert any(name in reason for reason in open_reasons(made.ledger))
    assert audit(made, source, target)


def test_shapes_that_do_not_fit_are_named() -> None:
    changed = tuple(
        msgspec.structs.replace(each, shape=(8, 33, 1, 1)) if "linear_fuse.weight" in each.name else each
        for each in SOURCE
    )
    (reason,) = open_reasons(plan(changed).ledger)
    assert "decode_head.linear_fuse.weight" in reason


def test_another_number_of_classes_begins_the_last_layer_anew() -> None:
    target = target_table(labels=7)
    made = plan(SOURCE, target, labels=7)
    assert audit(made, SOURCE, target) == ()
    assert made.head == "re-initialised"
    steps = [operation(made, f"decoder.linear_pred.{leaf}") for leaf in ("weight", "bias")]
    assert [(each.op, each.std) for each in steps] == [("initialise", 0.02), ("zeros", 0.0)]
    lost = {"decode_head.classifier.weight", "decode_head.classifier.bias"}
    assert set(invert(made).lost_names) == lost


def test_only_the_biases_of_keys_may_be_inert() -> None:
    names = [each.name for each in SOURCE]
    inert = {name for name in names if inert_reason(RULES, name, names)}
    assert inert == {name for name in names if name.endswith("attention.self.key.bias")}
    assert len(inert) == sum(DEPTHS)
