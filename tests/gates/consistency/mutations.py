"""For every item of the checklist, changes of one file that make it fail, and it alone."""

from __future__ import annotations

from dataclasses import dataclass

from tests.gates.consistency.port import NAME


@dataclass(frozen=True)
class Mutation:
    """One change of a finished port.

    Attributes:
        item: the gate that has to see it, without ``consistency-``.
        file: path below the workspace.
        old: text that is replaced.
        new: what stands there then; None takes the file away.
        said: words of the gate's summary, the file's name among them.
    """

    item: str
    file: str
    old: str
    new: str | None
    said: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.item}: {self.file.rpartition('/')[2]}: {self.old!r} -> {self.new!r}"


_CODE = f"tao-pytorch/nvidia_tao_pytorch/cv/{NAME}"
_CONFIG = f"tao-pytorch/nvidia_tao_pytorch/config/{NAME}"
_SPEC = f"{_CODE}/experiment_specs/experiment_spec.yaml"
_SCHEMA = f"{_CONFIG}/default_config.py"
_HALVES = "        arrList=[0.5, 0.5, 0.5]"
_EXPORTER = "tao-pytorch/nvidia_tao_pytorch/cv/classification_pyt/utils/onnx_export.py"


def _row(item: str, file: str, old: str, new: str | None, *said: str) -> Mutation:
    return Mutation(item, file, old, new, said)


