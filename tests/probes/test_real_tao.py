"""ViT-Base/16 through the loaders of the real tao-pytorch."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from porter.records.weights import (
    BuildTargetRequest,
    ParityAnswer,
    ParityRequest,
    SwapAnswer,
    SwapRequest,
    TargetModule,
    TargetSpec,
    WeightPlan,
)
from porter.weights.ledger import audit, note_inert
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules
from tests.probes.conftest import Bench, headers
from tests.real_clones import real_clone

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]

_MAKE = """
import sys, torch
from pathlib import Path
from transformers import ViTConfig, ViTForImageClassification

torch.manual_seed(5)
folder = Path(sys.argv[1])
ViTForImageClassification(ViTConfig(num_labels=10)).save_pretrained(folder)
(folder / "model.safetensors").chmod(0o644)
"""

_NETWORK = """
from functools import partial

import torch.nn as nn

import nvidia_tao_pytorch.cv.backbone_v2.vit
from nvidia_tao_pytorch.core.utils.ptm_utils import load_pretrained_weights
from nvidia_tao_pytorch.cv.backbone_v2 import BACKBONE_REGISTRY
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model import ClassifierPlModel
from nvidia_tao_pytorch.cv.classification_pyt.model.utils import cls_parser, ptm_adapter


def build_model(experiment_config, export=False):
    backbone = experiment_config.model.backbone
    model = BACKBONE_REGISTRY.get(backbone.type)(
        num_classes=experiment_config.dataset.num_classes, freeze_at=None, freeze_norm=False, export=export,
        norm_layer=partial(nn.LayerNorm, eps=1e-12),
    )
    if backbone.pretrained_backbone_path:
        path = backbone.pretrained_backbone_path
        weights = load_pretrained_weights(path, parser=cls_parser, ptm_adapter=ptm_adapter)
        model.load_state_dict(weights, strict=False)
    return model


class PortedPlModel(ClassifierPlModel):
    def _build_model(self, export):
        self.model = build_model(self.experiment_spec, export)
"""

_SPEC = """
model:
  backbone:
    type: vit_base_patch16
  head:
    topk: [1]
dataset:
  num_classes: 10
"""

REFERENCE = "nvidia_tao_pytorch.cv.classification_pyt.model"


class Real:
    """ViT-Base, the clone, and the plan between them."""

    def __init__(self, bench: Bench, clone: Path) -> None:
        self.bench = bench
        self.clone = clone
        self.target = TargetSpec(
            package_root=str(clone),
            config="nvidia_tao_pytorch.config.classification_pyt.default_config:ExperimentConfig",
            spec=str(bench.root / "network" / "real.yaml"),
            builder="real_network:build_model",
            pl_module="real_network:PortedPlModel",
            classes=tuple(f"class_{index}" for index in range(10)),
        )
        self.built = bench.probe(
            "build_target", BuildTargetRequest(target=self.target), TargetModule, clone=clone
        )
        self.table = headers(bench.model("base"))
        self.plan: WeightPlan = plan_weights(self.table, self.built.tensors, load_rules("vit"), num_labels=10)
        self.out = bench.folder("real")
        self.done = bench.convert("base", self.plan, self.out)


@pytest.fixture(scope="module")
def real(bench: Bench) -> Real:
    """The port of ViT-Base to the real clone, converted."""
    clone = real_clone("tao-pytorch")
    (bench.root / "network" / "real_network.py").write_text(_NETWORK, encoding="utf-8")
    (bench.root / "network" / "real.yaml").write_text(_SPEC, encoding="utf-8")
    bench.python(_MAKE, bench.model("base"))
    return Real(bench, clone)


def parity(real: Real, target: TargetSpec, *ways: str) -> ParityAnswer:
    request = ParityRequest(
        folder=str(real.bench.model("base")),
        plan=real.plan,
        target=target,
        checkpoint=real.done.checkpoint,
        work=str(real.out),
        image_size=(224, 224),
        ways=ways,  # type: ignore[arg-type]
    )
    return real.bench.probe("parity", request, ParityAnswer, write=[real.out], clone=real.clone)


def test_the_ledger_closes_on_the_real_backbone(real: Real) -> None:
    assert real.built.kind == "nvidia_tao_pytorch.cv.backbone_v2.vit:VisionTransformer"
    assert (len(real.table), len(real.built.tensors)) == (200, 152)
    assert audit(real.plan, real.table, real.built.tensors) == ()
    assert real.built.pl_extra == ()
    assert real.done.peak_anon <= real.done.limit_anon


def test_the_port_is_equal_through_both_of_taos_loaders(real: Real) -> None:
    answer = parity(real, real.target, "pretrained_backbone_path", "load_from_checkpoint")
    assert [each.relative for each in answer.parities if each.attention == "eager"] == [0.0] * 8
    assert all(each.relative < 5e-6 for each in answer.parities if each.attention == "as built")
    assert all(each.held and each.checked == 152 for each in answer.identities)
    assert all(each.caught for each in answer.controls)


def test_the_norm_epsilon_of_the_reference_is_seen(real: Real) -> None:
    reference = msgspec.structs.replace(
        real.target,
        builder=f"{REFERENCE}.classifier:build_model",
        pl_module=f"{REFERENCE}.classifier_pl_model:ClassifierPlModel",
    )
    answer = parity(real, reference, "load_from_checkpoint")
    assert all(1e-5 < each.relative < 1e-3 for each in answer.parities)
    assert all(each.held for each in answer.identities)


def test_every_swap_but_the_key_biases_is_seen(real: Real) -> None:
    request = SwapRequest(
        folder=str(real.bench.model("base")),
        plan=real.plan,
        target=real.target,
        work=str(real.out),
        image_size=(224, 224),
        limit=40,
    )
    answer = real.bench.probe("swap", request, SwapAnswer, write=[real.out], clone=real.clone)
    assert len(answer.swaps) == 40
    unseen = [each for each in answer.swaps if not each.caught]
    assert {name.rsplit(".", 2)[1] for each in unseen for name in (each.first, each.second)} == {"key"}
    assert note_inert(real.plan, answer.swaps, load_rules("vit"))[1] == ()
