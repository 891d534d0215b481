# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Vision Transformers, on timm's."""

from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer

from nvidia_tao_pytorch.cv.backbone_v2 import BACKBONE_REGISTRY
from nvidia_tao_pytorch.cv.backbone_v2.backbone_base import BackboneBase


class VisionTransformer(TimmVisionTransformer, BackboneBase):
    def __init__(self, *args, **kwargs):
        names = ("activation_checkpoint", "freeze_at", "freeze_norm", "export")
        own = {name: kwargs.pop(name) for name in names if name in kwargs}
        own.update({name: kwargs[name] for name in ("in_chans", "num_classes") if name in kwargs})
        super().__init__(*args, **kwargs)
        BackboneBase.__init__(self, **own)

    def get_stage_dict(self):
        return dict(enumerate([self.patch_embed, *self.blocks]))

    def forward_pre_logits(self, x):
        return self.forward_head(self.forward_features(x), pre_logits=True)

    def forward_feature_pyramid(self, x):
        """Return one map (B, embed_dim, H, W) per block, all of the patch grid's size."""
        return self.forward_intermediates(x, output_fmt="NCHW", intermediates_only=True)

    def forward(self, x):
        return self.head(self.forward_pre_logits(x))


@BACKBONE_REGISTRY.register()
def vit_base_patch16(**kwargs):
    return VisionTransformer(
        dynamic_img_size=True, patch_size=16, embed_dim=768, depth=12, num_heads=12, mlp_ratio=4, **kwargs
    )


@BACKBONE_REGISTRY.register()
def vit_large_patch16(**kwargs):
    return VisionTransformer(
        dynamic_img_size=True, patch_size=16, embed_dim=1024, depth=24, num_heads=16, mlp_ratio=4, **kwargs
    )


@BACKBONE_REGISTRY.register()
def vit_huge_patch14(**kwargs):
    return VisionTransformer(
        dynamic_img_size=True, patch_size=14, embed_dim=1280, depth=32, num_heads=16, mlp_ratio=4, **kwargs
    )