TRAINER: tuple[Mutation, ...] = (
    _row(
        "spec-keys",
        _SPEC,
        "  num_classes: 10",
        "  num_classes: 10\n  num_clases: 10",
        "experiment_spec.yaml: dataset.num_clases is no field",
    ),
    _row(
        "spec-keys",
        _SPEC,
        "  num_epochs: 25",
        "  num_epochs: many",
        "experiment_spec.yaml: train.num_epochs",
        "many",
    ),
    _row("spec-keys", _SPEC, "  num_epochs: 25", "  num_epochs: ???", "train.num_epochs is ???"),
    _row(
        "spec-keys", _SPEC, "results_dir: ???", "results_dir: /home/me", "results_dir is set", "has to be ???"
    ),
    _row("spec-keys", _SPEC, "data_type: FP32", "data_type: INT8", "cal_image_dir is required"),
    _row(
        "spec-keys",
        _SPEC,
        "${dataset.root_dir}/train",
        "${dataset.rootdir}/train",
        "dataset.train_dataset.images_dir",
        "rootdir",
    ),
    _row(
        "spec-keys",
        f"{_CODE}/scripts/train.py",
        'config_name="experiment_spec"',
        'config_name="experiment"',
        "train.py: hydra_runner starts from 'experiment'",
    ),
    _row(
        "checkpoint",
        f"{_CODE}/model/classifier_pl_model.py",
        f'checkpoint_filename = "{NAME}_model"',
        'checkpoint_filename = "classifier_model"',
        "classifier_pl_model.py: checkpoint_filename is 'classifier_model'",
        f"'{NAME}_model'",
    ),
    _row(
        "checkpoint",
        _SPEC,
        f"evaluate:\n  checkpoint: ${{results_dir}}/train/{NAME}_model_latest.pth",
        f"evaluate:\n  checkpoint: ${{results_dir}}/train/{NAME}_latest.pth",
        "experiment_spec.yaml",
        f"is '{NAME}_latest.pth'",
    ),
    _row(
        "checkpoint",
        _SPEC,
        "export:\n  checkpoint: ${results_dir}/train/",
        "export:\n  checkpoint: ${results_dir}/",
        "export.checkpoint is",
        "/train/",
    ),
    _row(
        "checkpoint",
        f"tao-pytorch/tests/cv_unit_test/{NAME}/test_export.py",
        f'"{NAME}_model_latest.pth"',
        '"classifier_model_latest.pth"',
        f"tests/cv_unit_test/{NAME}/test_export.py:",
        "is 'classifier_model_latest.pth'",
    ),
    _row(
        "normalisation",
        _SPEC,
        "mean: [0.5, 0.5, 0.5]",
        "mean: [0.485, 0.456, 0.406]",
        "default_config.py: dataset.augmentation.mean is [0.5, 0.5, 0.5]",
        "experiment_spec.yaml: dataset.augmentation.mean has [0.485, 0.456, 0.406]",
    ),
    _row(
        "normalisation",
        _SCHEMA,
        f"    std: List[float] = LIST_FIELD(\n{_HALVES},\n        default_value=[0.5, 0.5, 0.5]",
        f"    std: List[float] = LIST_FIELD(\n{_HALVES},\n        default_value=[0.2, 0.2, 0.2]",
        "default_config.py: dataset.augmentation.std (default_value) is [0.2, 0.2, 0.2]",
    ),
    _row(
        "onnx-names",
        f"{_CODE}/scripts/export.py",
        'input_names=["input"]',
        'input_names=["pixel_values"]',
        "['input', 'output']",
        "export.py has ['output', 'pixel_values']",
    ),
    _row(
        "onnx-names",
        _EXPORTER,
        '"output": {0: "batch_size"}',
        '"logits": {0: "batch_size"}',
        "the exporter's dynamic_axes is ['input', 'logits']",
    ),
    _row(
        "image-size",
        _SPEC,
        "input_width: 224",
        "input_width: 256",
        "experiment_spec.yaml: export.input_width is 256",
        "224",
    ),
    _row(
        "image-size",
        _SCHEMA,
        "    input_height: int = INT_FIELD(\n        value=224",
        "    input_height: int = INT_FIELD(\n        value=192",
        "default_config.py: export.input_height is 192",
    ),
    _row(
        "batch",
        _SPEC,
        "batch_size: -1\n  tensorrt",
        "batch_size: 8\n  tensorrt",
        "experiment_spec.yaml: gen_trt_engine.batch_size is 8",
        "export.batch_size has -1",
    ),
    _row(
        "batch",
        "tao-pytorch/nvidia_tao_pytorch/config/common/common_config.py",
        'batch_size: int = INT_FIELD(-1, valid_min=-1, popular="yes")',
        'batch_size: int = INT_FIELD(4, valid_min=-1, popular="yes")',
        "default_config.py: gen_trt_engine.batch_size is 4",
        "default_config.py: export.batch_size has -1",
    ),
    _row("batch", _SPEC, "opt_batch_size: 8", "opt_batch_size: 32", "[1, 32, 16]", "rise"),
    _row("batch", _SPEC, "min_batch_size: 1", "min_batch_size: 0", "[0, 8, 16]"),
    _row(
        "onnx-file",
        _SPEC,
        "onnx_file: ${export.onnx_file}",
        "onnx_file: ${results_dir}/model.onnx",
        "gen_trt_engine.onnx_file is '/porter/results/model.onnx'",
        f"'/porter/results/export/{NAME}.onnx'",
    ),
    _row(
        "onnx-file",
        f"{_CODE}/scripts/evaluate.py",
        f'@resolve_spec\n@monitor_status(name="{NAME}", mode="evaluate")',
        f'@monitor_status(name="{NAME}", mode="evaluate")\n@resolve_spec',
        "evaluate.py: main has decorators hydra_runner, monitor_status, resolve_spec",
    ),
    _row(
        "params-mapping",
        f"{_CONFIG}/model_params_mapping.py",
        "768",
        "1024",
        "model_params_mapping.py: head.in_channels.vit_base_patch16 is 1024",
        "768",
    ),
    _row(
        "params-mapping",
        f"{_CONFIG}/model_params_mapping.py",
        '"vit_base_patch16"',
        '"vit_large_patch16"',
        "head.in_channels.vit_base_patch16 is 'no entry'",
    ),
    _row("params-mapping", f"{_CONFIG}/model_params_mapping.py", "", None, "map_params is 'not there'"),
    _row(
        "params-mapping",
        _SCHEMA,
        'value="vit_base_patch16"',
        'value="vit_large_patch16"',
        "default_config.py: model.backbone.type is 'vit_large_patch16'",
        "experiment_spec.yaml: model.backbone.type has 'vit_base_patch16'",
    ),
    _row(
        "params-mapping",
        _SPEC,
        "in_channels: 768",
        "in_channels: 384",
        "experiment_spec.yaml: model.head.in_channels is 384",
    ),
    _row(
        "classes",
        "results/checkpoint/classes.txt",
        "label 0\nlabel 1\n",
        "label 1\nlabel 0\n",
        "classes.txt: class 0 is 'label 1', it has to be 'label 0'",
    ),
    _row(
        "classes",
        "results/gates/evaluate/result.csv",
        "zebra,ant,bee",
        "ant,bee,zebra",
        "evaluate/result.csv: class 0 is 'ant', it has to be 'zebra'",
    ),
    _row(
        "classes",
        "results/gates/converted/inference/result.csv",
        ",label 9",
        "",
        "converted/inference/result.csv: there are 9 classes, there have to be 10",
    ),
    _row(
        "own-modules",
        f"{_CODE}/scripts/train.py",
        "from nvidia_tao_pytorch.core.hydra.hydra_runner import",
        "from nvidia_tao_deploy.cv.common.hydra.hydra_runner import",
        "train.py",
        "nvidia_tao_deploy",
    ),
    _row(
        "own-modules",
        f"{_CODE}/scripts/export.py",
        f"from nvidia_tao_pytorch.config.{NAME}.default_config",
        f"from nvidia_tao_core.config.{NAME}.default_config",
        "export.py",
        "nvidia_tao_core",
    ),
    _row(
        "own-modules",
        f"{_CODE}/scripts/inference.py",
        "from nvidia_tao_pytorch.core.decorators.workflow import",
        "from nvidia_tao_pytorch.core.workflow import",
        "inference.py: monitor_status comes from nvidia_tao_pytorch.core.workflow",
    ),
    _row(
        "own-modules",
        f"{_CODE}/entrypoint/{NAME}.py",
        "from nvidia_tao_pytorch.core.entrypoint import",
        "from nvidia_tao_pytorch.core.entry import",
        f"{NAME}.py: launch comes from nvidia_tao_pytorch.core.entry",
    ),
    _row(
        "own-modules",
        f"{_CODE}/utils/common.py",
        "import functools",
        "import functools(",
        "common.py: it is no Python",
    ),
    _row("packages", f"{_CODE}/scripts/__init__.py", "", None, f"cv/{NAME}/scripts/__init__.py is not there"),
    _row("packages", f"{_CONFIG}/__init__.py", "", None, f"config/{NAME}/__init__.py is not there"),
)
"""What fails an item on tao-pytorch alone."""

