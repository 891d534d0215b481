# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""The Lightning module that every network extends."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from nvidia_tao_pytorch.core.callbacks.loggers import TAOStatusLogger


class TAOLightningModule(pl.LightningModule):
    """Checkpoint names, status log and checks of the data; subclasses set checkpoint_filename."""

    def __init__(self, experiment_spec, **kwargs):
        super().__init__(**kwargs)
        self.experiment_spec = experiment_spec
        self.dataset_config = experiment_spec["dataset"]
        self.model_config = experiment_spec["model"]
        self.checkpoint_filename = None

    def _kit_callbacks(self, filename, **intervals):
        """Return the status callback and one that keeps every checkpoint and links the newest."""
        if not self.checkpoint_filename:
            raise NotImplementedError("checkpoint_filename not set in __init__() of model")
        results_dir = self.experiment_spec["results_dir"]
        ModelCheckpoint.FILE_EXTENSION = ".pth"
        ModelCheckpoint.CHECKPOINT_EQUALS_CHAR = "_"
        ModelCheckpoint.CHECKPOINT_NAME_LAST = f"{self.checkpoint_filename}_latest"
        settings = {"save_on_train_epoch_end": True, "save_top_k": -1, "save_last": "link", **intervals}
        checkpoints = ModelCheckpoint(results_dir, filename, enable_version_counter=False, **settings)
        return [TAOStatusLogger(results_dir, append=True), checkpoints]

    def configure_callbacks(self):
        train = self.experiment_spec["train"]
        by_epoch = train.get("checkpoint_interval_unit", "epoch") == "epoch"
        unit = "every_n_epochs" if by_epoch else "every_n_train_steps"
        name = "model_{epoch:03d}_{step:05d}"
        return self._kit_callbacks(name, **{unit: train["checkpoint_interval"]})

    def _dataloader_batch_check(self, dataloader, task):
        """Refuse a dataset that does not fill one batch on every device."""
        total = (dataloader.batch_size or dataloader.batch_sampler.batch_size) * self.trainer.num_devices
        count = len(dataloader.dataset)
        if count < total:
            raise ValueError(f"{count} samples do not fill a batch of {total}: not enough data for {task}.")

    def on_fit_start(self):
        self._dataloader_batch_check(self.trainer.datamodule.train_dataloader(), "train")

    def on_validation_start(self):
        self._dataloader_batch_check(self.trainer.datamodule.val_dataloader(), "validation")

    def on_test_start(self):
        self._dataloader_batch_check(self.trainer.datamodule.test_dataloader(), "evaluation")

    def on_predict_start(self):
        self._dataloader_batch_check(self.trainer.datamodule.predict_dataloader(), "inference")

    def on_load_checkpoint(self, checkpoint):
        if checkpoint.get("state_dict_encrypted", False):
            raise PermissionError("The kit does not read encrypted checkpoints.")
