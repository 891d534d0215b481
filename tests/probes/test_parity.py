from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.errors import PorterError
from porter.records.remap import Computed, Initialise
from porter.records.weights import (
    BuildTargetRequest,
    Operation,
    ParityAnswer,
    ParityRequest,
    SwapAnswer,
    SwapRequest,
    TargetModule,
    WeightPlan,
)
from porter.weights.ledger import audit, note_inert
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules
from tests.probes.conftest import LABELS, SIDE, Bench, headers, with_operations

pytestmark = pytest.mark.torch_env


def measure(
    bench: Bench, model: str, plan: WeightPlan, out: Path, builder: str = "build_model", **more: Any
) -> ParityAnswer:
    """Convert and compare; *more* is split into the request's own fields and dataset overrides."""
    fields = set(ParityRequest.__struct_fields__)
    own = {key: value for key, value in more.items() if key in fields}
    overrides = {key: value for key, value in more.items() if key not in fields}
    done = bench.convert(model, plan, out, safetensors=own.get("safetensors", ""))
    request = ParityRequest(
        folder=str(bench.model(model)),
        plan=plan,
        target=bench.target(builder, **overrides),
        checkpoint=done.checkpoint,
        work=str(out),
        **{"image_size": (SIDE, SIDE), **own},
    )
    return bench.probe("parity", request, ParityAnswer, write=[out])


def test_build_target_answers_the_state_dict_of_the_module(bench: Bench) -> None:
    built = bench.built()
    assert built.kind == "nvidia_tao_pytorch.cv.backbone_v2.vit:VisionTransformer"
    assert built.pl_extra == ()
    by_name = {each.name: each for each in built.tensors}
    assert by_name["blocks.2.attn.qkv.weight"].shape == (192, 64)
    assert by_name["head.weight"].shape == (LABELS, 64)
    assert (
        built.parameters
        == built.trainable
        == sum(_count(each.shape) for each in built.tensors if not each.buffer)
    )


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def test_a_target_that_cannot_be_built_says_so(bench: Bench) -> None:
    missing = msgspec.structs.replace(bench.target(), builder="tiny_network:build_nothing")
    with pytest.raises(PorterError) as caught:
        bench.probe("build_target", BuildTargetRequest(target=missing), TargetModule)
    assert "tiny_network:build_nothing" in caught.value.what
    with pytest.raises(PorterError) as caught:
        bench.probe("build_target", BuildTargetRequest(target=bench.target(no_such_key=1)), TargetModule)
    assert "no_such_key" in caught.value.why


def test_a_correct_port_is_equal_by_both_loaders(bench: Bench) -> None:
    plan, out = bench.plan("whole", num_labels=LABELS), bench.folder("parity")
    answer = measure(bench, "whole", plan, out, controls=0, safetensors=str(out / "port.safetensors"))
    assert len(answer.parities) == 12
    assert all(each.within and each.inputs == 4 for each in answer.parities)
    eager = [each.relative for each in answer.parities if each.attention == "eager"]
    assert eager == [0.0] * 8
    assert {(each.weights, each.way) for each in answer.parities} == {
        (weights, way)
        for weights in ("real", "perturbed")
        for way in ("pretrained_backbone_path", "load_from_checkpoint")
    }
    assert all(each.held and each.checked == len(bench.built().tensors) for each in answer.identities)
    assert [(each.weights, each.way) for each in answer.identities].count(("real", "safetensors")) == 1
    assert len(answer.identities) == 5
    roles = {each.tensor for each in answer.controls}
    assert len(roles) == 4 + 12 + 2 + 2
    assert all(each.caught for each in answer.controls), answer.controls
    assert sorted(path.name for path in out.iterdir()) == ["dataset", "port.pth", "port.safetensors"]


def test_what_the_source_does_not_have_is_as_the_plan_says_and_no_control(bench: Bench) -> None:
    out = bench.folder("computed")
    target = msgspec.structs.replace(bench.target("build_indexed"), pl_module="tiny_network:IndexedPlModel")
    built = bench.probe("build_target", BuildTargetRequest(target=target), TargetModule).tensors
    rules = msgspec.structs.replace(
        load_rules("vit"),
        computed=(Computed(target="index", reason="counted by the class"),),
        initialise=(Initialise(target="spare", value="ones", reason="nothing reads it"),),
    )
    source = headers(bench.model("whole"))
    plan = plan_weights(source, built, rules, num_labels=LABELS)
    assert audit(plan, source, built) == ()
    done = bench.convert("whole", plan, out, target=target)
    request = ParityRequest(
        folder=str(bench.model("whole")),
        plan=plan,
        target=target,
        checkpoint=done.checkpoint,
        work=str(out),
        image_size=(SIDE, SIDE),
        controls=0,
    )
    answer = bench.probe("parity", request, ParityAnswer, write=[out])
    assert all(each.caught for each in answer.controls)
    assert len(answer.controls) == 4 + 12 + 2 + 2
    assert all(each.held and each.checked == len(built) for each in answer.identities)
    assert all(each.within for each in answer.parities)


