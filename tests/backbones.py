"""A backbone of the registry as phase 2 chooses it for a ViT."""

from __future__ import annotations

from porter.records.reference import BackboneMatch


def vit_match(name: str = "vit_base_patch16", *, epsilon: float | None = None) -> BackboneMatch:
    """Return the match of a ViT with the entry *name*; norms have *epsilon* where it is given."""
    norm = {"norm_layer": f"functools.partial(torch.nn.LayerNorm, eps={epsilon})"}
    return BackboneMatch(
        name=name,
        target="nvidia_tao_pytorch.cv.backbone_v2.vit:VisionTransformer",
        arguments={},
        code=norm if epsilon is not None else {},
        image_argument="img_size",
        position_embedding=True,
        head="head",
        embed_dim=768,
        remap="vit",
    )
