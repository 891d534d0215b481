# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Schema of classification experiments."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from omegaconf import MISSING

from nvidia_tao_pytorch.config.common.common_config import (
    CalibrationConfig,
    CommonExperimentConfig,
    EvaluateConfig,
    ExportConfig,
    GenTrtEngineConfig,
    InferenceConfig,
    TrainConfig,
    TrtConfig,
)
from nvidia_tao_pytorch.config.common.quantization import ModelQuantizationConfig
from nvidia_tao_pytorch.config.utils.types import (
    BOOL_FIELD,
    DATACLASS_FIELD,
    DICT_FIELD,
    FLOAT_FIELD,
    INT_FIELD,
    LIST_FIELD,
    STR_FIELD,
)


@dataclass
class OptimConfig:
    monitor_name: str = STR_FIELD("val_loss")
    optim: str = STR_FIELD("adamw", valid_options="adamw,adam,sgd")
    lr: float = FLOAT_FIELD(0.00006, valid_min=0, valid_max="inf", automl_enabled="TRUE")
    policy: str = STR_FIELD("linear", valid_options="linear,step,cosine,multistep")
    policy_params: Dict[str, Any] = DICT_FIELD(
        {"step_size": 30, "gamma": 0.1, "milestones": [10, 20]}, default_value={"step_size": 30, "gamma": 0.1}
    )
    momentum: float = FLOAT_FIELD(0.9, valid_min=0.0, valid_max=1.0, math_cond="> 0.0", automl_enabled="TRUE")
    weight_decay: float = FLOAT_FIELD(
        0.01, valid_min=0.0, valid_max=1.0, math_cond="> 0.0", automl_enabled="TRUE"
    )
    betas: Optional[List[float]] = LIST_FIELD([0.9, 0.999], automl_enabled="TRUE")
    skip_names: Optional[List[str]] = LIST_FIELD([])
    warmup_epochs: int = INT_FIELD(0, valid_min=0, valid_max="inf")


@dataclass
class LossConfig:
    type: str = STR_FIELD("CrossEntropyLoss", valid_options="CrossEntropyLoss")
    label_smooth_val: float = FLOAT_FIELD(0.0, valid_min=0, valid_max=1)


@dataclass
class HeadConfig:
    """Head; only the loss and topk take effect, the backbone owns its classifier."""

    type: str = STR_FIELD("TAOLinearClsHead", valid_options="TAOLinearClsHead,LogisticRegressionHead")
    binary: bool = BOOL_FIELD(False)
    in_channels: int = INT_FIELD(448)
    custom_args: Optional[Dict[Any, Any]] = DICT_FIELD(None)
    loss: LossConfig = DATACLASS_FIELD(LossConfig())
    topk: List[int] = LIST_FIELD([1])


@dataclass
class BackboneConfig:
    type: str = STR_FIELD(
        "vit_base_patch16",
        valid_options=",".join(["vit_base_patch16", "vit_large_patch16", "vit_huge_patch14"]),
    )
    pretrained_backbone_path: Optional[str] = STR_FIELD(None, default_value="")
    freeze_backbone: bool = BOOL_FIELD(False, automl_enabled="TRUE")
    freeze_norm: bool = BOOL_FIELD(False, automl_enabled="TRUE")


@dataclass
class ModelConfig:
    backbone: BackboneConfig = DATACLASS_FIELD(BackboneConfig())
    head: HeadConfig = DATACLASS_FIELD(HeadConfig())


@dataclass
class RandomFlip:
    vflip_probability: float = FLOAT_FIELD(0.5, valid_min=0, valid_max=1, automl_enabled="TRUE")
    hflip_probability: float = FLOAT_FIELD(0.5, valid_min=0, valid_max=1, automl_enabled="TRUE")
    enable: bool = BOOL_FIELD(True, automl_enabled="TRUE")


@dataclass
class RandomRotation:
    rotate_probability: float = FLOAT_FIELD(0.5, valid_min=0, valid_max=1, automl_enabled="TRUE")
    angle_list: List[float] = LIST_FIELD([90, 180, 270])
    enable: bool = BOOL_FIELD(True, automl_enabled="TRUE")


@dataclass
class RandomColor:
    brightness: float = FLOAT_FIELD(
        0.3, valid_min=0.0, valid_max=2.0, math_cond="> 0.0", automl_enabled="TRUE"
    )
    contrast: float = FLOAT_FIELD(0.3, valid_min=0.0, valid_max=2.0, math_cond="> 0.0", automl_enabled="TRUE")
    saturation: float = FLOAT_FIELD(
        0.3, valid_min=0.0, valid_max=2.0, math_cond="> 0.0", automl_enabled="TRUE"
    )
    hue: float = FLOAT_FIELD(0, valid_min=0.0, valid_max=0.5, math_cond="> 0.0", automl_enabled="TRUE")
    enable: bool = BOOL_FIELD(True, automl_enabled="TRUE")
    color_probability: float = FLOAT_FIELD(0.5, valid_min=0, valid_max=1, automl_enabled="TRUE")


@dataclass
class RandomCropWithScale:
    """Rescale by a factor from the range, then a crop of the image size."""

    scale_range: List[float] = LIST_FIELD([1, 1.2])
    enable: bool = BOOL_FIELD(True, automl_enabled="TRUE")


@dataclass
class RandomErase:
    enable: bool = BOOL_FIELD(True, automl_enabled="TRUE")
    erase_probability: float = FLOAT_FIELD(0.2, valid_min=0, valid_max=1, automl_enabled="TRUE")


