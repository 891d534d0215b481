"""A small tree with the shape of tao-pytorch, for tests of the readers; nothing in it ever runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from porter.records.inspection import Inspection, Source, TaskChoice
from tests.repositories import repository

CV = "nvidia_tao_pytorch/cv"
NETWORK = f"{CV}/classification_pyt"
CONFIG = "nvidia_tao_pytorch/config"
HEADER = "# SPDX-FileCopyrightText: Copyright (c) 2023 Somebody. All rights reserved.\n# SPDX: some\n\n"

VIT = '''"""Backbones."""
from functools import partial
import torch.nn as nn
from nvidia_tao_pytorch.cv.backbone_v2 import BACKBONE_REGISTRY
from nvidia_tao_pytorch.cv.backbone_v2.base import BackboneBase


class VisionTransformer(BackboneBase):
    def __init__(self, *args, **kwargs):
        pass


class VisionTransformerMAE(VisionTransformer):
    pass


@BACKBONE_REGISTRY.register()
def vit_base_patch16(**kwargs):
    """Doc."""
    return VisionTransformer(dynamic_img_size=True, patch_size=16, embed_dim=768, depth=12, num_heads=12,
                             mlp_ratio=4, qkv_bias=True, final_norm=True, **kwargs)


@BACKBONE_REGISTRY.register()
def vit_base_patch16_mae(**kwargs):
    return VisionTransformerMAE(patch_size=16, embed_dim=768, depth=12, num_heads=12, mlp_ratio=4,
                                qkv_bias=True, final_norm=False,
                                norm_layer=partial(nn.LayerNorm, eps=1e-6), **kwargs)


@BACKBONE_REGISTRY.register()
def vit_huge_patch14(**kwargs):
    arguments = dict(patch_size=14, embed_dim=1280, depth=32, num_heads=16, **kwargs)
    return VisionTransformer(**arguments)
'''

PL_MODULE = (
    HEADER
    + '''"""Module."""
from nvidia_tao_pytorch.core.module import TAOLightningModule
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier import build_model


class ClassifierPlModel(TAOLightningModule):
    def __init__(self, experiment_spec, export=False):
        super().__init__(experiment_spec)
        self.checkpoint_filename = "classifier_model"
        self.first, (self.second, *self.rest) = make()

    def _build_model(self, export):
        self.model = build_model(self.experiment_spec, export=export)

    @staticmethod
    def _get_parameter_groups(model, weight_decay, skip_names=()):
        return []

    def test_step(self, batch, batch_idx):
        pass

    def predict_step(self, batch, batch_idx):
        pass

    def on_test_epoch_end(self):
        pass

    def on_save_checkpoint(self, checkpoint):
        checkpoint["tao_model"] = "classification"
'''
)

TYPES = """from dataclasses import field


def STR_FIELD(value, **meta_args):
    metadata = {"default_value": "", "valid_options": ""}
    for k, v in meta_args.items():
        metadata[k] = v
    if metadata["default_value"] in (None, "") and value not in (None, ""):
        metadata["default_value"] = value
    return field(default=value, metadata=metadata)


def LIST_FIELD(arrList, **meta_args):
    metadata = {"default_value": arrList}
    for k, v in meta_args.items():
        metadata[k] = v
    return field(default_factory=lambda: arrList, metadata=metadata)


def DATACLASS_FIELD(hashMap, **meta_args):
    metadata = {"default_value": ""}
    return field(default_factory=lambda: hashMap, metadata=metadata)
"""

COMMON = """from dataclasses import dataclass
from typing import List, Optional
from omegaconf import MISSING
from nvidia_tao_pytorch.config.utils.types import DATACLASS_FIELD, LIST_FIELD, STR_FIELD


@dataclass
class LoggerConfig:
    project: str = STR_FIELD("TAO")
    tags: List[str] = LIST_FIELD(["a"])


@dataclass
class CommonExperimentConfig:
    results_dir: Optional[str] = STR_FIELD(value="", description="Where results go.")
    checkpoint: str = STR_FIELD(value=MISSING, default_value="")
    logger: LoggerConfig = DATACLASS_FIELD(LoggerConfig(project="mine", tags=["b"]))
"""

DEFAULT_CONFIG = """from dataclasses import dataclass, field
from typing import List, Optional
from nvidia_tao_pytorch.config.utils.types import DATACLASS_FIELD, LIST_FIELD, STR_FIELD
from nvidia_tao_pytorch.config.common import CommonExperimentConfig


@dataclass
class HeadConfig:
    type: str = STR_FIELD(value="linear", valid_options=",".join(["linear", "other"]))
    policy: Optional[str] = STR_FIELD(value=None, default_value="", valid_options="a , b,", popular="yes")
    workers: str = STR_FIELD(value="8", default_value="1")
    topk: List[int] = LIST_FIELD(arrList=[1])
    angles: List[int] = LIST_FIELD([90, 180], default_value=[90])
    extra: List[int] = field(default_factory=list)
    plain: int = 3


@dataclass
class ExperimentConfig(CommonExperimentConfig):
    head: HeadConfig = DATACLASS_FIELD(HeadConfig())


class NotAConfig:
    pass
