# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Export to ONNX."""

import onnx
import torch

from nvidia_tao_pytorch.core.tlt_logging import logging


class ONNXExporter:
    def export_model(
        self,
        model,
        batch_size,
        onnx_file,
        dummy_input,
        do_constant_folding=False,
        opset_version=12,
        output_names=None,
        input_names=None,
        verbose=False,
    ):
        """Write *model*; a batch size of None or -1 frees the first axis of ``input`` and ``output``."""
        dynamic_axes = None
        if batch_size in (None, -1):
            dynamic_axes = {"input": {0: "batch_size"}, "output": {0: "batch_size"}}
        if opset_version < 16 and not next(model.parameters()).is_cuda:
            logging.info(f"On the CPU the opset is at least 16: {opset_version} is raised.")
            opset_version = 16
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad():
            torch.onnx.export(
                model,
                dummy_input,
                onnx_file,
                input_names=input_names,
                output_names=output_names,
                opset_version=opset_version,
                do_constant_folding=do_constant_folding,
                dynamic_axes=dynamic_axes,
                verbose=verbose,
                training=torch.onnx.TrainingMode.EVAL,
                dynamo=False,
            )

    @staticmethod
    def check_onnx(onnx_file):
        onnx.checker.check_model(onnx_file)
