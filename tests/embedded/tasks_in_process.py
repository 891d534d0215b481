"""Runs classification_pyt's four tasks in one process and writes down everything they did.

Started by the tests with a TAO environment's Python and a tao-pytorch tree first on PYTHONPATH:
``tasks_in_process.py DATA RESULTS ANSWER``. Both the kit and the real tree go through this file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TAO_VISIBLE_DEVICES"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import onnxruntime
import pytorch_lightning
import torch
from nvidia_tao_pytorch.config.classification_pyt import default_config as classification_config
from nvidia_tao_pytorch.config.classification_pyt.default_config import ExperimentConfig
from nvidia_tao_pytorch.config.common import common_config, mlops
from nvidia_tao_pytorch.config.common.quantization import default_config as quantization_config
from nvidia_tao_pytorch.core.decorators.workflow import monitor_status
from nvidia_tao_pytorch.core.initialize_experiments import initialize_train_experiment
from nvidia_tao_pytorch.core.utils.pos_embed_interpolation import interpolate_pos_embed
from nvidia_tao_pytorch.cv.backbone_v2 import BACKBONE_REGISTRY
from nvidia_tao_pytorch.cv.backbone_v2.vit import VisionTransformer
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier import build_model
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model import ClassifierPlModel
from nvidia_tao_pytorch.cv.classification_pyt.model.utils import cls_parser, ptm_adapter
from nvidia_tao_pytorch.cv.classification_pyt.scripts import evaluate, export, inference, train
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError

SIZE = 32


def porter_test_vit(**kwargs: Any) -> Any:
    """Return a ViT of two blocks, small enough to train in a test."""
    return VisionTransformer(
        img_size=SIZE, patch_size=16, embed_dim=32, depth=2, num_heads=2, dynamic_img_size=True, **kwargs
    )


BACKBONE_REGISTRY.register(porter_test_vit)


def use_the_cpu() -> None:
    """Both trees ask for a GPU in so many words; on this machine that would end every task."""
    init = pytorch_lightning.Trainer.__init__

    def on_cpu(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("accelerator") == "gpu":
            kwargs.update(accelerator="cpu", devices=1)
        init(self, *args, **{**kwargs, "enable_progress_bar": False})

    pytorch_lightning.Trainer.__init__ = on_cpu
    torch.cuda.set_device = lambda device: None


def spec(data: Path, results: Path, **changes: Any) -> Any:
    """Return a spec with every augmentation on, as the schema has it; *changes* have dotted keys."""
    given = {
        "results_dir": str(results),
        "dataset.root_dir": str(data),
        "dataset.num_classes": 3,
        "dataset.img_size": SIZE,
        "dataset.batch_size": 5,
        "dataset.workers": 0,
        "dataset.train_dataset.images_dir": str(data / "train"),
        "dataset.val_dataset.images_dir": str(data / "val"),
        "dataset.test_dataset.images_dir": str(data / "test"),
        "model.backbone.type": "porter_test_vit",
        "model.head.topk": [1, 2],
        "train.num_epochs": 2,
        "train.optim.lr": 0.01,
        "train.optim.policy": "cosine",
        "train.optim.warmup_epochs": 1,
        "train.optim.skip_names": ["bias", "norm"],
        "export.input_width": SIZE,
        "export.input_height": SIZE,
        "export.on_cpu": True,
        **changes,
    }
    cfg = OmegaConf.structured(ExperimentConfig)
    for key, value in given.items():
        OmegaConf.update(cfg, key, value)
    return cfg


def in_json(value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* as JSON has it; what JSON has no form for becomes text."""
    return dict(json.loads(json.dumps(value, default=str)))


def images(count: int) -> torch.Tensor:
    """Return the same random images every time, (count, 3, SIZE, SIZE)."""
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(count))


