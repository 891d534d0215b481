# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""The toolkit's logger: to standard error, and to the status log where one is set."""

import logging as _logging
import os
from random import randint

from omegaconf import OmegaConf


def get_logging_level():
    """Return the level that TAO_LOGGING_LEVEL names; INFO where it names none."""
    level = _logging.getLevelName(os.getenv("TAO_LOGGING_LEVEL", "INFO").upper())
    return level if isinstance(level, int) else _logging.INFO


logger = _logging.getLogger("TAO Toolkit")
logger.setLevel(get_logging_level())
_console = _logging.StreamHandler()
_console.setFormatter(_logging.Formatter("%(asctime)s - [%(name)s] - %(levelname)s - %(message)s"))
logger.addHandler(_console)
logging = logger


class StatusLoggerHandler(_logging.Handler):
    def emit(self, record):
        # The status log imports Lightning, and is not needed to log to the console.
        from nvidia_tao_pytorch.core.loggers.api_logging import Status, get_status_logger

        failed = record.levelno >= _logging.ERROR
        get_status_logger().write(
            status_level=Status.FAILURE if failed else Status.RUNNING,
            verbosity_level=record.levelno,
            message=self.format(record),
        )


def enable_dual_logging():
    if not any(isinstance(handler, StatusLoggerHandler) for handler in logger.handlers):
        logger.addHandler(StatusLoggerHandler(get_logging_level()))


def obfuscate_logs(cfg):
    config = OmegaConf.to_container(cfg)
    if "encryption_key" in config:
        config["encryption_key"] = "*" * randint(3, 10)
    logging.info(f"Experiment configuration:\n{OmegaConf.to_yaml(config)}")
