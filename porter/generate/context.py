"""The values that the image-classification templates need, built from what porter found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porter.generate.schema import Override
from porter.generate.values import NO_SCHEMA, PortContext, common_values, resize_of, with_schema
from porter.records.inspection import Inspection
from porter.records.reference import ReferenceChoice

_RGB = 3


class ClassificationContext(PortContext, frozen=True, kw_only=True):
    """Everything that templates of the image-classification reference may use."""

    embed_dim: int
    topk: tuple[int, ...]
    img_size: int
    height_key: str
    width_key: str
    image_suffixes: tuple[str, ...]

    def overrides(self) -> dict[str, Override]:
        """Return what the model decides in the schema; the same for every repository."""
        overrides = {
            "BackboneConfig.type": Override(
                value=self.backbone, options=(self.backbone,), description="Backbone architecture"
            ),
            "HeadConfig.in_channels": Override(value=self.embed_dim),
            "HeadConfig.topk": Override(value=list(self.topk)),
            "AugmentationConfig.mean": Override(value=list(self.mean)),
            "AugmentationConfig.std": Override(value=list(self.std)),
            "DatasetConfig.num_classes": Override(value=self.num_classes),
            "DatasetConfig.img_size": Override(value=self.img_size),
            "TrainConfig.precision": Override(value="fp32", options=("fp16", "bf16", "fp32")),
            "ExportConfig.input_width": Override(value=self.width),
            "ExportConfig.input_height": Override(value=self.height),
            "TrtConfig.data_type": Override(value="FP32", options=("FP32", "FP16", "INT8")),
        }
        if self.channels != _RGB:
            overrides["ExportConfig.input_channel"] = Override(value=self.channels, options=("1", "3", "4"))
        if self.height != self.width:
            said = "{} of the images, which are no squares: img_size is not used"
            overrides |= {
                "DatasetConfig.img_height": Override(
                    value=self.height, description=said.format("Height"), new=True
                ),
                "DatasetConfig.img_width": Override(
                    value=self.width, description=said.format("Width"), new=True
                ),
            }
        return overrides

    def class_values(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what the spec has to say of *classes*, by dotted key; nothing for the model's own."""
        if len(classes) == self.num_classes:
            return {}
        topk = [k for k in self.topk if k <= len(classes)]
        return {"dataset.num_classes": len(classes), "model.head.topk": topk}


def classification_context(
    inspection: Inspection, choice: ReferenceChoice, *, name: str, year: int, classes: int | None = None
) -> ClassificationContext:
    """Return the template values of one port; pure.

    Args:
        inspection: phase 1's result.
        choice: phase 2's result; its strategy carries a backbone match or the model to hold.
        name: snake_case network name.
        year: year of the licence header.
        classes: number of classes; None for the model's.
    """
    labels = classes or len(inspection.labels)
    common = common_values(inspection, choice, name=name, year=year, classes=labels)
    size = (common["height"], common["width"])
    square = size[0] == size[1]
    reference, strategy = choice.reference, choice.strategy
    model = strategy.held or strategy.timm or strategy.backbone
    assert model is not None
    assert inspection.processor is not None
    context = ClassificationContext(
        **common,
        embed_dim=model.embed_dim,
        topk=(1, 5) if labels > 5 else (1,),
        img_size=max(size),
        height_key="img_size" if square else "img_height",
        width_key="img_size" if square else "img_width",
        resize=resize_of(inspection.processor, size, common["mode"]),
        image_suffixes=reference.image_suffixes,
        schema=NO_SCHEMA,
    )
    return with_schema(context, reference.config, reference.schema_plan)
