"""Facts of a port in which every item holds, made by hand."""

from __future__ import annotations

from typing import Any

import msgspec

from porter.records.consistency import ConsistencyFacts, OnnxFacts, SchemaEntry, SchemaFacts, SpecFacts
from porter.records.reference import Repo

NAME = "net"
GENERATED = f"config.{NAME}.default_config"
CLONE = "config.classification_pyt.default_config"
TRAIN_SPEC = f"nvidia_tao_pytorch/cv/{NAME}/experiment_specs/experiment_spec.yaml"


def entry(owner: str = f"{GENERATED}.C", **more: Any) -> SchemaEntry:
    """Return a field; an ``int`` of 1 where nothing else is said."""
    given: dict[str, Any] = {"type": "int", "default": 1, "metadata": {}, "owner": owner, **more}
    return SchemaEntry(**given)


def section(*lineage: str) -> SchemaEntry:
    """Return a nested section whose classes are *lineage*."""
    return entry(type=lineage[0].rpartition(".")[2], default=None, lineage=lineage)


VALUES: dict[str, Any] = {
    "results_dir": "/r",
    "dataset.img_size": 32,
    "dataset.augmentation.mean": [0.5],
    "dataset.augmentation.std": [0.5],
    "model.backbone.type": "vit",
    "model.head.in_channels": 8,
    "evaluate.checkpoint": f"/r/train/{NAME}_model_latest.pth",
    "inference.checkpoint": f"/r/train/{NAME}_model_latest.pth",
    "export.checkpoint": f"/r/train/{NAME}_model_latest.pth",
    "export.batch_size": -1,
    "export.input_width": 32,
    "export.input_height": 32,
    "export.input_channel": 3,
    "export.onnx_file": "/r/export/net.onnx",
    "gen_trt_engine.onnx_file": "/r/export/net.onnx",
    "gen_trt_engine.trt_engine": "/r/trt/net.engine",
    "gen_trt_engine.batch_size": -1,
    "gen_trt_engine.tensorrt.min_batch_size": 1,
    "gen_trt_engine.tensorrt.opt_batch_size": 2,
    "gen_trt_engine.tensorrt.max_batch_size": 4,
}


def spec(**values: Any) -> SpecFacts:
    """Return a spec with *values* (``a__b`` for ``a.b``) over the usual ones."""
    return SpecFacts(values={**VALUES, **{key.replace("__", "."): value for key, value in values.items()}})


EXPORT = f"nvidia_tao_pytorch/cv/{NAME}/scripts/export.py"
EXPORTER = 'dynamic_axes = {"input": {0: "n"}, "output": {0: "n"}}'


def export_script(inputs: str = '["input"]', outputs: str = '["output"]') -> str:
    """Return a script that exports with these names."""
    return f"exporter.export_model(model, input_names={inputs}, output_names={outputs})"


def facts(
    *, train: SpecFacts | None = None, onnx: OnnxFacts | None = None, **changes: Any
) -> ConsistencyFacts:
    """Return the facts of a port to tao-pytorch alone, changed by *changes*."""
    schema = SchemaFacts(
        fields={key: entry(default=value) for key, value in VALUES.items()},
        specs={TRAIN_SPEC: train or spec()},
        mapping={"head": {"in_channels": {"vit": 8}}},
        onnx=onnx,
    )
    root: Repo = "tao-pytorch"
    whole = ConsistencyFacts(
        name=NAME,
        config_root={root: "nvidia_tao_pytorch.config", "tao-deploy": "nvidia_tao_deploy.config"},
        repos=(root,),
        why_no_deploy="there is none",
        files={root: {}},
        schemas={root: schema},
        head=(3, 8),
    )
    return msgspec.structs.replace(whole, **changes)
