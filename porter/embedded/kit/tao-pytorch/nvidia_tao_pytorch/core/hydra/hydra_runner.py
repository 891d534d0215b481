# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Starts a script with a spec that is checked against a schema."""

import functools
import os
import sys

from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

OmegaConf.register_new_resolver("eval", lambda expression: eval(expression))

# No .hydra folder, no log file, and no change of the working folder.
_QUIET = ["hydra.output_subdir=null", "hydra/job_logging=stdout", "hydra.run.dir=."]


def hydra_runner(config_path=".", config_name=None, schema=None):
    """Decorate a task function that takes a config.

    Called with a config, the result passes it through as it is; called without, it reads the
    command line. The schema holds because it is stored under the spec's own name.
    """

    def decorator(task_function):
        @functools.wraps(task_function)
        def wrapper(cfg_passthrough=None):
            if cfg_passthrough is not None:
                return task_function(cfg_passthrough)
            parser = get_args_parser()
            args = parser.parse_args()
            args.overrides.extend(_QUIET)
            if schema is not None:
                name = args.config_name or config_name
                if os.path.dirname(name):
                    sys.exit("ERROR: with a schema, the folder goes into --config-path, not --config-name.")
                ConfigStore.instance().store(name=name, node=schema)
            _run_hydra(
                args=args,
                args_parser=parser,
                task_function=task_function,
                config_path=config_path,
                config_name=config_name,
            )
            return None

        return wrapper

    return decorator
