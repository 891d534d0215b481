# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Writes the default spec of a network: ``module_name=NETWORK results_dir=FOLDER``."""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING, OmegaConf

from nvidia_tao_pytorch.core.hydra.hydra_runner import hydra_runner
from nvidia_tao_pytorch.core.tlt_logging import logging

_ROOT = Path(__file__).resolve().parents[2]


@dataclass
class DefaultConfig:
    """Arguments."""

    results_dir: str = MISSING
    module_name: str = MISSING


def get_supported_modules():
    """Return the networks that have a folder both under config and under cv."""
    config, cv = (
        {path.name for path in (_ROOT / part).iterdir() if path.is_dir()} for part in ("config", "cv")
    )
    return sorted((config & cv) - {"__pycache__"})


@hydra_runner(config_path=str(Path(__file__).parent), config_name="download_specs", schema=DefaultConfig)
def main(cfg: DefaultConfig) -> None:
    """Write ``experiment.yaml``."""
    networks = get_supported_modules()
    if cfg.module_name not in networks:
        raise ValueError(f"Module '{cfg.module_name}' is not one of: {', '.join(networks)}")
    module = importlib.import_module(f"nvidia_tao_pytorch.config.{cfg.module_name}.default_config")
    os.makedirs(cfg.results_dir, exist_ok=True)
    path = os.path.join(cfg.results_dir, "experiment.yaml")
    Path(path).write_text(OmegaConf.to_yaml(OmegaConf.structured(module.ExperimentConfig)))
    logging.info(f"Default specification file for {cfg.module_name} generated at '{path}'")


if __name__ == "__main__":
    main()
