"""The values that the depth-estimation templates need, built from what porter found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from porter.generate.depth_kind import (
    INVERTED,
    METRIC,
    RELATIVE,
    DepthKind,
    farthest,
    kind_of,
    quantity_of,
)
from porter.generate.schema import Override
from porter.generate.values import (
    NO_SCHEMA,
    PortContext,
    Resize,
    common_values,
    has_field,
    resize_of,
    with_schema,
)
from porter.records.inspection import Inspection
from porter.records.reference import BackboneMatch, ReferenceChoice

SPLITS = {"train": "train", "val": "val", "test": "val", "infer": "test"}
"""Sections of the spec, and the split of a dataset that each reads."""

NEAREST = 0.001
"""What is nearer, in metres, is no depth in the reference's metric datasets."""

_WHOLE = 32
"""Edges that are multiples of it have whole patches at every stage of the models that are held."""


class DepthContext(PortContext, frozen=True, kw_only=True):
    """Everything that templates of the depth-estimation reference may use.

    Attributes:
        kind: relative or metric.
        relative: whether the model gives inverse depth without scale and offset, instead of metres.
        quantity: what the depth maps hold, in words.
        inverse: whether the network of a metric model gives inverse depth, in 1 / metres.
        min_depth, max_depth: of a metric model, in metres.
        encoder: name of the sizes; the reference's own where it has one.
        features, widths, layers: of the reference's decoder: its width, the channels of the four maps that it
            fuses, and the numbers of the encoder's blocks that they come from; a model that is held has its
            own.
        step: of what the edges of images of several sizes are multiples; 0 where all images have one size.
        sides: smallest, usual and largest (height, width) of the images that one engine takes; None where
            it takes one size, which is all that the image processor makes.
    """

    kind: DepthKind
    relative: bool
    quantity: str
    inverse: bool
    min_depth: float | None
    max_depth: float | None
    encoder: str
    features: int
    widths: tuple[int, ...]
    layers: tuple[int, ...]
    step: int
    sides: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None

    @property
    def image_sizes(self) -> tuple[tuple[int, int], ...]:
        """Return ``sides``."""
        return self.sides or ()

    def overrides(self) -> dict[str, Override]:
        """Return what the model decides in the schema; the same for every repository."""
        return {
            "ModelConfig.model_type": Override(value=self.kind.model_type, options=(self.kind.model_type,)),
            "ModelConfig.encoder": Override(value=self.encoder, options=(self.encoder,)),
            "AugmentationConfig.input_mean": Override(value=list(self.mean)),
            "AugmentationConfig.input_std": Override(value=list(self.std)),
            "AugmentationConfig.crop_size": Override(value=[self.height, self.width]),
            "DatasetConfig.dataset_name": Override(value="MonoDataset", options=("MonoDataset",)),
            "DatasetConfig.min_depth": Override(value=self.min_depth),
            "DatasetConfig.max_depth": Override(value=self.max_depth),
            "ExportConfig.input_width": Override(value=self.width),
            "ExportConfig.input_height": Override(value=self.height),
            "TrtConfig.data_type": Override(value="FP32", options=("FP32", "FP16", "BF16")),
        }

    def class_values(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return nothing: depth has no classes."""
        return {}

    def loading(self, batch: int) -> list[str]:
        """Return the spec entries for batches of at most *batch* images, loaded by one process.

        Validation takes its images one by one, each of its own size.
        """
        sizes = {split: 1 if split == "val" else batch for split in SPLITS}
        entries = [
            f"{self.dataset_section}.{split}_dataset.batch_size={size}" for split, size in sizes.items()
        ]
        return entries + [f"{self.dataset_section}.{split}_dataset.workers=0" for split in SPLITS]

    def dataset(self, root: str, classes: Sequence[str]) -> list[str]:
        """Return the spec entries (dotlist) for the lists of the dataset in *root*."""
        # Both OmegaConf and Hydra read keys without quotes and values with them.
        return [
            f"{self.dataset_section}.{name}_dataset.data_sources="
            f"[{{dataset_name: {self.kind.dataset_name}, data_file: {json.dumps(f'{root}/{split}.txt')}}}]"
            for name, split in SPLITS.items()
        ]

    def arguments(self, root: str, classes: Sequence[str]) -> list[str]:
        """Return those entries for the shell of TAO's deploy launcher, which would expand the braces.

        It quotes the whole command once more with single quotes, which rules those out.
        """
        return [re.sub(r"[^\w@%+=:./-]", r"\\\g<0>", entry) for entry in self.dataset(root, classes)]

    def located(self, root: str) -> list[str]:
        """Return the spec entries for the lists of which deploy scripts read one each."""
        read = tuple(f"{self.dataset_section}.{name}_dataset." for name in ("test", "infer"))
        return [entry for entry in self.dataset(root, ()) if entry.startswith(read)]


def depth_context(inspection: Inspection, choice: ReferenceChoice, *, name: str, year: int) -> DepthContext:
    """Return the template values of one port; pure.

    Args:
        inspection: phase 1's result.
        choice: phase 2's result; its strategy carries the network's own architecture.
        name: snake_case network name.
        year: year of the licence header.
    """
    common = common_values(inspection, choice, name=name, year=year, classes=0)
    reference, match = choice.reference, choice.strategy.backbone
    assert inspection.processor is not None
    kind = kind_of(inspection)
    size = (common["height"], common["width"])
    resize = resize_of(inspection.processor, size, common["mode"], own=None)
    assert resize is not None
    # What is held is lifted or traced for one size.
    several = match is not None and resize.varies and has_field(reference, "min_height")
    context = DepthContext(
        **common,
        kind=kind,
        relative=kind == RELATIVE,
        quantity=quantity_of(inspection),
        inverse=inspection.model_type in INVERTED,
        min_depth=NEAREST if kind == METRIC else None,
        max_depth=farthest(inspection) if kind == METRIC else None,
        encoder=(match.name if match else "") or name,
        features=match.embed_dim if match else 0,
        widths=match.widths if match else (),
        layers=match.layers if match else (),
        step=_step(resize, match),
        sides=_sides(size, resize.multiple) if several else None,
        resize=resize,
        schema=NO_SCHEMA,
    )
    return with_schema(context, reference.config, reference.schema_plan)


def _sides(size: tuple[int, int], multiple: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return the sizes between which images lie of which one side is at most twice the other."""
    height, width = (max(edge // 2 // multiple, 1) * multiple for edge in size)
    return (height, width), size, (2 * size[0], 2 * size[1])


def _step(resize: Resize, match: BackboneMatch | None) -> int:
    """Return of what the edges of images are multiples; 0 where all have one size, and nothing is asked."""
    if resize.varies and resize.multiple > 1:
        return resize.multiple
    if match is not None:
        return int(match.arguments["patch_size"])
    return _WHOLE if resize.varies else 0
