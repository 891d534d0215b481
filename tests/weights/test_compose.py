"""A backbone that holds the model: one prefix for every name, and nothing lost on the way."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from porter.records.inspection import HeadFacts, ModelProbe, TensorInfo
from porter.records.weights import SwapCheck, WeightPlan
from porter.weights.compose import held_rules, wrapped_rules
from porter.weights.ledger import audit, note_inert, open_reasons
from porter.weights.plan import plan_weights

Table = tuple[TensorInfo, ...]
SHAPES: dict[str, tuple[int, ...]] = {
    "resnet.embedder.convolution.weight": (8, 3, 7, 7),
    "resnet.embedder.normalization.bias": (8,),
    "resnet.embedder.normalization.num_batches_tracked": (),
    "resnet.embedder.normalization.running_mean": (8,),
    "resnet.embedder.normalization.running_var": (8,),
    "resnet.embedder.normalization.weight": (8,),
    "classifier.1.bias": (4,),
    "classifier.1.weight": (4, 8),
}


def table(prefix: str = "", **changed: tuple[int, ...]) -> Table:
    """Return the tensors of a small model; *changed* replaces shapes by the last part of the name."""
    return tuple(
        TensorInfo(
            name=prefix + name,
            shape=changed.get(name.rpartition(".")[2], shape) if "classifier" in name else shape,
            dtype="I64" if name.endswith("tracked") else "F32",
            file="" if prefix else "model.safetensors",
        )
        for name, shape in SHAPES.items()
    )


def seen(linear: str = "classifier.1", tied: tuple[tuple[str, ...], ...] = ()) -> ModelProbe:
    head = HeadFacts(
        prefix="classifier",
        tensors=("classifier.1.bias", "classifier.1.weight"),
        separable=True,
        linear=linear,
        in_features=8,
    )
    return ModelProbe(transformers="4.57.6", state=table(), head=head, tied=tied)


def plan(source: Table, target: Table, **more: object) -> WeightPlan:
    made = plan_weights(source, target, held_rules(source, seen()), attention="sdpa", **more)  # type: ignore[arg-type]
    assert Counter(name for row in made.ledger.rows for name in row.sources) == Counter(
        t.name for t in source
    )
    assert Counter(name for row in made.ledger.rows for name in row.targets) == Counter(
        t.name for t in target
    )
    return made


def test_every_tensor_keeps_its_name_behind_the_prefix() -> None:
    source, target = table(), table("hf.")
    made = plan(source, target, num_labels=4)
    assert open_reasons(made.ledger) == ()
    assert audit(made, source, target) == ()
    assert {row.sources: row.targets for row in made.ledger.rows} == {(n,): (f"hf.{n}",) for n in SHAPES}
    assert {row.fate for row in made.ledger.rows} == {"renamed"}
    assert (made.source_head, made.target_head, made.head) == ("classifier.1", "hf.classifier.1", "copied")
    assert (made.exact, made.attention) == (True, "sdpa")


def test_a_plan_of_other_rules_is_not_exact() -> None:
    made = plan_weights(table(), table("hf."), held_rules(table(), seen()))
    assert (made.exact, made.attention) == (False, "eager")


def test_another_number_of_classes_makes_a_new_head() -> None:
    source, target = table(), table("hf.", weight=(7, 8), bias=(7,))
    made = plan(source, target, num_labels=7)
    assert audit(made, source, target) == ()
    assert made.head == "re-initialised"
    fates = Counter(row.fate for row in made.ledger.rows)
    assert fates == {"renamed": 6, "initialised": 2}


def distilled(classes: int = 4, prefix: str = "") -> Table:
    """Return the tensors of a model with a second head."""
    second = {"dist.bias": (classes,), "dist.weight": (classes, 8)}
    more = (
        TensorInfo(name=prefix + name, shape=shape, dtype="F32", file="" if prefix else "model.safetensors")
        for name, shape in second.items()
    )
    first = table(prefix, weight=(classes, 8), bias=(classes,)) if classes != 4 else table(prefix)
    return (*first, *more)


def two_heads() -> ModelProbe:
    probe = seen()
    assert probe.head is not None
    head = msgspec.structs.replace(probe.head, others=("dist",), combined=True)
    return msgspec.structs.replace(probe, head=head, state=distilled())


def test_two_heads_share_one_fate() -> None:
    rules = held_rules(distilled(), two_heads())
    kept = plan_weights(distilled(), distilled(prefix="hf."), rules, num_labels=4)
    assert (kept.head, kept.source_twins, kept.target_twins) == ("copied", ("dist",), ("hf.dist",))
    new = plan_weights(distilled(), distilled(7, "hf."), rules, num_labels=7)
    assert audit(new, distilled(), distilled(7, "hf.")) == ()
    again = {row.targets[0] for row in new.ledger.rows if row.fate == "initialised"}
    assert again == {f"hf.{name}" for name in SHAPES if "classifier" in name} | {
        "hf.dist.bias",
        "hf.dist.weight",
    }
    swapped = plan_weights(distilled(), distilled(prefix="hf."), rules, label_order=(3, 1, 2, 0))
    assert sum(step.op == "select" for step in swapped.operations) == 4


def test_what_the_class_does_not_have_is_dropped_with_the_reason() -> None:
    stale = TensorInfo(name="resnet.position_ids", shape=(1, 5), dtype="I64", file="model.safetensors")
    source, target = (*table(), stale), table("hf.")
    made = plan(source, target)
    assert audit(made, source, target) == ()
    (row,) = [row for row in made.ledger.rows if stale.name in row.sources]
    assert row.fate == "dropped"
    assert "no such tensor" in row.reason


@pytest.mark.parametrize("gone", ["resnet.embedder.normalization.running_var", "classifier.1.weight"])
def test_a_tensor_that_the_files_lack_leaves_the_ledger_open(gone: str) -> None:
    source = tuple(each for each in table() if each.name != gone)
    made = plan_weights(source, table("hf."), held_rules(source, seen()))
    assert any(gone in reason for reason in open_reasons(made.ledger))


def test_a_tied_twin_fills_both_names() -> None:
    first, second = "resnet.embedder.normalization.weight", "resnet.embedder.normalization.bias"
    source = tuple(each for each in table() if each.name != second)
    target = table("hf.")
    made = plan_weights(source, target, held_rules(source, seen()), tied=((first, second),))
    assert audit(made, source, target) == ()
    (row,) = [row for row in made.ledger.rows if first in row.sources]
    assert set(row.targets) == {f"hf.{first}", f"hf.{second}"}


def test_a_swap_that_the_output_does_not_show_is_noted_with_its_effect() -> None:
    made = plan(table(), table("hf."))
    swaps = [
        SwapCheck(
            first="classifier.1.bias", second="resnet.embedder.normalization.bias", relative=0.0, caught=False
        )
    ]
    noted, unexplained = note_inert(made, swaps, held_rules(table(), seen()))
    assert unexplained == ()
    assert {row.sources[0] for row in noted.ledger.rows if row.inert == 0.0} == {
        swaps[0].first,
        swaps[0].second,
    }


def test_a_model_without_a_linear_head_keeps_all_of_its_tensors() -> None:
    assert held_rules(table(), seen()).head is not None
    assert held_rules(table(), seen(linear="")).head is None
    assert held_rules(table(), msgspec.structs.replace(seen(), head=None)).head is None


TIMM = {
    "conv.weight": (8, 3, 3, 3),
    "head.bias": (4,),
    "head.weight": (4, 8),
    "head_dist.bias": (4,),
    "head_dist.weight": (4, 8),
    "norm.weight": (8,),
}


def timm_table(prefix: str = "", rows: int = 4, file: str = "") -> Table:
    return tuple(
        TensorInfo(
            name=prefix + name,
            shape=(rows, *shape[1:]) if name.startswith("head") else shape,
            dtype="F32",
            file=file,
        )
        for name, shape in TIMM.items()
    )


TIMM_SEEN = ModelProbe(
    transformers="4.57.6",
    state=timm_table("timm_model."),
    head=HeadFacts(
        prefix="timm_model.head + timm_model.head_dist",
        tensors=(),
        separable=True,
        linear="timm_model.head",
        in_features=8,
        others=("timm_model.head_dist",),
    ),
)


@pytest.mark.parametrize("prefix", ["", "timm_model."])
def test_timms_names_stand_behind_the_attribute(prefix: str) -> None:
    source, target = timm_table(prefix, file="model.safetensors"), timm_table("timm_model.")
    made = plan_weights(source, target, wrapped_rules(source, TIMM_SEEN), num_labels=4, attention="eager")
    assert audit(made, source, target) == ()
    found = {row.sources: row.targets for row in made.ledger.rows}
    assert found == {(f"{prefix}{name}",): (f"timm_model.{name}",) for name in TIMM}
    assert (made.source_head, made.target_head) == ("timm_model.head", "timm_model.head")
    assert (made.source_twins, made.target_twins) == (("timm_model.head_dist",),) * 2
    assert (made.head, made.exact) == ("copied", True)


def test_both_heads_of_a_timm_model_are_new_for_other_classes() -> None:
    source, target = timm_table(file="model.safetensors"), timm_table("timm_model.", rows=7)
    made = plan_weights(source, target, wrapped_rules(source, TIMM_SEEN), num_labels=7)
    assert audit(made, source, target) == ()
    new = {name for row in made.ledger.rows if row.fate == "initialised" for name in row.targets}
    assert new == {f"timm_model.{name}" for name in TIMM if name.startswith("head")}


def test_what_timm_does_not_have_is_dropped_with_the_reason() -> None:
    stale = TensorInfo(name="attn_mask", shape=(1, 5), dtype="F32", file="model.safetensors")
    source, target = (*timm_table(file="model.safetensors"), stale), timm_table("timm_model.")
    made = plan_weights(source, target, wrapped_rules(source, TIMM_SEEN))
    assert audit(made, source, target) == ()
    (row,) = [row for row in made.ledger.rows if stale.name in row.sources]
    assert "no such tensor" in row.reason


def test_a_timm_model_without_a_linear_head_has_no_rules() -> None:
    with pytest.raises(ValueError, match="linear head"):
        wrapped_rules(timm_table(), msgspec.structs.replace(TIMM_SEEN, head=None))