@dataclass
class RandomAug:
    enable: bool = BOOL_FIELD(True, automl_enabled="TRUE")


@dataclass
class AugmentationConfig:
    """Augmentation of the training split; mean and std go for every split."""

    random_flip: RandomFlip = DATACLASS_FIELD(RandomFlip())
    random_rotate: RandomRotation = DATACLASS_FIELD(RandomRotation())
    random_color: RandomColor = DATACLASS_FIELD(RandomColor())
    random_erase: RandomErase = DATACLASS_FIELD(RandomErase())
    random_aug: RandomAug = DATACLASS_FIELD(RandomAug())
    with_scale_random_crop: RandomCropWithScale = DATACLASS_FIELD(RandomCropWithScale())
    with_random_blur: bool = BOOL_FIELD(True)
    with_random_crop: bool = BOOL_FIELD(True)
    mean: List[float] = LIST_FIELD([0.485, 0.456, 0.406])
    std: List[float] = LIST_FIELD([0.229, 0.224, 0.225])
    mixup_cutmix: bool = BOOL_FIELD(False)
    mixup_alpha: float = FLOAT_FIELD(0.4, valid_min=0, valid_max=1)


@dataclass
class DataPathFormat:
    images_dir: str = STR_FIELD("")


@dataclass
class UnstructuredTrainData:
    folder_path: Optional[str] = STR_FIELD("")


@dataclass
class DatasetConfig:
    """Dataset; images are resized to a square of img_size pixels."""

    root_dir: str = STR_FIELD("")
    dataset: str = STR_FIELD("CLDataset", valid_options="Dataset")
    num_classes: int = INT_FIELD(20, math_cond=">=0", valid_min=0, valid_max="inf")
    img_size: int = INT_FIELD(224)
    batch_size: int = INT_FIELD(8, valid_min=1, valid_max="inf", automl_enabled="TRUE")
    workers: int = INT_FIELD(8, default_value=1, valid_min=0, valid_max="inf", automl_enabled="TRUE")
    shuffle: bool = BOOL_FIELD(True)
    augmentation: AugmentationConfig = DATACLASS_FIELD(AugmentationConfig())
    train_dataset: DataPathFormat = DATACLASS_FIELD(DataPathFormat())
    train_nolabel: UnstructuredTrainData = DATACLASS_FIELD(UnstructuredTrainData())
    val_dataset: DataPathFormat = DATACLASS_FIELD(DataPathFormat())
    test_dataset: DataPathFormat = DATACLASS_FIELD(DataPathFormat())
    quant_calibration_dataset: DataPathFormat = DATACLASS_FIELD(DataPathFormat())
    classes_file: str = STR_FIELD("")


@dataclass
class TensorBoardLogger:
    enabled: bool = BOOL_FIELD(False)
    infrequent_logging_frequency: int = INT_FIELD(2, valid_min=0, valid_max="inf")


@dataclass
class TrainExpConfig(TrainConfig):
    optim: OptimConfig = DATACLASS_FIELD(OptimConfig())
    pretrained_model_path: Optional[str] = STR_FIELD(None, default_value="")
    tensorboard: Optional[TensorBoardLogger] = DATACLASS_FIELD(TensorBoardLogger())
    enable_ema: bool = BOOL_FIELD(False)
    ema_decay: float = FLOAT_FIELD(0.998)
    clip_grad_norm: float = FLOAT_FIELD(2.0)
    precision: str = STR_FIELD("fp32", valid_options="fp16, fp32")


@dataclass
class EvalExpConfig(EvaluateConfig):
    vis_after_n_batches: int = INT_FIELD(16, default_value=1, valid_min=1, valid_max="inf")
    checkpoint: str = STR_FIELD(MISSING)
    is_quantized: bool = BOOL_FIELD(False)


@dataclass
class InferenceExpConfig(InferenceConfig):
    vis_after_n_batches: int = INT_FIELD(16, default_value=1, valid_min=1, valid_max="inf")
    checkpoint: str = STR_FIELD(MISSING)
    is_quantized: bool = BOOL_FIELD(False)


@dataclass
class ExportExpConfig(ExportConfig):
    serialize_nvdsinfer: bool = BOOL_FIELD(False)
    is_quantized: bool = BOOL_FIELD(False)


@dataclass
class TrtExpConfig(TrtConfig):
    data_type: str = STR_FIELD("FP32", default_value="fp16")
    calibration: CalibrationConfig = DATACLASS_FIELD(CalibrationConfig())


@dataclass
class GenTrtEngineExpConfig(GenTrtEngineConfig):
    tensorrt: TrtExpConfig = DATACLASS_FIELD(TrtExpConfig())


@dataclass
class ExperimentConfig(CommonExperimentConfig):
    model: ModelConfig = DATACLASS_FIELD(ModelConfig())
    dataset: DatasetConfig = DATACLASS_FIELD(DatasetConfig())
    train: TrainExpConfig = DATACLASS_FIELD(TrainExpConfig())
    evaluate: EvalExpConfig = DATACLASS_FIELD(EvalExpConfig())
    inference: InferenceExpConfig = DATACLASS_FIELD(InferenceExpConfig())
    export: ExportExpConfig = DATACLASS_FIELD(ExportExpConfig())
    gen_trt_engine: GenTrtEngineExpConfig = DATACLASS_FIELD(GenTrtEngineExpConfig())
    quantize: ModelQuantizationConfig = DATACLASS_FIELD(ModelQuantizationConfig(), default_value={})

    def __post_init__(self):
        if self.model_name is None:
            self.model_name = "classification_pyt"
