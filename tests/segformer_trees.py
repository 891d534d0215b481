"""Trees that have of TAO's SegFormer just what a port relies on; nothing in them ever runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from porter.reference.network import DeployPlace, Network, load_network
from tests.deploy_trees import SETUP
from tests.reference.trees import FILES, HEADER, script
from tests.repositories import repository

CV = "nvidia_tao_pytorch/cv"
BACKBONES = f"{CV}/backbone_v2"
CONFIG = "nvidia_tao_pytorch/config"
SIZES = {"b0": (2, 2, 2, 2), "b2": (3, 4, 6, 3)}
WIDTHS = {"b0": (32, 64, 160, 256), "b2": (64, 128, 320, 512)}

_TYPES = '''"""Field helpers."""
from dataclasses import field


def STR_FIELD(value, **rest):
    return field(default=value, metadata={"default_value": "", **rest})


def INT_FIELD(value, **rest):
    return field(default=value, metadata={"default_value": None, **rest})


def BOOL_FIELD(value, **rest):
    return field(default=value, metadata={"default_value": None, **rest})


def LIST_FIELD(arrList, **rest):
    return field(default_factory=lambda: arrList, metadata={"default_value": arrList, **rest})


def DICT_FIELD(hashMap, **rest):
    return field(default_factory=lambda: hashMap, metadata={"default_value": hashMap, **rest})


def DATACLASS_FIELD(hashMap, **rest):
    return field(default_factory=lambda: hashMap, metadata={"default_value": {}, **rest})
'''

_COMMON = '''"""What every network has."""
from dataclasses import dataclass
from omegaconf import MISSING
from nvidia_tao_pytorch.config.utils.types import INT_FIELD, STR_FIELD


@dataclass
class TrainConfig:
    num_epochs: int = INT_FIELD(value=10, default_value=10)


@dataclass
class EvaluateConfig:
    checkpoint: str = STR_FIELD(value=MISSING, default_value="")


@dataclass
class InferenceConfig:
    checkpoint: str = STR_FIELD(value=MISSING, default_value="")


@dataclass
class ExportConfig:
    input_width: int = INT_FIELD(value=960, default_value=960, valid_min=32)
    input_height: int = INT_FIELD(value=544, default_value=544, valid_min=32)


@dataclass
class TrtConfig:
    workspace_size: int = INT_FIELD(value=1024, default_value=1024)


@dataclass
class GenTrtEngineConfig:
    batch_size: int = INT_FIELD(value=-1, default_value=-1)


@dataclass
class CommonExperimentConfig:
    results_dir: str = STR_FIELD(value=MISSING, default_value="")
'''

_SCHEMA = '''"""SegFormer."""
from dataclasses import dataclass
from typing import Any, Dict, List, Optional
from nvidia_tao_pytorch.config.utils.types import (
    DATACLASS_FIELD, DICT_FIELD, INT_FIELD, LIST_FIELD, STR_FIELD,
)
from nvidia_tao_pytorch.config.common.common_config import (
    CommonExperimentConfig, EvaluateConfig, ExportConfig, GenTrtEngineConfig, InferenceConfig, TrainConfig,
    TrtConfig,
)


@dataclass
class SFOptimConfig:
    optim: str = STR_FIELD(value="adamw", default_value="adamw", valid_options="adamw,sgd")


@dataclass
class SegFormerHeadConfig:
    in_channels: List[int] = LIST_FIELD(arrList=[1, 2, 3, 4], description="Widths of the maps")
    in_index: List[int] = LIST_FIELD(arrList=[0, 1, 2, 3])
    feature_strides: List[int] = LIST_FIELD(arrList=[4, 8, 16, 32])
    decoder_params: Dict[str, int] = DICT_FIELD(hashMap={"embed_dim": 7})


@dataclass
class BackboneConfig:
    type: str = STR_FIELD(value="one", default_value="one", description="Which", valid_options="one,other")
    pretrained_backbone_path: Optional[str] = STR_FIELD(value=None, default_value="")


@dataclass
class SFModelConfig:
    backbone: BackboneConfig = DATACLASS_FIELD(BackboneConfig())
    decode_head: SegFormerHeadConfig = DATACLASS_FIELD(SegFormerHeadConfig())


@dataclass
class SFAugmentationSegmentConfig:
    mean: List[float] = LIST_FIELD(arrList=[0.5, 0.5, 0.5])
    std: List[float] = LIST_FIELD(arrList=[0.5, 0.5, 0.5])


@dataclass
class SFDatasetSegmentConfig:
    num_classes: int = INT_FIELD(value=2, default_value=2, valid_min=2)
    img_size: int = INT_FIELD(value=256, default_value=256)
    batch_size: int = INT_FIELD(value=-1, default_value=8)
    workers: int = INT_FIELD(value=8, default_value=1)
    augmentation: SFAugmentationSegmentConfig = DATACLASS_FIELD(SFAugmentationSegmentConfig())
    label_transform: str = STR_FIELD(value="norm", default_value="norm", valid_options="norm,None")
    palette: Optional[List[Dict[Any, Any]]] = LIST_FIELD(arrList=[{"seg_class": "it", "rgb": [0, 0, 0]}])


@dataclass
class SFDatasetConfig:
    segment: SFDatasetSegmentConfig = DATACLASS_FIELD(SFDatasetSegmentConfig())


@dataclass
class SFTrainExpConfig(TrainConfig):
    optim: SFOptimConfig = DATACLASS_FIELD(SFOptimConfig())
    use_distributed_sampler: bool = BOOL_FIELD(value=False)
    sync_batchnorm: bool = BOOL_FIELD(value=False)


@dataclass
class SFEvalExpConfig(EvaluateConfig):
    vis_after_n_batches: int = INT_FIELD(value=16, default_value=1)
    batch_size: int = INT_FIELD(value=-1, default_value=8)


@dataclass
class SFInferenceExpConfig(InferenceConfig):
    vis_after_n_batches: int = INT_FIELD(value=16, default_value=1)
    batch_size: int = INT_FIELD(value=-1, default_value=8)


@dataclass
class SFExportExpConfig(ExportConfig):
    serialize: bool = True


@dataclass
class SFTrtConfig(TrtConfig):
    data_type: str = STR_FIELD(value="FP32", default_value="fp16")


@dataclass
class SFGenTrtEngineExpConfig(GenTrtEngineConfig):
    tensorrt: SFTrtConfig = DATACLASS_FIELD(SFTrtConfig())


@dataclass
class ExperimentConfig(CommonExperimentConfig):
    model: SFModelConfig = DATACLASS_FIELD(SFModelConfig())
    dataset: SFDatasetConfig = DATACLASS_FIELD(SFDatasetConfig())
    train: SFTrainExpConfig = DATACLASS_FIELD(SFTrainExpConfig())
    evaluate: SFEvalExpConfig = DATACLASS_FIELD(SFEvalExpConfig())
    inference: SFInferenceExpConfig = DATACLASS_FIELD(SFInferenceExpConfig())
    export: SFExportExpConfig = DATACLASS_FIELD(SFExportExpConfig())
    gen_trt_engine: SFGenTrtEngineExpConfig = DATACLASS_FIELD(SFGenTrtEngineExpConfig())
'''

_ENTRY = """

