# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Builds the network."""

from nvidia_tao_pytorch.core.tlt_logging import logger
from nvidia_tao_pytorch.core.utils.ptm_utils import load_pretrained_weights
from nvidia_tao_pytorch.cv.backbone_v2 import BACKBONE_REGISTRY
from nvidia_tao_pytorch.cv.classification_pyt.model.utils import cls_parser, ptm_adapter


def build_model(experiment_config, export=False):
    """Return the backbone of the spec, with its pretrained weights where a path is set.

    Weights load non-strictly: what does not fit by name is logged, not refused.
    """
    backbone = experiment_config.model.backbone
    model = BACKBONE_REGISTRY.get(backbone["type"])(
        num_classes=experiment_config.dataset.num_classes,
        freeze_at="all" if backbone["freeze_backbone"] else None,
        freeze_norm=backbone["freeze_norm"],
        export=export,
    )
    if backbone["freeze_backbone"]:
        model.get_classifier().requires_grad_(True).train()
    path = backbone.pretrained_backbone_path
    if path:
        weights = load_pretrained_weights(path, parser=cls_parser, ptm_adapter=ptm_adapter)
        message = model.load_state_dict(weights, strict=False)
        logger.info(f"Loaded pretrained weights from {path}")
        logger.info(f"{message}")
    return model
