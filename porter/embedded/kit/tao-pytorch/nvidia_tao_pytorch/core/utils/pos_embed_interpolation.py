# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Position embeddings for another image size."""

import torch


def interpolate_pos_embed(
    checkpoint_model, orig_resolution=None, orig_patch_size=14, new_resolution=None, new_patch_size=16
):
    """Resize the square grid behind the class token of ``pos_embed``, in place; return the tensors."""
    table = checkpoint_model.get("pos_embed")
    if table is not None:
        side = int((table.shape[1] - 1) ** 0.5)
        resolution = side * orig_patch_size
        assert orig_resolution in (None, resolution), f"{orig_resolution} is not {side} x {orig_patch_size}"
        size = (new_resolution or resolution) // new_patch_size
        grid = table[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
        grid = torch.nn.functional.interpolate(grid, size=(size, size), mode="bicubic", align_corners=False)
        checkpoint_model["pos_embed"] = torch.cat((table[:, :1], grid.flatten(2).transpose(1, 2)), dim=1)
    return checkpoint_model
