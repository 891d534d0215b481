"""Tiny ViTs made by the real transformers, and a tiny network on the embedded kit that they are ported to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from porter.records.base import Record
from porter.records.inspection import TensorInfo
from porter.records.sandbox import Environment, Mount
from porter.records.weights import (
    BuildTargetRequest,
    Conversion,
    ConvertRequest,
    Operation,
    TargetModule,
    TargetSpec,
    WeightPlan,
)
from porter.sandbox.base import run_probe
from porter.sandbox.host import HostSandbox
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules

T = TypeVar("T")

KIT = Path(__file__).resolve().parents[2] / "porter" / "embedded" / "kit" / "tao-pytorch"
LABELS, SIDE, PATCH = 5, 32, 8

_MAKE_MODELS = f"""
import sys, torch
from pathlib import Path
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, ViTModel

root = Path(sys.argv[1])
torch.manual_seed(3)
config = ViTConfig(hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
                   image_size={SIDE}, patch_size={PATCH}, num_labels={LABELS})
model = ViTForImageClassification(config)
model.save_pretrained(root / "whole")
model.save_pretrained(root / "sharded", max_shard_size="200KB")
ViTForImageClassification(config).to(torch.bfloat16).save_pretrained(root / "bf16")
ViTModel(config).save_pretrained(root / "body")
for folder in root.iterdir():
    ViTImageProcessor(size=dict(height={SIDE}, width={SIDE})).save_pretrained(folder)
for path in root.rglob("*.safetensors"):
    path.chmod(0o644)  # they are made for their owner alone, who is not the sandbox's user
"""

_NETWORK = """
from functools import partial

import torch
import torch.nn as nn

from nvidia_tao_pytorch.core.utils.ptm_utils import load_pretrained_weights
from nvidia_tao_pytorch.cv.backbone_v2.vit import VisionTransformer
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model import ClassifierPlModel
from nvidia_tao_pytorch.cv.classification_pyt.model.utils import cls_parser, ptm_adapter


class IndexedViT(VisionTransformer):
    def __init__(self, **options):
        super().__init__(**options)
        self.register_buffer("index", torch.arange(9).reshape(3, 3))
        self.spare = nn.Parameter(torch.zeros(4))


def build_model(experiment_config, export=False, kind=VisionTransformer):
    model = kind(
        img_size=experiment_config.dataset.img_size, patch_size=8, embed_dim=64, depth=3, num_heads=4,
        mlp_ratio=2, num_classes=experiment_config.dataset.num_classes, export=export,
        norm_layer=partial(nn.LayerNorm, eps=1e-12),
    )
    path = experiment_config.model.backbone.pretrained_backbone_path
    if path:
        weights = load_pretrained_weights(path, parser=cls_parser, ptm_adapter=ptm_adapter)
        model.load_state_dict(weights, strict=False)
    return model


def build_forgetful(experiment_config, export=False):
    kept = experiment_config.model.backbone.pretrained_backbone_path
    experiment_config.model.backbone.pretrained_backbone_path = None
    model = build_model(experiment_config, export)
    if kept:
        weights = load_pretrained_weights(kept, parser=cls_parser, ptm_adapter=ptm_adapter)
        # The names do not fit, and a loader that is not strict says nothing.
        model.load_state_dict({"backbone." + name: each for name, each in weights.items()}, strict=False)
    return model


def build_indexed(experiment_config, export=False):
    return build_model(experiment_config, export, IndexedViT)


class IndexedPlModel(ClassifierPlModel):
    def _build_model(self, export):
        self.model = build_indexed(self.experiment_spec, export=export)


class TinyPlModel(ClassifierPlModel):
    def _build_model(self, export):
        self.model = build_model(self.experiment_spec, export=export)
"""

_SPEC = f"""
model:
  backbone:
    type: vit_base_patch16
  head:
    topk: [1]
dataset:
  num_classes: {LABELS}
  img_size: {SIDE}
  augmentation:
    mean: [0.5, 0.5, 0.5]
    std: [0.5, 0.5, 0.5]
