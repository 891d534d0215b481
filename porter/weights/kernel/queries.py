"""Scores of classes and pixels, of models that give classes and masks of queries instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MASK_SIZES: Mapping[str, tuple[int, int] | None] = {"mask2former": (384, 384), "maskformer": None}
"""By model type, the (height, width) to which masks are resized before they are weighed, as image processors
of transformers 4.57.6 do it; None where they keep their size."""


def semantic_scores(result: Any, size: tuple[int, int] | None = None) -> torch.Tensor:
    """Return the scores (B, C, h, w): the share of each query's classes in its mask, summed over queries.

    Args:
        result: has ``class_queries_logits`` (B, Q, C + 1), the last for no object, and
            ``masks_queries_logits`` (B, Q, h, w).
        size: (height, width) to which masks are resized first.
    """
    import torch

    masks = result["masks_queries_logits"]
    if size is not None:
        masks = torch.nn.functional.interpolate(masks, size=size, mode="bilinear", align_corners=False)
    shares = result["class_queries_logits"].softmax(dim=-1)[..., :-1]
    return torch.einsum("bqc,bqhw->bchw", shares, masks.sigmoid())
