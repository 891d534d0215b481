# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""What every backbone is."""

import abc
from typing import Dict, List, Optional, Union

import torch
import torch.nn as nn

from nvidia_tao_pytorch.core.tlt_logging import logging


class BackboneMeta(abc.ABCMeta):
    """Calls ``_post_init`` when the whole chain of constructors has run."""

    def __call__(cls, *args, **kwargs):
        backbone = super().__call__(*args, **kwargs)
        backbone._post_init()
        return backbone


class BackboneBase(nn.Module, metaclass=BackboneMeta):
    """A classifier whose stages can be frozen and whose features can be taken.

    freeze_at lists keys of the stage dict, or is "all"; freeze_norm and export concern batch norms.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        activation_checkpoint: bool = False,
        freeze_at: Optional[List[Union[int, str]]] = None,
        freeze_norm: bool = False,
        export: bool = False,
    ):
        # Beside another parent, nn.Module is up by now, and a second start would empty it.
        if "_modules" not in self.__dict__:
            nn.Module.__init__(self)
        freeze_at = freeze_at or []
        if isinstance(freeze_at, str) and freeze_at != "all":
            raise ValueError(f"freeze_at is 'all' or a list of stages, not {freeze_at!r}.")
        self.in_chans = int(in_chans)
        self.num_classes = int(num_classes)
        self.activation_checkpoint = bool(activation_checkpoint)
        self.freeze_norm = bool(freeze_norm)
        self.freeze_at = freeze_at if isinstance(freeze_at, str) else list(freeze_at)
        self.export = export

    def _post_init(self):
        self.freeze_backbone()
        if self.freeze_norm or self.export:
            self._freeze_bn_norm(self)
        self.set_grad_checkpointing(self.activation_checkpoint)

    def freeze_backbone(self):
        """Freeze what freeze_at names."""
        if self.freeze_at == "all":
            self._freeze_module(self)
        elif self.freeze_at:
            stages = self.get_stage_dict()
            for key in self.freeze_at:
                if key in stages:
                    self._freeze_module(stages[key])
                else:
                    logging.warning(f"There is no stage {key} to freeze, only {list(stages)}.")

    def _freeze_module(self, m):
        m.requires_grad_(False).eval()

    def _freeze_bn_norm(self, m):
        if any(isinstance(child, nn.BatchNorm2d) for child in m.modules()):
            raise NotImplementedError("The kit does not freeze batch norms.")
        return m

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute activations in the backward pass instead of keeping them."""
        self.activation_checkpoint = enable

    def no_weight_decay(self):
        """Return the names of parameters without weight decay."""
        return set()

    @abc.abstractmethod
    def get_stage_dict(self) -> Dict[Union[int, str], nn.Module]:
        """Return the stages by key."""

    @abc.abstractmethod
    def get_classifier(self) -> nn.Module:
        """Return the head."""

    @abc.abstractmethod
    def reset_classifier(self, num_classes: int = 0, **kwargs):
        """Replace the head."""

    @abc.abstractmethod
    def forward_pre_logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return what goes into the head."""

    @abc.abstractmethod
    def forward_feature_pyramid(
        self, x: torch.Tensor, indices: Optional[Union[int, List[int]]] = None, **kwargs
    ) -> List[torch.Tensor]:
        """Return feature maps (B, C, H, W)."""

    @abc.abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, num_classes) of images (B, in_chans, H, W)."""
