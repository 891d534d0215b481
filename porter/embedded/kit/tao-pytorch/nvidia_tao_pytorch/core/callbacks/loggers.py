# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Progress of a training run in the status log."""

import os
import time
from datetime import timedelta

from pytorch_lightning import Callback

from nvidia_tao_pytorch.core.loggers import api_logging
from nvidia_tao_pytorch.core.loggers.api_logging import Status, Verbosity


class TAOStatusLogger(Callback):
    """Writes a line per epoch; opens ``status.json`` where no status log is open yet."""

    def __init__(self, results_dir, verbosity=Verbosity.INFO, append=False):
        if not isinstance(api_logging.get_status_logger(), api_logging.StatusLogger):
            path = os.path.join(results_dir, "status.json")
            log = api_logging.StatusLogger(filename=path, verbosity=verbosity, append=append)
            api_logging.set_status_logger(log)
        self.logger = api_logging.get_status_logger()
        self._epoch_start = self._step_start = self._step_seconds = 0.0
        self._steps = 0

    def on_train_start(self, trainer, pl_module):
        self.logger.write(status_level=Status.STARTED, message="Starting Training Loop.")

    def on_train_epoch_start(self, trainer, pl_module):
        self._epoch_start = time.time()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self._step_start = time.time()
        # A run that resumes inside an epoch has seen no start of it.
        self._epoch_start = self._epoch_start or self._step_start

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self._step_seconds += time.time() - self._step_start
        self._steps += 1

    def on_train_epoch_end(self, trainer, pl_module):
        per_epoch = time.time() - self._epoch_start
        all_steps = trainer.max_epochs * trainer.num_training_batches
        last = trainer.max_epochs - 1
        data = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "max_epoch": last,
            "max_step": trainer.max_steps if trainer.max_steps >= 1 else all_steps,
            "time_per_epoch": str(timedelta(seconds=per_epoch)),
            "time_per_step": str(timedelta(seconds=self._step_seconds / max(self._steps, 1))),
            "eta": str(timedelta(seconds=(last - trainer.current_epoch) * per_epoch)),
        }
        self.logger.write(data=data, message="Training loop in progress")

    def on_train_end(self, trainer, pl_module):
        self.logger.write(message="Training loop complete.")
