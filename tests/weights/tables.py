"""Tensor tables of a tiny ViT as transformers names it and as timm names it."""

from __future__ import annotations

from porter.records.inspection import TensorInfo

HIDDEN, MLP, LAYERS, PATCH, LABELS = 8, 16, 3, 2, 5


def source_table(
    *,
    prefix: str = "vit.",
    labels: int | None = LABELS,
    grid: int = 4,
    dtype: str = "F32",
    pooler: bool = True,
) -> tuple[TensorInfo, ...]:
    """Return the table of a ViT checkpoint; *labels* None leaves the classifier out."""
    h = HIDDEN
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, h),
        "embeddings.position_embeddings": (1, grid * grid + 1, h),
        "embeddings.patch_embeddings.projection.weight": (h, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (h,),
        "layernorm.weight": (h,),
        "layernorm.bias": (h,),
    }
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        linears = {
            "attention.attention.query": (h, h),
            "attention.attention.key": (h, h),
            "attention.attention.value": (h, h),
            "attention.output.dense": (h, h),
            "intermediate.dense": (MLP, h),
            "output.dense": (h, MLP),
        }
        for name, shape in linears.items():
            shapes[f"{layer}{name}.weight"] = shape
            shapes[f"{layer}{name}.bias"] = shape[:1]
        for name in ("layernorm_before", "layernorm_after"):
            shapes[f"{layer}{name}.weight"] = (h,)
            shapes[f"{layer}{name}.bias"] = (h,)
    if pooler:
        shapes["pooler.dense.weight"] = (h, h)
        shapes["pooler.dense.bias"] = (h,)
    named = {prefix + name: shape for name, shape in shapes.items()}
    if labels is not None:
        named["classifier.weight"] = (labels, h)
        named["classifier.bias"] = (labels,)
    return tuple(
        TensorInfo(name=name, shape=shape, dtype=dtype, file="model.safetensors")
        for name, shape in named.items()
    )


def target_table(*, labels: int = LABELS, grid: int = 4, dtype: str = "F32") -> tuple[TensorInfo, ...]:
    """Return the state dict of the timm module."""
    h = HIDDEN
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, h),
        "pos_embed": (1, grid * grid + 1, h),
        "patch_embed.proj.weight": (h, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (h,),
    }
    for i in range(LAYERS):
        block = f"blocks.{i}."
        for name, shape in (
            ("norm1", (h,)),
            ("attn.qkv", (3 * h, h)),
            ("attn.proj", (h, h)),
            ("norm2", (h,)),
            ("mlp.fc1", (MLP, h)),
            ("mlp.fc2", (h, MLP)),
        ):
            shapes[f"{block}{name}.weight"] = shape
            shapes[f"{block}{name}.bias"] = shape[:1]
    shapes |= {"norm.weight": (h,), "norm.bias": (h,), "head.weight": (labels, h), "head.bias": (labels,)}
    return tuple(TensorInfo(name=name, shape=shape, dtype=dtype) for name, shape in shapes.items())


def without(table: tuple[TensorInfo, ...], *names: str) -> tuple[TensorInfo, ...]:
    """Return *table* without the named tensors; every name must be there."""
    assert set(names) <= {each.name for each in table}
    return tuple(each for each in table if each.name not in names)