def schedules(data: Path, results: Path) -> dict[str, Any]:
    """Return optimizer groups and learning rates by optimizer and policy."""
    seen: dict[str, Any] = {}
    for optim in ("sgd", "adam", "adamw"):
        for policy in ("linear", "step", "multistep"):
            params = {"step_size": 1, "gamma": 0.5, "milestones": [1, 3]}
            changes = {
                "train.optim.optim": optim,
                "train.optim.policy": policy,
                "train.optim.policy_params": params,
            }
            made = ClassifierPlModel(spec(data, results, **changes)).configure_optimizers()
            optimizer, schedule = made["optimizer"], made["lr_scheduler"]
            groups = [
                {**{key: value for key, value in group.items() if key != "params"}, "n": len(group["params"])}
                for group in optimizer.param_groups
            ]
            rates = []
            for _ in range(4):
                rates.append(schedule["scheduler"].get_last_lr())
                optimizer.step()
                schedule["scheduler"].step()
            rest = {"interval": schedule["interval"], "monitor": made["monitor"]}
            seen[f"{optim} {policy}"] = {"groups": groups, "rates": rates, **rest}
    return in_json(seen)


def frozen(data: Path, results: Path, checkpoint: Path) -> dict[str, Any]:
    """Return what a frozen backbone with pretrained weights trains, and its logits."""
    changes = {
        "model.backbone.freeze_backbone": True,
        "model.backbone.pretrained_backbone_path": str(checkpoint),
    }
    model = build_model(spec(data, results, **changes))
    trainable = [name for name, tensor in model.named_parameters() if tensor.requires_grad]
    return {"trainable": trainable, "logits": model.eval()(images(2)).tolist()}


def features() -> dict[str, Any]:
    """Return what the backbone gives beside logits, and what freezing two of its stages leaves."""
    model = porter_test_vit(num_classes=3, freeze_at=[0, 1, "no such stage"]).eval()
    batch = images(2)
    return {
        "stages": {key: type(stage).__name__ for key, stage in model.get_stage_dict().items()},
        "trainable": [name for name, tensor in model.named_parameters() if tensor.requires_grad],
        "training": [name for name, module in model.named_modules() if module.training],
        "pre_logits": list(model.forward_pre_logits(batch).shape),
        "pyramid": [list(level.shape) for level in model.forward_feature_pyramid(batch)],
        "other size": list(model(torch.zeros(1, 3, 64, 64)).shape),
    }


def names_and_positions() -> dict[str, Any]:
    """Return what loading does to names, and to position embeddings of another size."""
    keys = (
        "module.a.b",
        "backbone.a",
        "model.model.backbone.a",
        "model.backbone.a",
        "model.encoder.a",
        "model.decoder.a",
        "model.a",
        "ema_a",
        "a.model.b",
    )
    table = torch.rand(1, 1 + 7 * 7, 8, generator=torch.Generator().manual_seed(1))
    resized = interpolate_pos_embed({"pos_embed": table}, orig_patch_size=16, new_resolution=80)
    return {
        "parsed": [list(cls_parser({key: 0})) for key in keys],
        "adapted": list(ptm_adapter("classification", {"model.a": 0, "b": 0})),
        "resized": resized["pos_embed"].flatten().tolist(),
    }


def endings(data: Path, results: Path) -> dict[str, Any]:
    """Return how the status log ends, and what escapes, by what a task raised."""
    raised = (
        KeyboardInterrupt("x"),
        SystemError("x"),
        ConfigKeyError("x"),
        NotImplementedError("x"),
        ValueError("x"),
        TypeError("x"),
        FileNotFoundError("x"),
        KeyError("x"),
        RuntimeError("x"),
    )
    seen = {}
    for error in raised:
        name = type(error).__name__

        def task(cfg: Any, error: BaseException = error) -> None:
            raise error

        escaped = ""
        try:
            monitor_status(name="A task", mode="train")(task)(spec(data, results / name))
        except Exception as caught:
            escaped = type(caught).__name__
        last = status_lines(results / name / "train")[-1]
        seen[name] = {"escaped": escaped, "status": last["status"], "message": last["message"]}
    return seen


