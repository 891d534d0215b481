# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Trains a classifier."""

import os

from pytorch_lightning import Trainer

from nvidia_tao_pytorch.config.classification_pyt.default_config import ExperimentConfig
from nvidia_tao_pytorch.core.decorators.workflow import monitor_status
from nvidia_tao_pytorch.core.hydra.hydra_runner import hydra_runner
from nvidia_tao_pytorch.core.initialize_experiments import initialize_train_experiment
from nvidia_tao_pytorch.core.tlt_logging import obfuscate_logs
from nvidia_tao_pytorch.cv.classification_pyt.dataloader.pl_classification_data_module import CLDataModule
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model import ClassifierPlModel

PRECISIONS = {"fp16": "16-mixed", "bf16": "bf16-mixed", "fp32": "32-true"}


def run_experiment(experiment_config, key, lightning_module=ClassifierPlModel):
    resume_ckpt, trainer_kwargs = initialize_train_experiment(experiment_config, key)
    train = experiment_config.train
    if train.precision.lower() not in PRECISIONS:
        raise NotImplementedError(
            f"{train.precision} is not supported. Only bf16, fp16, and fp32 are supported"
        )
    # The data module writes classes.txt, which the model reads.
    dm = CLDataModule(experiment_config.dataset)
    dm.setup(stage="fit")
    model = lightning_module(experiment_config)
    several = len(trainer_kwargs["devices"]) > 1
    trainer = Trainer(
        **trainer_kwargs,
        gradient_clip_val=train.clip_grad_norm,
        num_nodes=train.num_nodes,
        strategy="ddp_find_unused_parameters_true" if several else "auto",
        precision=PRECISIONS[train.precision.lower()],
        use_distributed_sampler=False,
        sync_batchnorm=True,
    )
    trainer.fit(model, dm, ckpt_path=resume_ckpt)


ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@hydra_runner(
    config_path=os.path.join(ROOT, "experiment_specs"), config_name="experiment_spec", schema=ExperimentConfig
)
@monitor_status(name="Classification", mode="train")
def main(cfg: ExperimentConfig) -> None:
    obfuscate_logs(cfg)
    run_experiment(cfg, cfg.encryption_key)


if __name__ == "__main__":
    main()