"""


def script(mode: str, spec: str = "experiment_spec") -> str:
    """Return a script of the network, with an empty body."""
    return f'''import os
from nvidia_tao_pytorch.core.decorators.workflow import monitor_status
from nvidia_tao_pytorch.core.hydra.hydra_runner import hydra_runner
from nvidia_tao_pytorch.config.classification_pyt.default_config import ExperimentConfig
root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@hydra_runner(
    config_path=os.path.join(root, "experiment_specs"), config_name="{spec}", schema=ExperimentConfig
)
@monitor_status(name="Class", mode="{mode}")
def main(cfg):
    input_names = ['input']
    output_names = ['output']
'''


FILES: dict[str, str] = {
    "setup.py": """from setuptools import setup

setup(
    name="x",
    entry_points={
        'console_scripts': [
            # CV entry points
            'classification_pyt=nvidia_tao_pytorch.cv.classification_pyt.entrypoint.classification:main',
            'dino=nvidia_tao_pytorch.cv.dino.entrypoint.dino:main',
            # SSL entry points
            'mae=nvidia_tao_pytorch.ssl.mae.entrypoint.mae:main',
        ]
    },
)
""",
    "release/python/version.py": "MAJOR, MINOR, PATCH = '6', '25', '10'\n",
    "docker/requirements-pip.txt": "transformers<5.0.0  # as shipped\nhuggingface_hub==0.36.2\ngit+https://x/y.git\n",
    "docker/requirements-pip-pytorch.txt": "pytorch_lightning==2.6.1\ntimm==1.0.26\ntorchmetrics == 1.9.0\n",
    "nvidia_tao_pytorch/__init__.py": "",
    "nvidia_tao_pytorch/core/hydra/hydra_runner.py": "def hydra_runner(schema=None): pass\n",
    "nvidia_tao_pytorch/core/module.py": "class TAOLightningModule: pass\n",
    f"{CONFIG}/__init__.py": "",
    f"{CONFIG}/utils/__init__.py": "",
    f"{CONFIG}/utils/types.py": TYPES,
    f"{CONFIG}/common/__init__.py": "from nvidia_tao_pytorch.config.common.common_config import *\n",
    f"{CONFIG}/common/common_config.py": COMMON,
    f"{CONFIG}/classification_pyt/default_config.py": DEFAULT_CONFIG,
    f"{CONFIG}/depth_net/default_config.py": "",
    f"{CV}/dino/__init__.py": "",
    "nvidia_tao_pytorch/ssl/nvdinov2/__init__.py": "",
    f"{CV}/backbone_v2/__init__.py": (
        "from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY\n"
        "from nvidia_tao_pytorch.cv.backbone_v2.vit import vit_base_patch16\n"
    ),
    f"{CV}/backbone_v2/registry.py": "BACKBONE_REGISTRY = Registry('BACKBONE')\n",
    f"{CV}/backbone_v2/base.py": "class BackboneBase: pass\n",
    f"{CV}/backbone_v2/vit.py": VIT,
    f"{NETWORK}/model/classifier.py": "def build_model(experiment_config, export=False): pass\n",
    f"{NETWORK}/model/classifier_pl_model.py": PL_MODULE,
    f"{NETWORK}/model/utils.py": (
        "ptm_adapter = StateDictAdapter()\n"
        "ptm_adapter.add('classification', 'model.')\n"
        "ptm_adapter.add('changenet', 'a.', model_type='radio')\n"
        "other.add('not', 'this.')\n"
        "def cls_parser(original): pass\n"
    ),
    f"{NETWORK}/dataloader/augmentation.py": "class CLDataAugmentation: pass\n",
    f"{NETWORK}/dataloader/dataset.py": (
        "class CLDataset:\n"
        "    def get_image_file_names(self, inference=False, suffix=['jpg', 'JPEG']): pass\n"
    ),
    f"{NETWORK}/dataloader/pl_classification_data_module.py": (
        "import pytorch_lightning as pl\n\n\nclass CLDataModule(pl.LightningDataModule):\n"
        "    def setup(self, stage=None):\n        pass\n"
    ),
    f"{NETWORK}/utils/onnx_export.py": "class ONNXExporter(object): pass\n",
    f"{NETWORK}/utils/utils_vis.py": "def save_with_text_overlay(image, label, path): pass\n",
    f"{NETWORK}/scripts/train.py": script("train"),
    f"{NETWORK}/scripts/evaluate.py": script("evaluate"),
    f"{NETWORK}/scripts/inference.py": script("inference", "infer"),
    f"{NETWORK}/scripts/export.py": script("export"),
    f"{NETWORK}/entrypoint/classification.py": "def main(): pass\n",
    f"{NETWORK}/experiment_specs/experiment_spec.yaml": "results_dir: ???\n",
}


def tao_tree(root: Path, changes: Mapping[str, str | None] | None = None) -> Path:
    """Make a repository of :data:`FILES`; *changes* replaces files, or leaves out those given as None."""
    files = {**FILES, **(changes or {})}
    return repository(root, {path: text for path, text in files.items() if text is not None})


def inspection(
    config: Mapping[str, object] | None = None, *, size: tuple[int, int] = (224, 224), channels: int = 3
) -> Inspection:
    """Return the inspection of a ViT classifier whose config.json says *config*."""
    return Inspection(
        source=Source(kind="hub", ref="someone/vit", sha="0" * 40, folder="/nowhere"),
        model_type="vit",
        architecture="ViTForImageClassification",
        task=TaskChoice(task="image-classification", source="architecture", reason="its class says so"),
        config=dict(config or {}),
        image_size=size,
        channels=channels,
    )
