"""Real models of transformers, tiny and perturbed, made and inspected with the managed environment's Python.

Importing torch and transformers costs more than all of the work, so one process does many requests.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from porter.records.base import Record, from_json, to_json
from porter.records.probes import MakeModel
from porter.records.sandbox import Environment

ROOT = Path(__file__).resolve().parents[1]
LABELS = ("bear", "cat", "dog")
_VIT = {
    "hidden_size": 32,
    "image_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "patch_size": 16,
}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "size": {"height": 32, "width": 32},
}
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTForImageClassification", _VIT),
    "vit-body": ("ViTModel", _VIT),
    "deit": ("DeiTForImageClassificationWithTeacher", _VIT),
    "resnet": (
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    ),
    "swin": (
        "SwinForImageClassification",
        {
            "depths": [1, 1],
            "embed_dim": 16,
            "image_size": 32,
            "num_heads": [2, 2],
            "patch_size": 4,
            "window_size": 4,
        },
    ),
    "tied": (
        "DabDetrForObjectDetection",
        {
            "backbone": None,
            "backbone_config": {
                "depths": [1, 1, 1, 1],
                "embedding_size": 8,
                "hidden_sizes": [8, 16, 16, 16],
                "layer_type": "basic",
                "model_type": "resnet",
                "out_features": ["stage4"],
            },
            "decoder_attention_heads": 2,
            "decoder_ffn_dim": 32,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "encoder_layers": 1,
            "hidden_size": 32,
            "num_queries": 5,
            "use_pretrained_backbone": False,
            "use_timm_backbone": False,
        },
    ),
}

_SERVE = """
import importlib.util, json, sys
jobs, target = json.load(open(sys.argv[1])), sys.argv[2]
from porter.weights.kernel.serve import ProbeError
answers = []
for probe, request in jobs:
    spec = importlib.util.spec_from_file_location(probe, f"{sys.argv[3]}/porter/probes/{probe}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        answers.append(module.run(request))
    except ProbeError as error:
        answers.append(error.answer)
    finally:
        import torch
        torch.set_grad_enabled(True)
json.dump(answers, open(target, "w"), allow_nan=False)
"""


def python(environment: Environment, script: str, *arguments: str, cwd: Path) -> None:
    """Run *script* with the environment's Python; porter's own sources can be imported."""
    done = subprocess.run(
        [environment.python, "-W", "ignore", "-c", script, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]


def serve(environment: Environment, work: Path, jobs: list[tuple[str, Record]]) -> list[Any]:
    """Run probes without a sandbox in one process and return their raw answers."""
    work.mkdir(parents=True, exist_ok=True)
    asked, answered = work / "jobs.json", work / "answers.json"
    asked.write_bytes(to_json(jobs))
    python(environment, _SERVE, str(asked), str(answered), str(ROOT), cwd=work)
    found: list[Any] = json.loads(answered.read_bytes())
    return found


def request(folder: Path, name: str, **changes: Any) -> MakeModel:
    """Return the request that makes a model of :data:`TINY`."""
    architecture, config = TINY[name]
    return MakeModel(
        folder=str(folder),
        architecture=architecture,
        config=config,
        **{"processor": PROCESSOR, "labels": LABELS, **changes},
    )


def make_models(environment: Environment, root: Path, models: Mapping[str, MakeModel]) -> None:
    """Make *models*, given as requests by folder name, in one process."""
    serve(environment, root, [("make_demo_model", made) for made in models.values()])


def read(raw: Any, kind: type[Any]) -> Any:
    """Return a raw answer as the record *kind*."""
    return from_json(json.dumps(raw).encode(), kind)