_RUNS = f"tao-deploy/nvidia_tao_deploy/cv/{NAME}"
_DEPLOYED = f"tao-deploy/nvidia_tao_deploy/config/{NAME}"
_IMAGENET = "[0.485, 0.456, 0.406]"
_AUGMENTATION = "cfg.dataset.augmentation"

DEPLOYED: tuple[Mutation, ...] = (
    _row(
        "spec-keys",
        f"{_RUNS}/specs/evaluate.yaml",
        "  batch_size: 8",
        "  batchsize: 8",
        "specs/evaluate.yaml: evaluate.batchsize is no field",
    ),
    _row(
        "spec-keys",
        f"{_RUNS}/specs/inference.yaml",
        "results_dir: ???",
        "results_dir: /home/me",
        "specs/inference.yaml: results_dir is set",
    ),
    _row(
        "spec-keys",
        f"{_RUNS}/specs/gen_trt_engine.yaml",
        "workspace_size: 1024",
        "workspace_size: 1 GB",
        "specs/gen_trt_engine.yaml: gen_trt_engine.tensorrt.workspace_size",
    ),
    _row(
        "spec-keys",
        f"{_RUNS}/scripts/evaluate.py",
        'config_name="evaluate"',
        'config_name="eval"',
        "evaluate.py: hydra_runner starts from 'eval'",
    ),
    _row(
        "schemas",
        f"{_DEPLOYED}/default_config.py",
        'valid_options="fp16,bf16,fp32"',
        'valid_options="fp16,fp32"',
        "default_config.py: train.precision: metadata.valid_options is 'fp16,fp32'",
        "tao-pytorch has 'fp16,bf16,fp32'",
    ),
    _row(
        "schemas",
        f"{_DEPLOYED}/default_config.py",
        "num_classes: int = INT_FIELD(\n        value=10",
        "num_classes: int = INT_FIELD(\n        value=20",
        "dataset.num_classes: default is 20, tao-pytorch has 10",
    ),
    _row(
        "schemas",
        f"{_DEPLOYED}/default_config.py",
        "num_classes: int = INT_FIELD(",
        "num_classes: float = INT_FIELD(",
        "dataset.num_classes: type is 'float', tao-pytorch has 'int'",
    ),
    _row(
        "schemas",
        f"{_DEPLOYED}/default_config.py",
        "class EvaluateConfig(common_config.EvaluateConfig)",
        "class EvaluateConfig(classification.EvalExpConfig)",
        "evaluate: lineage",
    ),
    _row(
        "schemas",
        f"{_DEPLOYED}/default_config.py",
        "class ExperimentConfig(common_config.CommonExperimentConfig)",
        "class ExperimentConfig(classification.ExperimentConfig)",
        "default_config.py: ExperimentConfig: lineage",
    ),
    _row(
        "schemas",
        f"tao-pytorch/nvidia_tao_pytorch/config/{NAME}/default_config.py",
        "class TrainConfig(classification.TrainExpConfig):\n",
        "class TrainConfig(classification.TrainExpConfig):\n    more: int = INT_FIELD(value=1)\n",
        "train.more: presence is 'no field', tao-pytorch has 'a field'",
    ),
    _row(
        "checkpoint",
        f"{_RUNS}/specs/inference.yaml",
        "inference:\n",
        "inference:\n  checkpoint: ${results_dir}/train/classifier_model_latest.pth\n",
        "specs/inference.yaml",
        "is 'classifier_model_latest.pth'",
    ),
    _row(
        "normalisation",
        f"{_RUNS}/specs/evaluate.yaml",
        "mean: [0.5, 0.5, 0.5]",
        f"mean: {_IMAGENET}",
        f"specs/evaluate.yaml: dataset.augmentation.mean is {_IMAGENET}",
    ),
    _row(
        "normalisation",
        f"{_RUNS}/utils.py",
        f"image_std={_AUGMENTATION}.std",
        "image_std=[0.229, 0.224, 0.225]",
        "utils.py",
        "image_std is [0.229, 0.224, 0.225], not the spec's dataset.augmentation.std",
    ),
    _row(
        "normalisation",
        f"{_RUNS}/scripts/gen_trt_engine.py",
        f"image_mean={_AUGMENTATION}.mean",
        f"image_mean={_AUGMENTATION}.std",
        "gen_trt_engine.py",
        f"image_mean is {_AUGMENTATION}.std",
    ),
    _row(
        "normalisation",
        f"{_RUNS}/engine_builder.py",
        "image_mean=self.image_mean",
        f"image_mean={_IMAGENET}",
        "engine_builder.py",
        f"image_mean is {_IMAGENET}",
    ),
    _row(
        "normalisation",
        f"{_RUNS}/engine_builder.py",
        "loader = VitDemoLoader(",
        "loader = ImageBatcher(",
        "engine_builder.py: calibration does not read its images through the loader",
    ),
    _row(
        "normalisation",
        f"{_RUNS}/engine_builder.py",
        "self.image_std = image_std",
        "self.image_std = image_mean",
        "engine_builder.py",
        "image_std is image_mean, not the spec's dataset.augmentation.std",
    ),
    _row(
        "normalisation",
        f"{_RUNS}/dataloader.py",
        "            image_std=tuple(image_std),\n",
        "",
        "dataloader.py",
        "super().__init__ is given no image_std",
    ),
    _row(
        "onnx-names",
        f"{_RUNS}/inferencer.py",
        "get_tensor_profile_shape(tensor_name, 0)",
        'get_tensor_profile_shape("pixel_values", 0)',
        "inferencer.py",
        "asks the engine for 'pixel_values'",
    ),
    _row(
        "image-size",
        f"{_RUNS}/specs/gen_trt_engine.yaml",
        "input_height: 224",
        "input_height: 256",
        "specs/gen_trt_engine.yaml: export.input_height is 256",
    ),
    _row(
        "batch",
        f"{_RUNS}/specs/gen_trt_engine.yaml",
        "batch_size: -1\n  tensorrt",
        "batch_size: 4\n  tensorrt",
        "specs/gen_trt_engine.yaml: gen_trt_engine.batch_size is 4",
    ),
    _row(
        "batch",
        f"{_RUNS}/specs/gen_trt_engine.yaml",
        "opt_batch_size: 8\n    max_batch_size: 16",
        "opt_batch_size: 2\n    max_batch_size: 4",
        "specs/evaluate.yaml: evaluate.batch_size is 8, the engine takes 1 to 4",
    ),
    _row(
        "batch",
        f"{_RUNS}/specs/inference.yaml",
        "batch_size: 8",
        "batch_size: 64",
        "specs/inference.yaml: inference.batch_size is 64, the engine takes 1 to 16",
    ),
    _row(
        "onnx-file",
        f"{_RUNS}/specs/gen_trt_engine.yaml",
        f"${{results_dir}}/export/{NAME}.onnx",
        "${results_dir}/export/model.onnx",
        "specs/gen_trt_engine.yaml: gen_trt_engine.onnx_file is '/porter/results/export/model.onnx'",
    ),
    _row(
        "onnx-file",
        f"{_RUNS}/specs/evaluate.yaml",
        f"${{results_dir}}/trt/{NAME}.engine",
        f"${{results_dir}}/gen_trt_engine/{NAME}.engine",
        "specs/evaluate.yaml: evaluate.trt_engine is '/porter/results/gen_trt_engine/",
    ),
    _row(
        "onnx-file",
        f"{_RUNS}/scripts/inference.py",
        "@resolve_spec\n",
        "",
        "inference.py: main has decorators hydra_runner, monitor_status",
    ),
    _row(
        "params-mapping",
        f"{_DEPLOYED}/model_params_mapping.py",
        "768",
        "512",
        "nvidia_tao_deploy/config",
        "head.in_channels.vit_base_patch16 is 512",
    ),
    _row(
        "params-mapping",
        f"{_DEPLOYED}/model_params_mapping.py",
        "",
        None,
        f"nvidia_tao_deploy/config/{NAME}/model_params_mapping.py: map_params is 'not there'",
    ),
    _row(
        "classes",
        f"{_RUNS}/utils.py",
        "in enumerate(f)}",
        "in enumerate(sorted(f))}",
        "read_classes reads ['10', '9', 'Ant', 'bee', 'zebra']",
    ),
    _row(
        "classes",
        f"{_RUNS}/utils.py",
        "np.array(labels), list(class_mapping)",
        "np.array(labels), sorted(class_mapping)",
        "utils.py",
        "sorted(class_mapping) changes the order of classes",
    ),
    _row(
        "own-modules",
        f"{_RUNS}/scripts/gen_trt_engine.py",
        "from nvidia_tao_deploy.cv.common.hydra.hydra_runner import",
        "from nvidia_tao_pytorch.core.hydra.hydra_runner import",
        "gen_trt_engine.py",
        "imports nvidia_tao_pytorch.core.hydra.hydra_runner, which is not of nvidia_tao_deploy",
    ),
    _row(
        "own-modules",
        f"{_RUNS}/scripts/evaluate.py",
        f"from nvidia_tao_deploy.config.{NAME}.default_config",
        "from nvidia_tao_deploy.config.classification_pyt.default_config",
        "evaluate.py: ExperimentConfig comes from nvidia_tao_deploy.config.classification_pyt",
    ),
    _row(
        "own-modules",
        f"{_RUNS}/entrypoint/{NAME}.py",
        "from nvidia_tao_deploy.cv.common.entrypoint.entrypoint_hydra import",
        "from nvidia_tao_deploy.cv.common.entrypoint.entrypoint_proto import",
        "launch comes from nvidia_tao_deploy.cv.common.entrypoint.entrypoint_proto",
    ),
    _row(
        "own-modules",
        f"tao-deploy/tests/{NAME}/test_{NAME}.py",
        f"from nvidia_tao_deploy.config.{NAME}.default_config",
        f"from nvidia_tao_pytorch.config.{NAME}.default_config",
        f"tests/{NAME}/test_{NAME}.py",
        f"imports nvidia_tao_pytorch.config.{NAME}.default_config, which is not of nvidia_tao_deploy",
    ),
    _row("packages", f"{_RUNS}/scripts/__init__.py", "", None, f"cv/{NAME}/scripts/__init__.py is not there"),
    _row("packages", f"{_RUNS}/entrypoint/__init__.py", "", None, f"{NAME}/entrypoint/__init__.py is not"),
)
"""What fails an item on tao-deploy, or between the two."""