"""


class Bench:
    """A sandbox, the model folders, and what a port to the tiny network needs."""

    def __init__(self, sandbox: HostSandbox, root: Path) -> None:
        self.sandbox = sandbox
        self.root = root
        self._built: dict[str, TargetModule] = {}

    def model(self, name: str) -> Path:
        """Return the folder of a source model: whole, sharded, bf16 or body."""
        return self.root / "models" / name

    def folder(self, name: str) -> Path:
        """Return a new folder that probes may write to."""
        path = self.root / name
        path.mkdir(parents=True)
        return path

    def target(self, builder: str = "build_model", **overrides: Any) -> TargetSpec:
        """Return the tiny network; *overrides* are keys of the dataset section."""
        return TargetSpec(
            package_root=str(KIT),
            config="nvidia_tao_pytorch.config.classification_pyt.default_config:ExperimentConfig",
            spec=str(self.root / "network" / "spec.yaml"),
            builder=f"tiny_network:{builder}",
            pl_module="tiny_network:TinyPlModel",
            data_module="nvidia_tao_pytorch.cv.classification_pyt.dataloader."
            "pl_classification_data_module:CLDataModule",
            overrides={f"dataset.{key}": value for key, value in overrides.items()},
            classes=tuple(f"class_{index}" for index in range(overrides.get("num_classes", LABELS))),
        )

    def probe(
        self,
        name: str,
        request: Record,
        answer: type[T],
        *,
        read: Sequence[Path] = (),
        write: Sequence[Path] = (),
        clone: Path = KIT,
    ) -> T:
        """Run a probe in the host sandbox, as porter does."""
        mounts = [Mount(path=str(path)) for path in (clone, self.root / "models", *read)]
        mounts += [Mount(path=str(path), writable=True) for path in write]
        network = self.root / "network"
        return run_probe(self.sandbox, name, request, answer, mounts=mounts, python_path=[network])

    def built(self, **overrides: Any) -> TargetModule:
        """Return what the tiny network is made of."""
        key = json.dumps(overrides)
        if key not in self._built:
            request = BuildTargetRequest(target=self.target(**overrides))
            self._built[key] = self.probe("build_target", request, TargetModule)
        return self._built[key]

    def plan(self, model: str, *, overrides: dict[str, Any] | None = None, **more: Any) -> WeightPlan:
        """Return the plan from a source model to the tiny network."""
        target = self.built(**(overrides or {})).tensors
        return plan_weights(headers(self.model(model)), target, load_rules("vit"), **more)

    def convert(
        self, model: str, plan: WeightPlan, out: Path, name: str = "port.pth", **more: Any
    ) -> Conversion:
        """Convert a source model into *out*; *more* are fields of the request."""
        request = ConvertRequest(folder=str(self.model(model)), plan=plan, checkpoint=str(out / name), **more)
        return self.probe("convert", request, Conversion, write=[out])

    def python(self, code: str, *arguments: object) -> Any:
        """Run *code* in the environment, with the kernel importable; it prints JSON."""
        done = subprocess.run(
            [self.sandbox.environment.python, "-c", code, *map(str, arguments)],
            env={"PYTHONPATH": str(KIT.parents[3]), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


def headers(folder: Path) -> tuple[TensorInfo, ...]:
    """Return the tensor table of a model folder, read from the safetensors headers."""
    table: list[TensorInfo] = []
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as handle:
            entries = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
        entries.pop("__metadata__", None)
        table += [
            TensorInfo(name=name, shape=tuple(each["shape"]), dtype=each["dtype"], file=path.name)
            for name, each in entries.items()
        ]
    return tuple(table)


def with_operations(plan: WeightPlan, change: Callable[[Operation], Operation]) -> WeightPlan:
    """Return *plan* with *change* applied to each operation."""
    return msgspec.structs.replace(plan, operations=tuple(change(each) for each in plan.operations))


@pytest.fixture(scope="session")
def bench(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Model folders and the tiny network, made once."""
    root = tmp_path_factory.mktemp("bench")
    (root / "network").mkdir()
    (root / "network" / "tiny_network.py").write_text(_NETWORK, encoding="utf-8")
    (root / "network" / "spec.yaml").write_text(_SPEC, encoding="utf-8")
    made = Bench(HostSandbox(tao_environment, root / "runs"), root)
    made.python(_MAKE_MODELS, root / "models")
    return made
