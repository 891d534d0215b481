# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Command line of a network: finds its subtasks and runs one in a process of its own."""

import ast
import importlib
import os
import pkgutil
import shlex
import subprocess
import sys

import yaml

from nvidia_tao_pytorch.core.tlt_logging import logging


def get_subtasks(package):
    """Return module name and file by subtask: every module of *package*, and default_specs."""
    names = [name for _, name, is_package in pkgutil.walk_packages(package.__path__) if not is_package]
    modules = {name: f"{package.__name__}.{name}" for name in names}
    modules["default_specs"] = "nvidia_tao_pytorch.core.utils.default_specs"
    subtasks = {}
    for task, module in modules.items():
        path = os.path.abspath(importlib.import_module(module).__file__)
        subtasks[task] = {"module_name": module, "runner_path": path}
    return subtasks


def command_line_parser(parser, subtasks):
    """Return the parsed arguments and the overrides that follow them."""
    parser.add_argument("subtask", default="train", choices=subtasks.keys(), help="What to run.")
    parser.add_argument("-e", "--experiment_spec_file", default=None, help="Path of the spec.")
    return parser.parse_known_args()


def _choose_devices(subtask, overrides, spec_file):
    """Return the device ids: those of the overrides if they name any, else the spec's."""
    chosen = {}
    if any(word in overrides for word in ("num_gpus", "gpu_ids", "cuda_blocking")):
        for field in ("num_gpus", "gpu_ids"):
            if f"{field}=" in overrides:
                chosen[field] = ast.literal_eval(overrides.split(f"{field}=")[1].split()[0])
    else:
        with open(spec_file) as spec:
            chosen = yaml.safe_load(spec).get(subtask) or {}
    count, ids = chosen.get("num_gpus", 1), list(chosen.get("gpu_ids", [0]))
    if count != len(ids):
        logging.warning(f"Number of gpus {count} != len({ids}).")
    return ids if len(ids) >= count else list(range(count))


def launch(args, unknown_args, subtasks, network=None):
    """Run the subtask and leave with 0 or 1; devices go to it by TAO_VISIBLE_DEVICES."""
    subtask, spec_file = args["subtask"], args["experiment_spec_file"]
    overrides = " ".join(unknown_args)
    devices = [0]
    if subtask == "default_specs":
        given = f"module_name={network}"
    else:
        if spec_file is None or not os.path.exists(spec_file):
            print(f"ERROR: {subtask} needs an experiment spec file that exists (-e), not {spec_file}.")
            sys.exit(1)
        folder, name = os.path.split(spec_file)
        given = f"--config-path {os.path.realpath(folder)} " if folder else ""
        given += f"--config-name {name}"
        if subtask in ("train", "evaluate", "inference"):
            devices = _choose_devices(subtask, overrides, spec_file)
    os.environ["TAO_VISIBLE_DEVICES"] = ", ".join(map(str, devices))

    call = shlex.split(f"python {subtasks[subtask]['runner_path']} {given} {overrides}")
    passed = False
    try:
        passed = subprocess.run(call, stderr=subprocess.STDOUT, check=False).returncode == 0
    except KeyboardInterrupt:
        logging.exception("Command was interrupted")
        passed = True
    except OSError as error:
        logging.exception(error)
    if not passed:
        logging.warning("Execution status: FAIL")
        sys.exit(1)
    logging.info("Execution status: PASS")
    sys.exit(0)
