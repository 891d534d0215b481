"""The values that the image-classification templates need, built from what porter found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from porter.errors import ModelRejectedError
from porter.generate.native import NativeBackbone, native_backbone
from porter.generate.schema import Override, Schema, build_schema
from porter.records.base import Record
from porter.records.inspection import Inspection, ProcessorFacts
from porter.records.reference import HeldModel, Reference, ReferenceChoice, TimmModel
from porter.records.transplant import Lifted

_PIL_FILTERS = {0: "NEAREST", 1: "LANCZOS", 2: "BILINEAR", 3: "BICUBIC", 4: "BOX", 5: "HAMMING"}
_BILINEAR = 2


class Resize(Record, frozen=True, kw_only=True):
    """How the image processor's resize differs from the reference's plain bilinear square.

    Attributes:
        resample: name of the PIL filter.
        shortest_edge: size of the shorter side before the centre is cropped; None where both sides change.
        square: size of both sides before the centre is cropped; None where there is no crop of a square.
        ratio: that size over the crop's.
        margin: how half a pixel of an odd margin is rounded, as in ProcessorFacts.
    """

    resample: str
    shortest_edge: int | None = None
    square: int | None = None
    ratio: float = 1.0
    margin: str = "down"


class Normalisation(Record, frozen=True, kw_only=True):
    """Mean and std on pixels in 0-1, whatever rescale factor the processor uses."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class ClassificationContext(Record, frozen=True, kw_only=True):
    """Everything that templates of the image-classification reference may use."""

    repo: str
    reference: str
    strategy: str
    name: str
    prefix: str
    title: str
    source: str
    header: tuple[str, ...]
    schema_header: tuple[str, ...]
    config_root: str
    backbone: str
    embed_dim: int
    num_classes: int
    topk: tuple[int, ...]
    img_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize | None
    image_suffixes: tuple[str, ...]
    schema: Schema
    hooks: tuple[str, ...]
    native: NativeBackbone | None = None
    held: HeldModel | None = None
    timm: TimmModel | None = None
    lifted: Lifted | None = None

    def template_data(self) -> dict[str, Any]:
        """Return plain values for Jinja; what was lifted is a file of its own and none of them."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        del data["lifted"]
        return data


def pascal_case(name: str) -> str:
    """Return the class prefix of a snake_case network name (``vit_base`` -> ``VitBase``)."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def resize_of(processor: ProcessorFacts, img_size: int) -> Resize | None:
    """Return what generated code must do so that its resize equals the processor's.

    Raises:
        ModelRejectedError: the processor's output is not a square of *img_size*.
    """
    resample = _PIL_FILTERS[processor.resample]
    if processor.crop is not None and processor.size != processor.crop:
        edge = processor.shortest_edge
        if processor.size is not None and processor.size[0] == processor.size[1]:
            edge = processor.size[0]
        if processor.crop != (img_size, img_size) or edge is None or edge < img_size:
            raise _unfit(processor, img_size)
        ratio = edge / img_size
        if processor.size is not None:
            return Resize(resample=resample, square=edge, ratio=ratio, margin=processor.margin)
        return Resize(resample=resample, shortest_edge=edge, ratio=ratio, margin=processor.margin)
    if processor.size != (img_size, img_size):
        raise _unfit(processor, img_size)
    return None if processor.resample == _BILINEAR else Resize(resample=resample)


def normalisation_of(processor: ProcessorFacts) -> Normalisation:
    """Fold the rescale factor into mean and std, for pixels that were divided by 255."""
    scale = 255 * (1.0 if processor.rescale_factor is None else processor.rescale_factor)
    mean = processor.mean or (0.0, 0.0, 0.0)
    std = processor.std or (1.0, 1.0, 1.0)
    if abs(scale - 1.0) < 1e-9:
        return Normalisation(mean=mean, std=std)
    return Normalisation(mean=tuple(m / scale for m in mean), std=tuple(s / scale for s in std))


