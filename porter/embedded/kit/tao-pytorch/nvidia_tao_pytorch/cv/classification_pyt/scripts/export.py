# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Exports a classifier to ONNX."""

import os

import torch

from nvidia_tao_pytorch.config.classification_pyt.default_config import ExperimentConfig
from nvidia_tao_pytorch.core.cookbooks.tlt_pytorch_cookbook import TLTPyTorchCookbook
from nvidia_tao_pytorch.core.decorators.workflow import monitor_status
from nvidia_tao_pytorch.core.hydra.hydra_runner import hydra_runner
from nvidia_tao_pytorch.core.tlt_logging import logging
from nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model import ClassifierPlModel
from nvidia_tao_pytorch.cv.classification_pyt.utils.onnx_export import ONNXExporter


def run_export(experiment_config):
    export = experiment_config.export
    # As in the toolkit, this needs a GPU even where on_cpu is set.
    torch.cuda.set_device(export.gpu_id)
    TLTPyTorchCookbook.set_passphrase(experiment_config.encryption_key)
    output_file = export.onnx_file or f"{os.path.splitext(export.checkpoint)[0]}.onnx"
    assert not os.path.exists(output_file), f"Default onnx file {output_file} already exists"
    os.makedirs(os.path.dirname(os.path.realpath(output_file)), exist_ok=True)

    input_names = ["input"]
    output_names = ["output"]
    device = "cpu" if export.on_cpu else "cuda"
    module = ClassifierPlModel.load_from_checkpoint(
        export.checkpoint, map_location="cpu", experiment_spec=experiment_config
    )
    shape = (export.input_channel, export.input_height, export.input_width)
    exporter = ONNXExporter()
    exporter.export_model(
        module.model.eval().to(device),
        export.batch_size,
        output_file,
        torch.ones(1 if export.batch_size in (None, -1) else export.batch_size, *shape, device=device),
        input_names=input_names,
        output_names=output_names,
        opset_version=export.opset_version,
        do_constant_folding=True,
        verbose=export.verbose,
    )
    exporter.check_onnx(output_file)
    logging.info("ONNX file stored at %s", output_file)


ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@hydra_runner(
    config_path=os.path.join(ROOT, "experiment_specs"), config_name="experiment_spec", schema=ExperimentConfig
)
@monitor_status(name="Classifier", mode="export")
def main(cfg: ExperimentConfig) -> None:
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    run_export(cfg)


if __name__ == "__main__":
    main()
