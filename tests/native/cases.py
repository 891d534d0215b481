"""Small models of every family that TAO's backbones have, and what it takes to compare them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from porter.generate.context import classification_context
from porter.generate.fileplan import rendered
from porter.records.base import to_json
from porter.records.inspection import Inspection, ProcessorFacts, TensorInfo
from porter.records.reference import BackboneMatch, Reference, ReferenceChoice, StrategyChoice
from porter.records.sandbox import Environment
from porter.records.weights import WeightPlan
from porter.reference.coverage import native_coverage
from porter.weights.ledger import audit
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules
from tests.reference.trees import inspection

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = ROOT / "containers" / "tao-pytorch-7.0.1" / "stand-ins"
LABELS = 5


class Case(NamedTuple):
    """A model of transformers and the size of the images that it is fed."""

    model_type: str
    architecture: str
    config: Mapping[str, Any]
    size: int

    @property
    def inspection(self) -> Inspection:
        """What phase 1 would say of it."""
        return msgspec.structs.replace(
            inspection(self.config, size=(self.size, self.size)),
            model_type=self.model_type,
            architecture=self.architecture,
            labels=tuple(f"label {index}" for index in range(LABELS)),
            processor=ProcessorFacts(kind="ViTImageProcessor", size=(self.size, self.size)),
        )


_BODY = {"hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 2}
_VIT = {**_BODY, "intermediate_size": 100, "image_size": 32, "patch_size": 8}
_WIDTHS = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 2, 1, 1]}
_DINO = {**_BODY, "image_size": 70, "patch_size": 14}

CASES = {
    "vit": Case("vit", "ViTForImageClassification", {**_VIT, "qkv_bias": False}, 32),
    "vit of another activation": Case(
        "vit", "ViTForImageClassification", {**_VIT, "hidden_act": "gelu_pytorch_tanh"}, 32
    ),
    "deit of another activation": Case(
        "deit", "DeiTForImageClassification", {**_VIT, "hidden_act": "quick_gelu"}, 32
    ),
    "deit": Case("deit", "DeiTForImageClassification", _VIT, 32),
    "hiera": Case(
        "hiera",
        "HieraForImageClassification",
        {
            "depths": [2, 2, 3],
            "embed_dim": 16,
            "image_size": [64, 64],
            "layer_norm_eps": 1e-3,
            "masked_unit_attention": [True, False, False],
            "masked_unit_size": [4, 4],
            "mlp_ratio": 3.0,
            "num_heads": [1, 2, 4],
            "num_query_pool": 2,
        },
        64,
    ),
    "resnet basic": Case("resnet", "ResNetForImageClassification", {**_WIDTHS, "layer_type": "basic"}, 64),
    "resnet bottleneck": Case("resnet", "ResNetForImageClassification", _WIDTHS, 64),
    "dinov2": Case("dinov2", "Dinov2ForImageClassification", _DINO, 70),
    "dinov2 resampled": Case("dinov2", "Dinov2ForImageClassification", _DINO, 42),
    "dinov2 gated": Case("dinov2", "Dinov2ForImageClassification", {**_DINO, "use_swiglu_ffn": True}, 70),
    "dinov2 with registers": Case(
        "dinov2_with_registers",
        "Dinov2WithRegistersForImageClassification",
        {**_DINO, "num_register_tokens": 3, "use_swiglu_ffn": True},
        42,
    ),
    "swin": Case(
        "swin",
        "SwinForImageClassification",
        {
            "depths": [2, 3, 2],
            "embed_dim": 16,
            "image_size": 80,
            "layer_norm_eps": 1e-3,
            "num_heads": [2, 4, 8],
            "window_size": 5,
        },
        80,
    ),
    # Maps of 25, 13 and 7 are padded for the windows, and to be halved.
    "swin padded": Case(
        "swin",
        "SwinForImageClassification",
        {"depths": [2, 2, 2], "embed_dim": 16, "image_size": 100, "num_heads": [2, 2, 4], "window_size": 5},
        100,
    ),
    "convnext": Case("convnext", "ConvNextForImageClassification", _WIDTHS, 64),
    "convnextv2": Case("convnextv2", "ConvNextV2ForImageClassification", _WIDTHS, 64),
}
"""Sizes that no entry of the registry has."""

OWN_TO_TAO = ("swin", "swin padded", "convnext", "convnextv2", "dinov2 with registers")
"""Cases whose class TAO wrote itself, or whose tokens it puts in another order than timm's."""


class Measured(NamedTuple):
    """A case after the comparison.

    Attributes:
        numbers: relative differences of the logits (as built, eager, onnx), and how far apart the logits
            of two images are.
    """

    match: BackboneMatch
    plan: WeightPlan
    kind: str
    numbers: dict[str, float]


class Comparison:
    """One process of the managed environment that all cases share."""

    def __init__(
        self, environment: Environment, work: Path, reference: Reference, clone: Path | None
    ) -> None:
        self.reference = reference
        self.overlay = work / "cv" if clone else None
        self.work = work
        self.log = work / "child.log"
        code = [clone, ROOT, STAND_INS] if clone else [ROOT]
        self.process = subprocess.Popen(
            [environment.python, "-W", "ignore", str(ROOT / "tests" / "native" / "child.py")]
            + ([str(self.overlay)] if self.overlay else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(work),
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": ":".join(map(str, code)),
            },
        )

    def measure(self, case: Case, *, onnx: bool = False, freeze_norm: bool = False) -> Measured:
        """Choose, generate, plan and compare; with *freeze_norm* batch norms are frozen before loading."""
        coverage = native_coverage(case.inspection, self.reference)
        assert coverage.match is not None, coverage.reasons
        match = coverage.match
        package, backbone = self._generate(case, match) if self.overlay else ("", "")
        made = self._ask(
            "make",
            {
                **case._asdict(),
                "package": package,
                "backbone": backbone,
                "labels": LABELS,
                "match": msgspec.to_builtins(match),
                "work": str(self.work),
            },
        )
        source, target = (msgspec.convert(made[side], list[TensorInfo]) for side in ("source", "target"))
        plan = plan_weights(source, target, load_rules(match.remap), num_labels=LABELS)
        assert audit(plan, source, target) == ()
        asked = {"operations": json.loads(to_json(plan.operations)), "onnx": onnx, "freeze_norm": freeze_norm}
        return Measured(match, plan, made["kind"], self._ask("compare", asked))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=60)

    def _ask(self, step: str, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"step": step, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def _generate(self, case: Case, match: BackboneMatch) -> tuple[str, str]:
        """Write the model package of a port beside TAO's networks; return its name and the backbone's."""
        assert self.overlay
        name = f"port_{len(list(self.overlay.glob('port_*')))}"
        strategy = StrategyChoice(strategy="native", reason="it fits", backbone=match)
        choice = ReferenceChoice(reference=self.reference, candidates=(), strategy=strategy)
        context = classification_context(case.inspection, choice, name=name, year=2026)
        for file in rendered(context, "tao-pytorch"):
            _, found, inside = file.path.partition(f"/cv/{name}/")
            if found and inside.startswith(("__init__", "model/")):
                path = self.overlay / name / inside
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(file.content, encoding="utf-8")
        return name, context.backbone