def refusals(data: Path, results: Path) -> dict[str, str]:
    """Return the type of the error by the spec that is refused."""
    cases: dict[str, dict[str, Any]] = {
        "interval": {"train.checkpoint_interval": 3},
        "validation": {"train.validation_interval": 3},
        "resume": {"train.resume_training_checkpoint_path": "somewhere.ckpt"},
    }
    seen = {}
    for name, changes in cases.items():
        try:
            initialize_train_experiment(spec(data, results, **changes))
            seen[name] = "nothing"
        except Exception as error:
            seen[name] = type(error).__name__
    tasks: dict[str, dict[str, Any]] = {
        "optimizer": {"train.optim.optim": "lion"},
        "policy": {"train.optim.policy": "exponential"},
        "batch": {"dataset.batch_size": 1000},
        "precision": {"train.precision": "fp8"},
    }
    for name, changes in tasks.items():
        try:
            train.main(spec(data, results / f"refused {name}", **changes))
            seen[name] = "nothing"
        except Exception as error:
            seen[name] = type(error).__name__
    return seen


def metadata() -> dict[str, Any]:
    """Return the metadata of every config field, by class, without the two texts for people."""
    texts = {"display_name", "description"}
    seen: dict[str, Any] = {}
    for module in (common_config, mlops, quantization_config, classification_config):
        for name, kind in vars(module).items():
            if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__:
                seen[name] = {
                    field.name: {key: value for key, value in field.metadata.items() if key not in texts}
                    for field in dataclasses.fields(kind)
                }
    return in_json(seen)


def status_lines(folder: Path) -> list[dict[str, Any]]:
    """Return the status log without what a clock wrote."""
    timed = {"date", "time", "time_per_epoch", "time_per_step", "eta"}
    lines = [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in timed} for line in lines]


def main(data: Path, results: Path, answer: Path) -> None:
    """Train, evaluate, infer, export, and write the answer."""
    use_the_cpu()
    train.main(spec(data, results))
    checkpoint = results / "train" / "model_epoch_001.pth"
    latest = results / "train" / "classifier_model_latest.pth"
    evaluate.main(spec(data, results, **{"evaluate.checkpoint": str(latest)}))
    inference.main(spec(data, results, **{"inference.checkpoint": str(latest)}))
    onnx = results / "model.onnx"
    export.main(spec(data, results, **{"export.checkpoint": str(latest), "export.onnx_file": str(onnx)}))

    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    ports = [(port.name, port.shape) for port in (*session.get_inputs(), *session.get_outputs())]
    tasks = ("train", "evaluate", "inference", "export")
    files = sorted(str(path.relative_to(results)) for path in results.rglob("*") if path.is_file())
    status = {task: status_lines(results / task) for task in tasks}
    train.main(spec(data, results))
    result = {
        "resumed": status_lines(results / "train")[len(status["train"]) :],
        "tree": sys.modules["nvidia_tao_pytorch"].__path__[0],
        "files": files,
        "latest": os.path.realpath(latest) == str(checkpoint.resolve()),
        "checkpoint_keys": sorted(saved),
        "tao_model": saved["tao_model"],
        "weights": {name: tensor.flatten().tolist() for name, tensor in saved["state_dict"].items()},
        "csv": {task: (results / task / "result.csv").read_text() for task in ("evaluate", "inference")},
        "status": status,
        "specs": {
            task: OmegaConf.to_container(OmegaConf.load(results / task / "experiment.yaml")) for task in tasks
        },
        "ports": ports,
        "onnx": {n: session.run(None, {"input": images(n).numpy()})[0].tolist() for n in (1, 2, 5)},
        "schedules": schedules(data, results),
        "frozen": frozen(data, results, checkpoint),
        "features": features(),
        "names and positions": names_and_positions(),
        "endings": endings(data, results / "endings"),
        "refusals": refusals(data, results / "refusals"),
        "metadata": metadata(),
        "defaults": OmegaConf.to_container(OmegaConf.structured(ExperimentConfig)),
    }
    answer.write_text(json.dumps(result))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