@BACKBONE_REGISTRY.register()
def mit_{size}(**kwargs):
    return MixTransformer(
        depths={depths}, embed_dims={widths}, num_heads=[1, 2, 5, 8], mlp_ratios=[4, 4, 4, 4],
        sr_ratios=[8, 4, 2, 1], norm_layer=partial(nn.LayerNorm, eps=1e-6), drop_rate=0.0,
        drop_path_rate=0.1, **kwargs,
    )
"""

_MIT = '''"""Backbones."""
from functools import partial
from torch import nn
from nvidia_tao_pytorch.cv.backbone_v2 import BACKBONE_REGISTRY


class MixTransformer(nn.Module):
    def __init__(self, img_size=224, in_chans=3, embed_dims=(), num_heads=(), mlp_ratios=(), qkv_bias=True,
                 drop_rate=0.0, attn_drop_rate=0.0, drop_path_rate=0.0, norm_layer=nn.LayerNorm, depths=(),
                 sr_ratios=(), num_classes=1000, **kwargs):
        pass
''' + "".join(
    _ENTRY.format(size=size, depths=list(depths), widths=list(WIDTHS[size])) for size, depths in SIZES.items()
)

_PL_MODULE = '''"""Module."""
from nvidia_tao_pytorch.core.module import TAOLightningModule


class SegFormerPlModel(TAOLightningModule):
    def __init__(self, experiment_spec, export=False):
        super().__init__(experiment_spec)
        self.checkpoint_filename = "segformer_model"
'''


def trainer_files() -> dict[str, str]:
    """Return text by path: the tree of a tao-pytorch with SegFormer and no other network."""
    network = load_network("segformer", "in-repo")
    files = {path: text for path, text in FILES.items() if "classification_pyt" not in path}
    files |= {item.path: "" for item in network.files if item.path.startswith("nvidia_tao_pytorch/")}
    files |= {_path(module): HEADER + text for module, text in _stubs(network.symbols.values()).items()}
    files |= _classes(network)
    files |= {
        f"{CV}/segformer/scripts/{mode}.py": script(mode, "experiment_spec").replace(
            "classification_pyt", "segformer"
        )
        for mode in ("train", "evaluate", "inference", "export")
    }
    del files[f"{CV}/segformer/scripts/quantize.py"]
    files |= {
        f"{CV}/segformer/experiment_specs/experiment_spec.yaml": "results_dir: ???\n",
        f"{BACKBONES}/__init__.py": (
            "from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY\n"
            "from nvidia_tao_pytorch.cv.backbone_v2.mit import mit_b0\n"
        ),
        f"{BACKBONES}/mit.py": _MIT,
        **_config("nvidia_tao_pytorch"),
    }
    return files


def trainer_tree(root: Path, changes: Mapping[str, str | None] | None = None) -> Path:
    """Make a repository of :func:`trainer_files`, with *changes* as in ``tests.reference.trees``."""
    files = {**trainer_files(), **(changes or {})}
    return repository(root, {path: text for path, text in files.items() if text is not None})


def deploy_tree(root: Path) -> Path:
    """Make a repository that has of tao-deploy what a port of SegFormer relies on."""
    place = load_network("segformer", "in-repo").deploy
    assert place is not None
    modules = _stubs(place.symbols.values(), _hooks(place))
    files = {_path(module): f"{HEADER}\n{text}" for module, text in modules.items()}
    files |= {**_config("nvidia_tao_deploy"), place.docs_tool: "", place.docs_page: ""}
    files["setup.py"] = files["setup_l4t.py"] = SETUP
    files["nvidia_tao_deploy/__init__.py"] = files["nvidia_tao_deploy/cv/dino/__init__.py"] = ""
    return repository(root, files)


def _path(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _config(package: str) -> dict[str, str]:
    texts = {
        "__init__": "",
        "utils/__init__": "",
        "utils/types": _TYPES,
        "common/__init__": "",
        "common/common_config": _COMMON,
        "segformer/default_config": HEADER + _SCHEMA,
    }
    return {
        f"{package}/config/{path}.py": text.replace("nvidia_tao_pytorch", package)
        for path, text in texts.items()
    }


def _classes(network: Network) -> dict[str, str]:
    hooks = (*network.hooks.required, *network.hooks.optional)
    methods = "".join(f"\n    def {hook}(self, *arguments):\n        pass\n" for hook in hooks)
    files = {_path(network.classes.pl_module.partition(":")[0]): HEADER + _PL_MODULE + methods}
    for symbol in (network.classes.data_module, network.classes.dataset):
        module, _, name = symbol.partition(":")
        files[_path(module)] = f"{HEADER}class {name}:\n    pass\n"
    return files


def _hooks(place: DeployPlace) -> dict[str, str]:
    """Return methods with their parameters by ``package.module:Class``."""
    found: dict[str, str] = defaultdict(str)
    for hook, parameters in (place.hooks | dict.fromkeys(place.optional_hooks, ())).items():
        owner, _, method = hook.rpartition(".")
        named = "".join(f", {parameter}=None" for parameter in parameters)
        found[owner] += f"    def {method}(self{named}):\n        pass\n"
    return found


def _stubs(symbols: Iterable[str], methods: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the text of modules in which every one of *symbols* is a class."""
    known = methods or {}
    found: dict[str, str] = defaultdict(str)
    for symbol in sorted({*symbols, *known}):
        module, _, name = symbol.partition(":")
        found[module] += f"class {name}:\n{known.get(symbol, '    pass' + chr(10))}\n"
    return found
