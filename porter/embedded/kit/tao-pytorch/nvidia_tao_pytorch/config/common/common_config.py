# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Config blocks that every network shares."""

from dataclasses import dataclass
from typing import List, Optional

from omegaconf import MISSING

from nvidia_tao_pytorch.config.common.mlops import WandBConfig
from nvidia_tao_pytorch.config.utils.types import (
    BOOL_FIELD,
    DATACLASS_FIELD,
    INT_FIELD,
    LIST_FIELD,
    STR_FIELD,
)


@dataclass
class CuDNNConfig:
    benchmark: bool = BOOL_FIELD(False)
    deterministic: bool = BOOL_FIELD(True)


@dataclass
class TrainConfig:
    num_gpus: int = INT_FIELD(1, valid_min=1, popular="yes")
    gpu_ids: List[int] = LIST_FIELD([0], popular="yes")
    num_nodes: int = INT_FIELD(1, valid_min=1, popular="yes")
    seed: int = INT_FIELD(1234, valid_min=-1, valid_max="inf")
    cudnn: CuDNNConfig = DATACLASS_FIELD(CuDNNConfig())
    num_epochs: int = INT_FIELD(10, valid_min=1, valid_max="inf", popular="yes")
    checkpoint_interval: int = INT_FIELD(1, valid_min=1, popular="yes")
    checkpoint_interval_unit: str = STR_FIELD("epoch", valid_options="epoch,step")
    validation_interval: int = INT_FIELD(1, valid_min=1, popular="yes")
    resume_training_checkpoint_path: Optional[str] = STR_FIELD(None)
    results_dir: Optional[str] = STR_FIELD(None)


@dataclass
class EvaluateConfig:
    num_gpus: int = INT_FIELD(1, valid_min=1, popular="yes")
    gpu_ids: List[int] = LIST_FIELD([0], popular="yes")
    num_nodes: int = INT_FIELD(1, valid_min=1, popular="yes")
    checkpoint: str = STR_FIELD(MISSING)
    trt_engine: Optional[str] = STR_FIELD(None)
    results_dir: Optional[str] = STR_FIELD(None)
    batch_size: int = INT_FIELD(-1, valid_min=-1)


@dataclass
class InferenceConfig:
    num_gpus: int = INT_FIELD(1, valid_min=1, popular="yes")
    gpu_ids: List[int] = LIST_FIELD([0], popular="yes")
    num_nodes: int = INT_FIELD(1, valid_min=1, popular="yes")
    checkpoint: str = STR_FIELD(MISSING)
    trt_engine: Optional[str] = STR_FIELD(None)
    results_dir: Optional[str] = STR_FIELD(None)
    batch_size: int = INT_FIELD(-1, valid_min=-1)


@dataclass
class ExportConfig:
    """Export to ONNX; a batch size of -1 leaves the batch axis dynamic."""

    results_dir: Optional[str] = STR_FIELD(None, default_value="")
    gpu_id: int = INT_FIELD(0)
    checkpoint: str = STR_FIELD(MISSING)
    onnx_file: str = STR_FIELD(MISSING)
    on_cpu: bool = BOOL_FIELD(False)
    input_channel: int = INT_FIELD(3, valid_min=1, valid_options="1,3")
    input_width: int = INT_FIELD(960, valid_min=32)
    input_height: int = INT_FIELD(544, valid_min=32)
    opset_version: int = INT_FIELD(17, valid_min=1)
    batch_size: int = INT_FIELD(-1, valid_min=-1)
    verbose: bool = BOOL_FIELD(False)
    format: str = STR_FIELD("onnx", valid_options="onnx,xdl")


@dataclass
class CalibrationConfig:
    cal_image_dir: List[str] = LIST_FIELD(MISSING)
    cal_cache_file: str = STR_FIELD(MISSING)
    cal_batch_size: int = INT_FIELD(1, valid_min=1, popular="yes")
    cal_batches: int = INT_FIELD(1, valid_min=1, popular="yes")


@dataclass
class TrtConfig:
    workspace_size: int = INT_FIELD(1024, valid_min=0)
    min_batch_size: int = INT_FIELD(1, valid_min=1, popular="yes")
    opt_batch_size: int = INT_FIELD(1, valid_min=1, popular="yes")
    max_batch_size: int = INT_FIELD(1, valid_min=1, popular="yes")
    layers_precision: Optional[List[str]] = LIST_FIELD([])


@dataclass
class GenTrtEngineConfig:
    results_dir: Optional[str] = STR_FIELD(None)
    gpu_id: int = INT_FIELD(0, valid_min=0, popular="yes")
    onnx_file: str = STR_FIELD(MISSING)
    trt_engine: Optional[str] = STR_FIELD(MISSING)
    timing_cache: Optional[str] = STR_FIELD(None)
    batch_size: int = INT_FIELD(-1, valid_min=-1, popular="yes")
    verbose: bool = BOOL_FIELD(False)


@dataclass
class CommonExperimentConfig:
    model_name: Optional[str] = STR_FIELD(None)
    encryption_key: Optional[str] = STR_FIELD(None)
    results_dir: Optional[str] = STR_FIELD("")
    wandb: WandBConfig = DATACLASS_FIELD(
        WandBConfig(
            project="TAO Toolkit",
            name="TAO Toolkit training experiment",
            tags=["training", "tao-toolkit"],
        )
    )
