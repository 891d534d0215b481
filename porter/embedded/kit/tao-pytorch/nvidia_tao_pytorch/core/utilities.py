# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Where results go, and the newest checkpoint there."""

import glob
import os


def update_results_dir(cfg, task):
    """Settle the task's folder: its own results_dir, else a subfolder of the experiment's.

    Both fields hold the folder afterwards; ValueError where neither was set.
    """
    own = cfg[task]["results_dir"]
    if not own and not cfg["results_dir"]:
        raise ValueError(f"Set results_dir or {task}.results_dir.")
    cfg["results_dir"] = own or os.path.join(cfg["results_dir"], task)
    cfg[task]["results_dir"] = cfg["results_dir"]
    print(f"{task.capitalize()} results will be saved at: {cfg['results_dir']}")
    return cfg


def get_latest_checkpoint(folder_path):
    """Return the file that a ``*_latest.pth`` link in the folder points to, or None."""
    links = glob.glob(os.path.join(folder_path, "*_latest.pth"))
    return os.path.realpath(links[0]) if links else None
