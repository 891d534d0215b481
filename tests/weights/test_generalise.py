"""Rules from single operations: they make exactly those again, and read as a person would write them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from porter.records.finder import (
    Attempt,
    DroppedTensor,
    FindRulesAnswer,
    FoundOperation,
    Influence,
    Setting,
)
from porter.records.inspection import TensorInfo
from porter.records.weights import Operation
from porter.reference.timm_candidates import candidates
from porter.resources import tree
from porter.weights.finder import as_toml, describe, finding
from porter.weights.generalise import generalise, reproduces

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

D = 4


def tensor(name: str, *shape: int) -> TensorInfo:
    return TensorInfo(name=name, shape=shape or (D, D), dtype="F32")


def made(op: Any, target: TensorInfo, *sources: TensorInfo, **more: Any) -> FoundOperation:
    operation = Operation(op=op, target=target, sources=sources, **more)
    return FoundOperation(operation=operation, way="input", module="m", source_modules=("s",))


def copies(names: dict[str, str]) -> tuple[FoundOperation, ...]:
    return tuple(made("copy", tensor(target), tensor(source)) for source, target in names.items())


def attempt(*operations: FoundOperation, **more: Any) -> Attempt:
    source = {part.name: part for each in operations for part in each.operation.sources}
    for dropped in more.get("dropped", ()):
        source[dropped.name] = tensor(dropped.name)
    return Attempt(
        architecture="some_model",
        accepted=True,
        reason="",
        operations=operations,
        source=tuple(source.values()),
        target=tuple(each.operation.target for each in operations),
        seconds=1.0,
        **more,
    )


def renames(found: Attempt, prefix: str = "") -> set[tuple[str, str]]:
    rules = generalise(found, prefix)
    assert reproduces(rules, found)
    return {(each.source, each.target) for each in rules.rename}


def test_numbers_become_placeholders_offsets_included() -> None:
    names = {f"body.stage.{i}.fc{k}.weight": f"s{i + 1}.{k - 1}.weight" for i in range(3) for k in (1, 2)}
    found = renames(attempt(*copies(names)), "body")
    assert found == {("{prefix}stage.{i}.fc{j}.weight", "s{i+1}.{j-1}.weight")}


def test_layers_that_are_numbered_through_are_counted() -> None:
    there = ("stages.0.blocks.0.w", "stages.0.blocks.1.w", "stages.1.blocks.0.w")
    names = {name: f"all.{place}.w" for place, name in enumerate(there)}
    assert renames(attempt(*copies(names))) == {("stages.{i}.blocks.{j}.w", "all.{n}.w")}
    back = {target: source for source, target in names.items()}
    assert renames(attempt(*copies(back))) == {("all.{n}.w", "stages.{i}.blocks.{j}.w")}


def test_a_template_that_would_take_other_tensors_is_cut_up() -> None:
    names = {f"blocks.{i}.second.w": f"layers.{i}.n2.w" for i in (1, 2)}
    names |= {f"blocks.{i}.third.w": f"layers.{i}.n3.w" for i in (1, 2)}
    # The first block lacks a part, so that what is third elsewhere is second there.
    names |= {"blocks.0.third.w": "layers.0.n2.w", "blocks.0.second.w": "layers.0.n1.w"}
    found = renames(attempt(*copies(names)))
    assert ("blocks.0.second.w", "layers.0.n1.w") in found
    assert ("blocks.{i}.second.w", "layers.{i}.n2.w") not in found


def test_what_follows_no_rule_is_named_one_by_one() -> None:
    names = {"a.3.w": "b.9.w", "a.4.w": "b.2.w", "a.5.w": "b.40.w"}
    assert renames(attempt(*copies(names))) == set(names.items())


def test_leaves_are_joined_where_both_are_there() -> None:
    stats = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {f"norm.{leaf}": f"bn.{leaf}" for leaf in stats}
    names |= {"fc.weight": "linear.weight", "fc.bias": "linear.bias", "conv.weight": "c.weight"}
    assert renames(attempt(*copies(names))) == {
        ("norm.{stat}", "bn.{stat}"),
        ("fc.{leaf}", "linear.{leaf}"),
        ("conv.weight", "c.weight"),
    }


def test_parts_that_the_source_lacks_stay_zero() -> None:
    operations = []
    for i in (0, 1):
        weights = [tensor(f"layer.{i}.{part}.weight") for part in ("q", "k", "v")]
        biases = [tensor(f"layer.{i}.{part}.bias", D) for part in ("q", "v")]
        operations.append(made("concat", tensor(f"b.{i}.qkv.weight", 3 * D, D), *weights))
        operations.append(made("concat", tensor(f"b.{i}.qkv.bias", 3 * D), *biases, starts=(0, 2 * D)))
    rules = generalise(attempt(*operations), "")
    assert reproduces(rules, attempt(*operations))
    gaps = next(each for each in rules.fuse if each.optional)
    assert gaps.sources == ("layer.{i}.q.bias", "layer.{i}.k.bias", "layer.{i}.v.bias")
    assert gaps.optional == ("layer.{i}.k.bias",)


def test_cuts_turns_and_missing_biases() -> None:
    operations = []
    for i in (0, 1):
        whole = tensor(f"layer.{i}.kv.weight", 2 * D, D)
        for place, part in enumerate(("k", "v")):
            cut = {"start": place * D, "stop": (place + 1) * D}
            operations.append(made("slice", tensor(f"b.{i}.{part}.weight"), whole, **cut))
        operations.append(made("permute", tensor(f"b.{i}.o.weight"), tensor(f"layer.{i}.o"), axes=(1, 0)))
        operations.append(
            made("reshape", tensor(f"b.{i}.c.weight", D, D, 1, 1), tensor(f"layer.{i}.c.weight"))
        )
        operations.append(made("copy", tensor(f"b.{i}.p.weight"), tensor(f"layer.{i}.p.weight")))
        operations.append(made("zeros", tensor(f"b.{i}.p.bias", D)))
    found = attempt(*operations)
    rules = generalise(found, "")
    assert reproduces(rules, found)
    assert [each.targets for each in rules.split] == [("b.{i}.k.weight", "b.{i}.v.weight")]
    assert [(each.source, each.axes) for each in rules.permute] == [("layer.{i}.o", (1, 0))]
    assert [each.target for each in rules.reshape] == ["b.{i}.c.weight"]
    assert [(each.target, each.absent) for each in rules.rename] == [("b.{i}.p.{leaf}", "bias")]


def test_what_has_no_place_is_dropped_with_its_reason_and_inert_tensors_are_named() -> None:
    names = {f"body.layer.{i}.k.bias": f"b.{i}.k.bias" for i in (0, 1)}
    names |= {f"body.layer.{i}.k.weight": f"b.{i}.k.weight" for i in (0, 1)}
    unread = tuple(DroppedTensor(name=f"body.layer.{i}.index", reason="never read") for i in (0, 1))
    inert = tuple(
        Influence(
            source=f"body.layer.{i}.k.bias",
            target=f"b.{i}.k.bias",
            effect=1e-16,
            inert=True,
            held=f"it is the only bias of the operation that reads body.layer.{i}.k.weight",
        )
        for i in (0, 1)
    )
    found = attempt(*copies(names), dropped=unread, influences=inert)
    rules = generalise(found, "body")
    assert rules.prefixes == ("body.", "")
    assert [(each.source, each.reason) for each in rules.drop] == [("{prefix}layer.{i}.index", "never read")]
    assert [each.source for each in rules.inert] == ["{prefix}layer.{i}.k.bias"]
    assert rules.inert[0].reason.endswith("it is the only bias of the operation that reads its weight")


def test_heads_and_the_position_embedding_have_rules_of_their_own() -> None:
    operations = [
        *copies({"classifier.weight": "head.weight", "teacher.weight": "head_dist.weight"}),
        made("copy", tensor("pos_embed", 1, 18, D), tensor("embeddings.position", 1, 18, D)),
    ]
    heads = (("classifier", "head"), ("teacher", "head_dist"))
    rules = generalise(attempt(*operations, heads=heads), "")
    assert rules.head
    assert (rules.head.target_module, rules.head.twins[0].target) == ("head", "head_dist.{leaf}")
    assert [(each.target, each.prefix_tokens) for each in rules.interpolate] == [("pos_embed", 2)]
    assert rules.rename == ()


def test_the_text_shows_rules_settings_and_refusals() -> None:
    setting = Setting(module="norm", attribute="eps", value=1e-12)
    right = attempt(*copies({"a.weight": "b.weight"}), settings=(setting,))
    wrong = Attempt(architecture="other", accepted=False, reason="nothing fits x", seconds=2.0)
    found = finding(FindRulesAnswer(source="m:C", parameters=7, attempts=(wrong, right)))
    assert found.refusal == ""
    text = describe(found)
    assert "other(): refused: nothing fits x" in text
    assert "needs eps = 1e-12 in norm\n" in text
    assert found.rules
    assert tomllib.loads(as_toml(found.rules))["rename"] == [{"source": "a.weight", "target": "b.weight"}]
    refused = finding(FindRulesAnswer(source="m:C", parameters=7, attempts=(wrong,)))
    assert refused.refusal == (
        "the rule finder tried 1 model of timm in 2 s; other: nothing fits x (0 of 0 tensors placed)"
    )


@pytest.mark.parametrize(
    "model_type", tomllib.loads((tree("references") / "timm_candidates.toml").read_text(encoding="utf-8"))
)
def test_candidates_are_valid(model_type: str) -> None:
    assert all(each.architecture for each in candidates(model_type))