def test_query_and_key_in_the_wrong_order_hold_identity_and_fail_parity(bench: Bench) -> None:
    def turn(step: Operation) -> Operation:
        first, second, *rest = (*step.sources, None, None)
        if step.op != "concat" or first is None or second is None:
            return step
        return msgspec.structs.replace(step, sources=(second, first, *(each for each in rest if each)))

    plan = with_operations(bench.plan("whole"), turn)
    out = bench.folder("wrong-order")
    answer = measure(bench, "whole", plan, out, ways=("pretrained_backbone_path",))
    assert all(each.held for each in answer.identities)
    assert all(each.relative > 1e-3 for each in answer.parities if each.weights == "perturbed")
    assert not any(each.within for each in answer.parities)


def test_a_loader_that_silently_loads_nothing_is_seen(bench: Bench) -> None:
    out = bench.folder("forgetful")
    plan, ways = bench.plan("whole"), ("pretrained_backbone_path",)
    answer = measure(bench, "whole", plan, out, "build_forgetful", ways=ways, controls=1)
    assert not any(each.within for each in answer.parities)
    assert not any(each.held for each in answer.identities)
    assert "blocks.0.attn.qkv.weight" in answer.identities[0].different


def test_a_headless_source_at_another_size_is_compared_before_the_head(
    bench: Bench,
) -> None:
    overrides: dict[str, Any] = {"img_size": 48, "num_classes": 3}
    plan = bench.plan("body", overrides=overrides, num_labels=3)
    assert audit(plan, headers(bench.model("body")), bench.built(**overrides).tensors) == ()
    answer = measure(bench, "body", plan, bench.folder("body-parity"), image_size=(48, 48), **overrides)
    assert {each.output for each in answer.parities} == {"features"}
    assert all(each.within for each in answer.parities)
    assert all(each.held for each in answer.identities)
    assert all(each.caught for each in answer.controls)
    assert any("resampled" in note for note in answer.notes)
    assert any("the head is new" in note for note in answer.notes)


def test_half_precision_sources_and_classes_in_another_order(bench: Bench) -> None:
    plan = bench.plan("bf16", label_order=(2, 0, 1, 4, 3))
    answer = measure(bench, "bf16", plan, bench.folder("bf16-parity"), ways=("load_from_checkpoint",))
    assert {each.output for each in answer.parities} == {"logits", "features"}
    assert all(each.within for each in answer.parities)
    assert all(each.held for each in answer.identities)


def test_swaps_are_seen_except_between_key_biases(bench: Bench) -> None:
    plan, out = bench.plan("whole"), bench.folder("swap")
    request = SwapRequest(
        folder=str(bench.model("whole")),
        plan=plan,
        target=bench.target(),
        work=str(out),
        image_size=(SIDE, SIDE),
        inputs=2,
        limit=60,
    )
    answer = bench.probe("swap", request, SwapAnswer, write=[out])
    assert answer.baseline == 0.0
    assert len(answer.swaps) == 60 < answer.candidates
    unseen = [(each.first, each.second) for each in answer.swaps if not each.caught]
    key = "vit.encoder.layer.{}.attention.attention.key.bias"
    assert unseen == [(key.format(0), key.format(1))]
    noted, unexplained = note_inert(plan, answer.swaps, load_rules("vit"))
    assert unexplained == ()
    inert = [row for row in noted.ledger.rows if row.inert is not None]
    assert [row.targets for row in inert] == [("blocks.0.attn.qkv.bias",), ("blocks.1.attn.qkv.bias",)]
    pairs = {(each.first, each.second) for each in answer.swaps}
    attention = {
        tuple(name.split(".")[-2] for name in pair) for pair in pairs if ".attention.attention." in pair[0]
    }
    assert {("query", "key"), ("query", "value"), ("key", "value")} <= attention


_PAIRS = """
import importlib.util, json, sys, torch
spec = importlib.util.spec_from_file_location("swap", sys.argv[1])
swap = importlib.util.module_from_spec(spec)
spec.loader.exec_module(swap)
widths = {"a.layers.0.weight": 2, "a.layers.1.weight": 3, "a.layers.2.weight": 3, "a.layers.1.bias": 3}
views = {name: torch.zeros(width) for name, width in widths.items()}
print(json.dumps(swap._pairs(views, 0)))
"""


def test_tensors_of_layers_of_different_width_are_not_exchanged(bench: Bench) -> None:
    probe = Path(__file__).resolve().parents[2] / "porter" / "probes" / "swap.py"
    pairs = bench.python(_PAIRS, probe)
    assert ["a.layers.1.weight", "a.layers.2.weight"] in pairs
    assert not any("a.layers.0.weight" in pair for pair in pairs)
