# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""What is common to the start of every task."""

import os

import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.loggers import TensorBoardLogger

import nvidia_tao_pytorch.core.loggers.api_logging as status_logging
from nvidia_tao_pytorch.core.cookbooks.tlt_pytorch_cookbook import TLTPyTorchCookbook
from nvidia_tao_pytorch.core.tlt_logging import logging
from nvidia_tao_pytorch.core.utilities import get_latest_checkpoint


def _devices(cfg, task):
    """Write the launcher's choice of devices into the spec and return it."""
    gpus = [int(gpu) for gpu in os.environ["TAO_VISIBLE_DEVICES"].split(",")]
    cfg[task]["num_gpus"] = len(gpus)
    cfg[task]["gpu_ids"] = gpus
    return gpus


def _settle_randomness(train):
    if train["seed"] >= 0:
        seed_everything(train["seed"], workers=True)
    torch.backends.cudnn.benchmark = train["cudnn"]["benchmark"]
    torch.backends.cudnn.deterministic = train["cudnn"]["deterministic"]
    if train["cudnn"]["deterministic"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Only the math kernel of the attention has a deterministic backward pass.
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_math_sdp(True)


def initialize_train_experiment(cfg, key=None):
    """Return the checkpoint to resume from (or None) and the Trainer's arguments."""
    TLTPyTorchCookbook.set_passphrase(key)
    train, results_dir = cfg["train"], cfg["results_dir"]
    epochs = train["num_epochs"]
    if train.get("checkpoint_interval_unit", "epoch") == "epoch":
        assert train["checkpoint_interval"] <= epochs, f"checkpoint_interval is above num_epochs ({epochs})."
    assert train["validation_interval"] <= epochs, f"validation_interval is above num_epochs ({epochs})."
    _settle_randomness(train)

    resume_ckpt = train["resume_training_checkpoint_path"] or get_latest_checkpoint(results_dir)
    if resume_ckpt:
        if not resume_ckpt.endswith((".tlt", ".pth")):
            raise ValueError("A checkpoint to resume from ends in .tlt or .pth.")
        logging.info(f"Setting resume checkpoint to {resume_ckpt}")
        message = f"Resuming training from checkpoint: {resume_ckpt}"
        status_logging.get_status_logger().write(message=message)

    return resume_ckpt, {
        "logger": [TensorBoardLogger(save_dir=results_dir, version=1, name="lightning_logs")],
        "devices": _devices(cfg, "train"),
        "max_epochs": epochs,
        "check_val_every_n_epoch": train["validation_interval"],
        "default_root_dir": results_dir,
        "accelerator": "gpu",
        # The Lightning module brings its own checkpoint callback.
        "enable_checkpointing": False,
        "deterministic": "warn" if train["cudnn"]["deterministic"] else False,
    }


def _initialize_run(cfg, key, task):
    TLTPyTorchCookbook.set_passphrase(key)
    model_path = cfg[task]["checkpoint"]
    status_logging.get_status_logger().write(message=f"Loading checkpoint: {model_path}")
    return model_path, {
        "devices": _devices(cfg, task),
        "default_root_dir": cfg["results_dir"],
        "accelerator": "gpu",
        "strategy": "auto",
    }


def initialize_evaluation_experiment(cfg, key=None):
    """Return the checkpoint to evaluate and the Trainer's arguments."""
    return _initialize_run(cfg, key, "evaluate")


def initialize_inference_experiment(cfg, key=None):
    """Return the checkpoint to run and the Trainer's arguments."""
    return _initialize_run(cfg, key, "inference")
