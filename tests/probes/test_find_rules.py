"""The rule finder on transformers' and timm's own classes, given no rules."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from porter.records.finder import Finding, FindRulesAnswer, FindRulesRequest, TimmCandidate
from porter.records.sandbox import Environment
from porter.reference.timm_candidates import candidates
from porter.weights.finder import as_toml, describe, evidence, finding
from porter.weights.ledger import audit
from porter.weights.plan import plan_weights
from porter.weights.remap import inert_reason, load_rules
from tests.finder_cases import CASES, request
from tests.models import read, serve

pytestmark = pytest.mark.torch_env

_FOUND = ("vit", "deit", "beit", "swin", "swinv2", "convnextv2", "hiera", "pvt_v2")
_DEEPER = {**CASES["vit"].arguments, "depth": 3}


@pytest.fixture(scope="module")
def found(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    root = tmp_path_factory.mktemp("finder")
    jobs: dict[str, FindRulesRequest] = {name: request(root, name, CASES[name]) for name in _FOUND}
    jobs["dinov2"] = request(root, "dinov2", CASES["dinov2"])
    vit, swin = CASES["vit"], CASES["swin"]
    # The wrong ones come first, so that the right one is reached only when they are refused.
    jobs["several"] = request(
        root,
        "vit",
        vit,
        candidates=(
            TimmCandidate(architecture=vit.timm, arguments=_DEEPER),
            TimmCandidate(architecture="no_such_model"),
            TimmCandidate(architecture=vit.timm, arguments={"img_size": 48}),
            TimmCandidate(architecture=vit.timm, arguments={"embed_dim": "$no_such_value"}),
            TimmCandidate(architecture=vit.timm, arguments={}, when={"hidden_act": "relu"}),
            *candidates("vit"),
        ),
    )
    jobs["norms behind"] = request(
        root,
        "swin",
        swin,
        candidates=(TimmCandidate(architecture="swinv2_tiny_window8_256", arguments=swin.arguments),),
    )
    narrow = swin._replace(
        architecture="MobileNetV2ForImageClassification", config={"depth_multiplier": 0.35, "image_size": 64}
    )
    jobs["pattern"] = request(
        root, "mobilenet_v2", narrow, few=1, candidates=candidates("mobilenet_v2"), influence_seconds=1.0
    )
    answers = serve(tao_environment, root, [("find_rules", job) for job in jobs.values()])
    return {name: finding(read(raw, FindRulesAnswer)) for name, raw in zip(jobs, answers, strict=True)}


@pytest.mark.parametrize("name", _FOUND)
def test_rules_are_found_and_close_the_ledger(found: dict[str, Finding], name: str) -> None:
    made = found[name]
    assert made.attempt, made.refusal
    assert made.rules
    plan = plan_weights(made.attempt.source, made.attempt.target, made.rules, num_labels=5)
    assert audit(plan, made.attempt.source, made.attempt.target) == ()
    assert plan.operations == tuple(each.operation for each in made.attempt.operations)
    exact = [each.relative for each in made.attempt.parities if each.way == "float64"]
    plain = [each.relative for each in made.attempt.parities if each.way == "float32"]
    assert max(exact) <= 1e-6
    assert max(plain) <= 1e-5
    assert any(each.output == "features" for each in made.attempt.parities)


def test_the_rules_found_for_vit_are_those_written_by_hand(found: dict[str, Finding]) -> None:
    made = found["vit"]
    assert made.attempt
    assert made.rules
    tables = made.attempt.source, made.attempt.target
    by_hand = plan_weights(*tables, load_rules("vit"))
    assert plan_weights(*tables, made.rules).operations == by_hand.operations
    body = tuple(
        msgspec.structs.replace(each, name=each.name.removeprefix("vit."))
        for each in tables[0]
        if each.name.startswith("vit.")
    )
    without_head = plan_weights(body, tables[1], made.rules)
    assert not without_head.ledger.leftovers
    assert without_head.head == "re-initialised"


def test_rules_can_be_kept_as_a_file(found: dict[str, Finding], tmp_path: Path) -> None:
    for name in ("deit", "hiera", "swinv2"):
        rules = found[name].rules
        assert rules
        (tmp_path / f"{name}.toml").write_text(as_toml(rules), encoding="utf-8")
        assert load_rules(name, tmp_path) == msgspec.structs.replace(rules, name=name)
    counted = found["hiera"].rules
    assert counted
    assert any("{n}" in each.target for each in counted.rename)
    twins = found["deit"].rules
    assert twins
    assert twins.head
    assert [each.target for each in twins.head.twins] == ["head_dist.{leaf}"]


def test_the_key_biases_of_a_softmax_are_named_inert_and_held_by_their_weight(
    found: dict[str, Finding],
) -> None:
    attempt = found["vit"].attempt
    assert attempt
    inert = {each.source: each for each in attempt.influences if each.inert}
    assert set(inert) == {f"vit.encoder.layer.{i}.attention.attention.key.bias" for i in (0, 1)}
    assert all("key.weight" in each.held for each in inert.values())
    assert all(each.effect is not None and each.effect < 1e-12 for each in inert.values())
    assert found["vit"].rules
    assert [each.source for each in found["vit"].rules.inert] == [
        "{prefix}encoder.layer.{i}.attention.attention.key.bias"
    ]
    # The order of query, key and value is what the values behind them decided.
    fused = [each for each in attempt.operations if each.operation.op == "concat"]
    assert len(fused) == 4
    assert all(each.others and each.confirmed for each in fused)


def test_biases_of_two_heads_under_one_mean_are_named_interchangeable(found: dict[str, Finding]) -> None:
    attempt, rules = found["deit"].attempt, found["deit"].rules
    assert attempt
    assert rules
    pairs = {frozenset((each.first, each.second)): each.held for each in attempt.exchanges}
    held = pairs[frozenset(("cls_classifier.bias", "distillation_classifier.bias"))]
    assert "makes the values" in held
    assert {"cls_classifier.bias", "distillation_classifier.bias"} <= {each.source for each in rules.inert}
    assert frozenset(("cls_classifier.weight", "distillation_classifier.weight")) not in pairs


def test_biases_that_are_added_are_named_interchangeable_in_every_layer(found: dict[str, Finding]) -> None:
    made = found["hiera"]
    assert made.attempt
    assert made.rules
    names = [each.name for each in made.attempt.source]
    added = [name for name in names if name.endswith(".layers.0.proj.bias")]
    assert len(added) == 3
    for name in added:
        attention = name.replace("proj.bias", "attn.proj.bias")
        assert inert_reason(made.rules, name, names)
        assert inert_reason(made.rules, attention, names)


def test_what_the_target_calculates_otherwise_is_a_setting(found: dict[str, Finding]) -> None:
    attempt = found["vit"].attempt
    assert attempt
    norms = {"blocks.0.norm1", "blocks.0.norm2", "blocks.1.norm1", "blocks.1.norm2", "norm"}
    assert {each.module: each.value for each in attempt.settings} == dict.fromkeys(norms, 1e-12)
    assert {each.attribute for each in attempt.settings} == {"eps"}


def test_wrong_candidates_are_refused_with_the_place(found: dict[str, Finding]) -> None:
    several = found["several"]
    deeper, unknown, larger, lacking, right = several.answer.attempts
    assert not deeper.accepted
    assert "blocks.2" in deeper.reason
    assert "no_such_model" in unknown.reason
    assert "does not run" in larger.reason
    assert "no_such_value" in lacking.reason
    assert right.accepted
    assert right.arguments["embed_dim"] == 32
    assert right.arguments["act_layer"] == "gelu"
    assert found["norms behind"].attempt is None
    assert "layers.0.blocks.0" in found["norms behind"].answer.attempts[0].reason


def test_another_head_is_refused_where_the_head_begins(found: dict[str, Finding]) -> None:
    said = found["dinov2"].refusal
    assert "head computes on" in said
    assert "34 of 36 tensors" in said


def test_of_a_pattern_the_likeliest_is_built(found: dict[str, Finding]) -> None:
    attempts = found["pattern"].answer.attempts
    assert [each.architecture for each in attempts] == ["mobilenetv2_035"]
    assert attempts[0].accepted, attempts[0].reason
    assert attempts[0].likeness == 1.0


def test_what_was_proposed_and_measured_can_be_read(found: dict[str, Finding]) -> None:
    text = describe(found["several"])
    assert "blocks.0.attn.qkv.weight <- concat of" in text
    assert "refused: " in text
    assert "needs eps = 1e-12" in text
    assert "[[rename]]" in text
    kept = evidence(found["several"])
    assert [each["accepted"] for each in kept["attempts"]] == [False, False, False, False, True]
    assert kept["attempts"][4]["relative"]["logits float32"] <= 1e-5
    assert kept["rules"] == as_toml(found["several"].rules)  # type: ignore[arg-type]


def test_every_model_type_with_candidates_has_valid_ones() -> None:
    assert candidates("no-such-type") == ()
    assert [each.architecture for each in candidates("resnet")] == ["resnet50", "resnet18"]
