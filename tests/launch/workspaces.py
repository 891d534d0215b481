"""Workspaces that look like those of finished ports, without a port."""

from __future__ import annotations

from pathlib import Path

from porter.launch import catalog, ported, remembered
from porter.records.options import PortOptions
from porter.records.ported import PortFacts
from porter.workspace import Workspace

CLASSIFIER_KEYS = (
    *("results_dir", "train.num_gpus", "train.gpu_ids", "train.num_nodes", "train.num_epochs"),
    *("train.pretrained_model_path", "train.resume_training_checkpoint_path", "train.optim.lr"),
    *("train.checkpoint_interval", "train.validation_interval"),
    *("model.backbone.type", "model.backbone.pretrained_backbone_path", "model.backbone.freeze_backbone"),
    *("model.backbone.freeze_norm", "model.head.type", "model.head.topk", "model.head.dropout"),
    *("dataset.root_dir", "dataset.classes_file", "dataset.num_classes", "dataset.img_size"),
    *("dataset.batch_size", "dataset.train_dataset.images_dir", "dataset.val_dataset.images_dir"),
    *("dataset.test_dataset.images_dir", "dataset.quant_calibration_dataset.images_dir"),
    *("evaluate.checkpoint", "evaluate.trt_engine", "inference.checkpoint", "inference.trt_engine"),
    *("export.checkpoint", "export.onnx_file", "gen_trt_engine.onnx_file", "gen_trt_engine.trt_engine"),
)

SCRIPTS = ("train", "evaluate", "inference", "export")
DEPLOYED = ("gen_trt_engine", "inference", "evaluate")


def classifier(name: str = "tiny_vit", checkpoint: str = "/ports/tiny/tiny_vit.pth") -> PortFacts:
    """Return the facts of a ported classifier."""
    return PortFacts(
        name=name,
        task="image-classification",
        source="org/tiny-vit",
        actions=SCRIPTS,
        deployed=DEPLOYED,
        weights="model.backbone.pretrained_backbone_path",
        backbone_weights="model.backbone.pretrained_backbone_path",
        checkpoint=checkpoint,
        trained=f"{name}_model_latest.pth",
        roots=("dataset.root_dir",),
        cautious={"model.head.topk": [1]},
        keys=CLASSIFIER_KEYS,
        fixed=("model.backbone.type",),
        searched=("model.head.dropout", "train.optim.lr"),
    )


def finished(root: Path, name: str = "tiny_vit") -> Workspace:
    """Make the workspace of a port that has its entry, and have porter remember it."""
    workspace = Workspace.create(root, PortOptions(source="org/tiny-vit", name=name))
    (workspace.root / "tao-pytorch" / "nvidia_tao_pytorch" / "cv" / name).mkdir(parents=True)
    checkpoint = workspace.results / "checkpoint" / f"{name}.pth"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    facts = classifier(name, str(checkpoint))
    found = ported.entry_of(facts, catalog.entry("classification_pyt"))
    catalog.write(remembered.entry_of(workspace, name), found)
    remembered.remember(workspace, name)
    return workspace
