# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Schema of the quantize task; the kit has the schema only."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from nvidia_tao_pytorch.config.utils.types import (
    DATACLASS_FIELD,
    DICT_FIELD,
    INT_FIELD,
    LIST_FIELD,
    STR_FIELD,
)


@dataclass
class BaseQuantizationConfig:
    dtype: str = STR_FIELD("", required="yes")
    observer_or_fake_quant: str = STR_FIELD("")
    quant_axis: Optional[int] = INT_FIELD(None)
    observer_or_fake_quant_kwargs: Optional[Dict[str, Any]] = DICT_FIELD({})


@dataclass
class WeightQuantizationConfig(BaseQuantizationConfig):
    """Weights."""


@dataclass
class ActivationQuantizationConfig(BaseQuantizationConfig):
    """Activations."""


@dataclass
class LayerQuantizationConfig:
    module_name: str = STR_FIELD("", required="yes")
    weights: Optional[WeightQuantizationConfig] = DATACLASS_FIELD(None)
    activations: Optional[ActivationQuantizationConfig] = DATACLASS_FIELD(None)


@dataclass
class ModelQuantizationConfig:
    backend: Optional[str] = STR_FIELD("torchao", valid_options="modelopt.pytorch,torchao,modelopt.onnx")
    mode: Optional[str] = STR_FIELD("weight_only_ptq", valid_options="static_ptq,weight_only_ptq")
    algorithm: Optional[str] = STR_FIELD(
        "minmax", valid_options="minmax,max,entropy,awq_clip,awq_lite,awq_full,rtn_dq"
    )
    layers: Optional[List[LayerQuantizationConfig]] = LIST_FIELD([])
    skip_names: Optional[List[str]] = LIST_FIELD([])
    model_path: Optional[str] = STR_FIELD("", required="yes")
    results_dir: Optional[str] = STR_FIELD("", required="yes")
    backend_kwargs: Optional[Dict[str, Any]] = DICT_FIELD({})
    device: str = STR_FIELD("cuda", regex=r"^(cuda|cpu|trt|cuda:[0-9]+)$")
