# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Status of a task, from its start to its end."""

import os
from functools import wraps

from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, UnsupportedInterpolationType

import nvidia_tao_pytorch.core.loggers.api_logging as status_logging
from nvidia_tao_pytorch.core.utilities import update_results_dir

# In this order: several of the config errors are value or key errors too.
_CONFIG_ERRORS = (
    ConfigCompositionException,
    MissingConfigException,
    ConfigKeyError,
    MissingMandatoryValue,
    UnsupportedInterpolationType,
)
_PREFIXES = (
    (_CONFIG_ERRORS, "Configuration error"),
    (NotImplementedError, "Feature not implemented"),
    ((ValueError, TypeError), "Parameter validation error"),
    (OSError, "File system error"),
)


def monitor_status(name="module name", mode="train"):
    """Make a task's folder, save its spec there and log how it starts and ends.

    Other errors than those listed leave no final line; an interruption ends without an error.
    """

    def inner(runner):
        @wraps(runner)
        def _func(cfg, **kwargs):
            cfg = update_results_dir(cfg, task=mode)
            os.makedirs(cfg["results_dir"], exist_ok=True)
            OmegaConf.save(cfg, os.path.join(cfg["results_dir"], "experiment.yaml"))
            status_file = os.path.join(cfg["results_dir"], "status.json")
            log = status_logging.StatusLogger(filename=status_file, verbosity=1, append=True)
            status_logging.set_status_logger(log)
            status = status_logging.Status
            title = mode.capitalize()
            try:
                log.write(status_level=status.STARTED, message=f"Starting {name} {mode}.")
                runner(cfg, **kwargs)
                log.write(status_level=status.RUNNING, message=f"{title} finished successfully.")
            except (KeyboardInterrupt, SystemError):
                message = f"User/System interruption: {title} was interrupted"
                log.write(status_level=status.FAILURE, message=message)
            except Exception as error:
                prefix = next((text for kinds, text in _PREFIXES if isinstance(error, kinds)), None)
                if prefix:
                    log.write(status_level=status.FAILURE, message=f"{prefix}: {error}")
                raise

        return _func

    return inner
