# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Loss."""

import torch.nn as nn

from nvidia_tao_pytorch.cv.classification_pyt.dataloader.dataset import NOCLASS_IDX


class Cross_Entropy(nn.Module):
    """Cross entropy on class ids, or binary cross entropy on soft labels."""

    def __init__(self, weight=None, label_smoothing=0.1, soft=False):
        super().__init__()
        self.soft = soft
        if soft:
            self.loss = nn.BCEWithLogitsLoss(pos_weight=weight)
        else:
            self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing, ignore_index=NOCLASS_IDX)

    def forward(self, pred, target):
        return self.loss(pred, target)
