# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Evaluates a classifier on the validation split."""

import os

from pytorch_lightning import Trainer

from nvidia_tao_pytorch.config.classification_pyt.default_config import ExperimentConfig
from nvidia_tao_pytorch.core.decorators.workflow import monitor_status
from nvidia_tao_pytorch.core.hydra.hydra_runner import hydra_runner
from nvidia_tao_pytorch.core.initialize_experiments import initialize_evaluation_experiment
from nvidia_tao_pytorch.core.tlt_logging import obfuscate_logs
from nvidia_tao_pytorch.cv.classification_pyt.dataloader.pl_classification_data_module import CLDataModule
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model import ClassifierPlModel


def run_experiment(experiment_config, key):
    model_path, trainer_kwargs = initialize_evaluation_experiment(experiment_config, key)
    if not model_path.endswith((".tlt", ".pth")):
        raise NotImplementedError("Only checkpoints are evaluated here; engines go to the deploy repository.")
    dm = CLDataModule(experiment_config.dataset)
    dm.setup(stage="test")
    model = ClassifierPlModel.load_from_checkpoint(
        model_path, map_location="cpu", experiment_spec=experiment_config
    )
    Trainer(**trainer_kwargs).test(model, datamodule=dm)


ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@hydra_runner(
    config_path=os.path.join(ROOT, "experiment_specs"), config_name="experiment_spec", schema=ExperimentConfig
)
@monitor_status(name="Classification", mode="evaluate")
def main(cfg: ExperimentConfig) -> None:
    obfuscate_logs(cfg)
    run_experiment(cfg, cfg.encryption_key)


if __name__ == "__main__":
    main()