def classification_context(
    inspection: Inspection, choice: ReferenceChoice, *, name: str, year: int
) -> ClassificationContext:
    """Return the template values of one port; pure.

    Args:
        inspection: phase 1's result.
        choice: phase 2's result; its strategy carries a backbone match or the model to hold.
        name: snake_case network name.
        year: year of the licence header.
    """
    match, held, timm = choice.strategy.backbone, choice.strategy.held, choice.strategy.timm
    model = held or timm
    if (match is None and model is None) or inspection.image_size is None or inspection.processor is None:
        raise ModelRejectedError(
            f"{inspection.source.ref} lacks what an image classifier is generated from.",
            why="it needs an image size, an image processor and a backbone",
            next_step=f"porter inspect {inspection.source.ref}",
        )
    img_size = inspection.image_size[0]
    labels = len(inspection.labels)
    topk = (1, 5) if labels > 5 else (1,)
    pixels = normalisation_of(inspection.processor)
    reference = choice.reference
    embed_dim = model.embed_dim if model else match.embed_dim if match else 0
    backbone = (match.name if match else "") or _new_backbone(name, reference)
    overrides = schema_overrides(
        backbone, embed_dim=embed_dim, topk=topk, pixels=pixels, labels=labels, img_size=img_size
    )
    return ClassificationContext(
        repo="tao_pytorch",
        reference=reference.name,
        strategy=choice.strategy.strategy,
        name=name,
        prefix=pascal_case(name),
        title=name,
        source=_origin(inspection),
        header=dated(reference.header, year),
        schema_header=dated(reference.schema_header, year),
        config_root=reference.config_package.rpartition(".")[0],
        backbone=backbone,
        embed_dim=embed_dim,
        num_classes=labels,
        topk=topk,
        img_size=img_size,
        mean=pixels.mean,
        std=pixels.std,
        resize=resize_of(inspection.processor, img_size),
        image_suffixes=reference.image_suffixes,
        schema=build_schema(reference.config, overrides),
        hooks=reference.hooks,
        native=native_backbone(match) if match else None,
        held=held,
        timm=timm,
        lifted=choice.strategy.lifted,
    )


def _new_backbone(name: str, reference: Reference) -> str:
    """Return a name that the backbone registry does not have: it takes each name once."""
    taken = {entry.name for entry in reference.backbones}
    return f"{name}_hf" if name in taken else name


def schema_overrides(
    backbone: str, *, embed_dim: int, topk: tuple[int, ...], pixels: Normalisation, labels: int, img_size: int
) -> dict[str, Override]:
    """Return what the model decides in the schema; the same for both repositories."""
    return {
        "BackboneConfig.type": Override(
            value=backbone, options=(backbone,), description="Backbone architecture"
        ),
        "HeadConfig.in_channels": Override(value=embed_dim),
        "HeadConfig.topk": Override(value=list(topk)),
        "AugmentationConfig.mean": Override(value=list(pixels.mean)),
        "AugmentationConfig.std": Override(value=list(pixels.std)),
        "DatasetConfig.num_classes": Override(value=labels),
        "DatasetConfig.img_size": Override(value=img_size),
        "TrainConfig.precision": Override(value="fp32", options=("fp16", "bf16", "fp32")),
        "ExportConfig.input_width": Override(value=img_size),
        "ExportConfig.input_height": Override(value=img_size),
        "TrtConfig.data_type": Override(value="FP32", options=("FP32", "FP16", "INT8")),
    }


def dated(header: Sequence[str], year: int) -> tuple[str, ...]:
    """Return the lines of a licence header with the year filled in."""
    return tuple(line.replace("{year}", str(year)) for line in header)


def _origin(inspection: Inspection) -> str:
    source = inspection.source
    shown = source.ref if source.kind == "hub" else re.split(r"[\\/]", source.ref.rstrip("/\\"))[-1]
    return f"{shown} ({inspection.architecture}, {source.sha[:12]})"


def _unfit(processor: ProcessorFacts, img_size: int) -> ModelRejectedError:
    return ModelRejectedError(
        f"The image processor does not make squares of {img_size} pixels, which the model takes.",
        why=f"{processor.kind}: size {processor.size}, shortest edge {processor.shortest_edge}, "
        f"crop {processor.crop}",
        next_step="mend preprocessor_config.json in a local copy of the model and port that folder",
    )
