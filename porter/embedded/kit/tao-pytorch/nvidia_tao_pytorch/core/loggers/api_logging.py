# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""The status log: one JSON object per line, written by rank 0."""

import atexit
import json
import os
from datetime import datetime

from pytorch_lightning.utilities import rank_zero_only


class Verbosity:
    """The numbers of the standard library's logging."""

    DISABLE = 0
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


class Status:
    """States of a task."""

    SUCCESS = 0
    FAILURE = 1
    STARTED = 2
    RUNNING = 3
    SKIPPED = 4


log_level_to_name = {level: name for name, level in vars(Verbosity).items() if name.isupper()}
status_level_to_name = {level: name for name, level in vars(Status).items() if name.isupper()}


class BaseLogger:
    """Builds the lines and drops them; ``kpi`` stays on every later line until it is replaced."""

    def __init__(self, verbosity=Verbosity.INFO):
        self.verbosity = verbosity
        self.kpi = {}

    @rank_zero_only
    def flush(self):
        """Do nothing."""

    @rank_zero_only
    def log(self, level, string):
        """Do nothing."""

    @rank_zero_only
    def write(self, data=None, status_level=Status.RUNNING, verbosity_level=Verbosity.INFO, message=None):
        """Write *data* with the time, the status, the message and the current metrics."""
        now = datetime.now()
        line = {
            **(data or {}),
            "date": f"{now.month}/{now.day}/{now.year}",
            "time": f"{now.hour}:{now.minute}:{now.second}",
            "status": status_level_to_name.get(status_level, "RUNNING"),
            "verbosity": log_level_to_name.get(verbosity_level, "INFO"),
        }
        line.update({key: value for key, value in {"message": message, "kpi": self.kpi}.items() if value})
        self.log(verbosity_level, json.dumps(line))
        self.flush()


class StatusLogger(BaseLogger):
    """Writes the lines to a file."""

    def __init__(self, filename=None, verbosity=Verbosity.INFO, append=True):
        super().__init__(verbosity=verbosity)
        self.log_path = os.path.realpath(filename)
        if rank_zero_only.rank == 0:
            self.l_file = open(self.log_path, "a" if append else "w")
            atexit.register(self.l_file.close)

    @rank_zero_only
    def log(self, level, string):
        if level >= self.verbosity:
            self.l_file.write(string + "\n")

    @rank_zero_only
    def flush(self):
        self.l_file.flush()


_STATUS_LOGGER = BaseLogger()


def set_status_logger(status_logger):
    """Make *status_logger* the status log, and send the toolkit's logging there too."""
    global _STATUS_LOGGER
    _STATUS_LOGGER = status_logger
    from nvidia_tao_pytorch.core.tlt_logging import enable_dual_logging

    enable_dual_logging()


def get_status_logger():
    return _STATUS_LOGGER
