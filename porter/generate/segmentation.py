"""The values that the semantic-segmentation templates need, built from what porter found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porter.errors import ModelRejectedError
from porter.generate.schema import Override
from porter.generate.values import NO_SCHEMA, PortContext, common_values, has_field, resize_of, with_schema
from porter.records.base import Record
from porter.records.inspection import Inspection, QueryFacts
from porter.records.reference import ReferenceChoice

MOST_CLASSES = 255
"""Masks have one byte a pixel, and its last value stands for no class."""

_BATCH = 8
_STRIDES = (4, 8, 16, 32)


class PaletteEntry(Record, frozen=True, kw_only=True):
    """How the pixels of a class look in a mask, in the words of TAO's experiment spec."""

    seg_class: str
    mapping_class: str
    label_id: int
    rgb: tuple[int, ...]


class SegmentationContext(PortContext, frozen=True, kw_only=True):
    """Everything that templates of the semantic-segmentation reference may use.

    Attributes:
        img_size: edge of the square images.
        embed_dim, in_channels, feature_strides: of the reference's own decoder.
        palette: what the pixels of masks mean.
        queries: how scores come of the classes and masks that the network gives; None where it gives scores.
        distributes: whether the release's spec says how a training on several GPUs samples and normalises.
    """

    img_size: int
    embed_dim: int
    in_channels: tuple[int, ...]
    feature_strides: tuple[int, ...]
    palette: tuple[PaletteEntry, ...]
    queries: QueryFacts | None
    distributes: bool

    def overrides(self) -> dict[str, Override]:
        """Return what the model decides in the schema; the same for every repository."""
        return {
            "BackboneConfig.type": Override(
                value=self.backbone, options=(self.backbone,), description="Backbone architecture"
            ),
            **self._decoder(),
            "AugmentationConfig.mean": Override(value=list(self.mean)),
            "AugmentationConfig.std": Override(value=list(self.std)),
            "SegmentConfig.num_classes": Override(value=self.num_classes),
            "SegmentConfig.img_size": Override(value=self.img_size),
            **{
                f"{section}.batch_size": Override(value=_BATCH)
                for section in ("SegmentConfig", "EvaluateConfig", "InferenceConfig")
            },
            **{
                f"{section}.vis_after_n_batches": Override(value=1)
                for section in ("EvaluateConfig", "InferenceConfig")
            },
            "SegmentConfig.label_transform": Override(value="None"),
            "SegmentConfig.palette": Override(value=[_plain(entry) for entry in self.palette]),
            "ExportConfig.input_width": Override(value=self.width),
            "ExportConfig.input_height": Override(value=self.height),
            "TrtConfig.data_type": Override(value="FP32", options=("FP32", "FP16", "INT8")),
        }

    def _decoder(self) -> dict[str, Override]:
        """Return what the decoder of TAO's is told; a model that is held brings its own."""
        if self.held is not None:
            return {}
        return {
            "DecodeHeadConfig.in_channels": Override(value=list(self.in_channels)),
            "DecodeHeadConfig.feature_strides": Override(value=list(self.feature_strides)),
            "DecodeHeadConfig.decoder_params": Override(value={"embed_dim": self.embed_dim}),
        }

    def class_values(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what the spec has to say of *classes*, by dotted key; nothing for the model's own."""
        if len(classes) == self.num_classes:
            return {}
        entries = palette_of(classes, reduced=bool(self.palette[0].rgb[0]))
        return {
            "dataset.segment.num_classes": len(classes),
            "dataset.segment.palette": [_plain(entry) for entry in entries],
        }


def _plain(entry: PaletteEntry) -> dict[str, Any]:
    return {
        "seg_class": entry.seg_class,
        "mapping_class": entry.mapping_class,
        "label_id": entry.label_id,
        "rgb": list(entry.rgb),
    }


def palette_of(classes: Sequence[str], *, reduced: bool = False) -> tuple[PaletteEntry, ...]:
    """Return the palette of grey masks.

    Args:
        classes: names in the order of the network's channels; each name once.
        reduced: whether grey 0 is no class, so that the first class looks like grey 1.
    """
    shift = int(reduced)
    return tuple(
        PaletteEntry(seg_class=name, mapping_class=name, label_id=number, rgb=(number + shift,))
        for number, name in enumerate(classes)
    )


def segmentation_context(
    inspection: Inspection, choice: ReferenceChoice, *, name: str, year: int, classes: Sequence[str]
) -> SegmentationContext:
    """Return the template values of one port; pure.

    Args:
        inspection: phase 1's result.
        choice: phase 2's result; its strategy carries a backbone match.
        name: snake_case network name.
        year: year of the licence header.
        classes: names of the classes, in the order of the network's channels.

    Raises:
        ModelRejectedError: there are more classes than a mask can tell apart.
    """
    reduced = inspection.processor is not None and inspection.processor.reduce_labels
    most = MOST_CLASSES - int(reduced)
    if len(classes) > most:
        raise ModelRejectedError(
            f"{inspection.source.ref} tells {len(classes)} classes apart.",
            why=f"a mask of TAO's has one byte a pixel, which is enough for {most}"
            + (" where 0 is no class" if reduced else ""),
            next_step="choose a model with fewer classes",
        )
    common = common_values(inspection, choice, name=name, year=year, classes=len(classes))
    reference, match, held = choice.reference, choice.strategy.backbone, choice.strategy.held
    assert inspection.processor is not None
    size = (common["height"], common["width"])
    context = SegmentationContext(
        **common,
        img_size=max(size),
        embed_dim=match.embed_dim if match else 0,
        in_channels=match.widths if match else (),
        feature_strides=_STRIDES,
        palette=palette_of(classes, reduced=reduced),
        queries=held.queries if held else None,
        distributes=all(has_field(reference, name) for name in ("use_distributed_sampler", "sync_batchnorm")),
        resize=resize_of(inspection.processor, size, common["mode"], own=None),
        schema=NO_SCHEMA,
    )
    return with_schema(context, reference.config, reference.schema_plan)
