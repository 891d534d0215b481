# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY
from nvidia_tao_pytorch.cv.backbone_v2.vit import (
    vit_base_patch16,
    vit_huge_patch14,
    vit_large_patch16,
)

__all__ = [
    "BACKBONE_REGISTRY",
    "vit_base_patch16",
    "vit_large_patch16",
    "vit_huge_patch14",
]
