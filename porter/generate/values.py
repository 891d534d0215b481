"""What the templates of every task need, built from what porter found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from porter.errors import ModelRejectedError
from porter.generate.native import NativeBackbone, native_backbone
from porter.generate.schema import Override, Schema, build_schema
from porter.records.base import Record
from porter.records.inspection import Inspection, Interpolation, ProcessorFacts
from porter.records.reference import (
    ConfigClass,
    HeldModel,
    Reference,
    ReferenceChoice,
    SchemaPlan,
    TimmModel,
)
from porter.records.transplant import Lifted

_PIL_FILTERS = {0: "NEAREST", 1: "LANCZOS", 2: "BILINEAR", 3: "BICUBIC", 4: "BOX", 5: "HAMMING"}
_BILINEAR = 2
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""PIL mode by number of channels."""


class Resize(Record, frozen=True, kw_only=True):
    """What the image processor does beyond the reference's own plain resize to a square.

    Trainer and deploy loader are generated from the one record, by one partial.

    Attributes:
        resample: name of the PIL filter.
        shortest_edge: size of the shorter side before the centre is cropped; None where both sides change.
        sides: (height, width) before the centre is cropped; None where the resize is all.
        keeps_ratio: whether one factor, which fits one side, resizes both.
        multiple: of what the sides are multiples then.
        rounded_down: whether an image keeps its size, but for what is beyond such a multiple.
        interpolation, padded: as in ProcessorFacts.
        ratio: those sizes over the crop's (height, width); of a shortest edge over the crop's shorter side.
        margin: how half a pixel of an odd margin is rounded, as in ProcessorFacts.
        flipped: whether the channels are handed over in the opposite order.
        apart: whether each channel is resized by itself: Pillow weighs colours with their transparency,
            torchvision does not.
    """

    resample: str
    shortest_edge: int | None = None
    sides: tuple[int, int] | None = None
    keeps_ratio: bool = False
    multiple: int = 1
    rounded_down: bool = False
    interpolation: Interpolation = "pillow"
    padded: bool = False
    ratio: tuple[float, float] = (1.0, 1.0)
    margin: str = "down"
    flipped: bool = False
    apart: bool = False

    @property
    def varies(self) -> bool:
        """Whether images leave with sizes that depend on their own."""
        return self.keeps_ratio or self.rounded_down


class Normalisation(Record, frozen=True, kw_only=True):
    """Mean and std on pixels in 0-1, whatever rescale factor the processor uses."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class PortContext(Record, frozen=True, kw_only=True):
    """What templates of every reference may use.

    Attributes:
        repo, reference, strategy: which tree is rendered, and how the architecture gets in.
        name, prefix, title: the network's name in snake case, for classes, and for people.
        source: where the model comes from, for a comment.
        config_root: package that holds the package of the schema.
        backbone: its name in the registry.
        height, width, channels, mode: of the images; mode is PIL's.
        mean, std: on pixels in 0-1.
        resize: what the data module does beyond the reference's own resize; None for nothing.
        hooks: methods of the reference's Lightning module that are overridden.
        dataset_section: key of the spec's section on the dataset.
        pl_module: module of the generated Lightning module, below the network's package.
        exporter_pinned: as of the reference.
    """

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
    num_classes: int
    height: int
    width: int
    mode: str
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize | None
    schema: Schema
    hooks: tuple[str, ...]
    dataset_section: str
    pl_module: str
    exporter_pinned: bool = True
    native: NativeBackbone | None = None
    held: HeldModel | None = None
    timm: TimmModel | None = None
    lifted: Lifted | None = None

    @property
    def image_sizes(self) -> tuple[tuple[int, int], ...]:
        """Return the smallest, usual and largest (height, width) that one graph takes; empty for just one."""
        return ()

    def overrides(self) -> dict[str, Override]:
        """Return what the model decides in the schema; the same for every repository."""
        raise NotImplementedError

    def class_values(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what the spec has to say of *classes*, by dotted key; nothing for the model's own."""
        raise NotImplementedError

    def loading(self, batch: int) -> list[str]:
        """Return the spec entries (dotlist) for batches of at most *batch* images, loaded by one process."""
        return [f"{self.dataset_section}.batch_size={batch}", f"{self.dataset_section}.workers=0"]

    def dataset(self, root: str, classes: Sequence[str]) -> list[str]:
        """Return the spec entries (dotlist) for the dataset in *root* with *classes*."""
        entries = {f"{self.dataset_section}.root_dir": root, **self.class_values(classes)}
        return [f"{key}={_entry(value)}" for key, value in entries.items()]

    def arguments(self, root: str, classes: Sequence[str]) -> list[str]:
        """Return those entries as TAO's deploy launcher takes them: it hands them to a shell."""
        return self.dataset(root, classes)

    def located(self, root: str) -> list[str]:
        """Return those of :meth:`dataset`'s entries that say where it lies: what a user of a spec sets."""
        return [f"{self.dataset_section}.root_dir={root}"]

    def template_data(self) -> dict[str, Any]:
        """Return plain values for Jinja; what was lifted is a file of its own and none of them."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        del data["lifted"]
        return data


def _entry(value: Any) -> str:
    """Return a value as the command lines of TAO take it: numbers and lists of them without blanks."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


Context = TypeVar("Context", bound=PortContext)

NO_SCHEMA = Schema(alias="", classes=(), helpers=(), typing_names=(), uses_missing=False)
"""Stands in a context until :func:`with_schema` gives it one."""


def with_schema(context: Context, config: Sequence[ConfigClass], plan: SchemaPlan) -> Context:
    """Return *context* with the schema that extends *config*."""
    return msgspec.structs.replace(context, schema=build_schema(config, plan, context.overrides()))


def has_field(reference: Reference, name: str) -> bool:
    """Return whether the release's schema of the network has a field *name*, in whatever section."""
    return any(field.name == name for found in reference.config for field in found.fields)


def pascal_case(name: str) -> str:
    """Return the class prefix of a snake_case network name (``vit_base`` -> ``VitBase``)."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def common_values(
    inspection: Inspection, choice: ReferenceChoice, *, name: str, year: int, classes: int
) -> dict[str, Any]:
    """Return the fields of :class:`PortContext` but ``resize`` and ``schema``, which depend on the task.

    Args:
        inspection: phase 1's result.
        choice: phase 2's result; its strategy carries a backbone match or the model to hold.
        name: snake_case network name.
        year: year of the licence header.
        classes: number of classes.

    Raises:
        ModelRejectedError: something is missing that code is generated from.
    """
    match, held, timm = choice.strategy.backbone, choice.strategy.held, choice.strategy.timm
    reference, size, channels = choice.reference, inspection.image_size, inspection.channels
    if (match is None and held is None and timm is None) or size is None or inspection.processor is None:
        raise ModelRejectedError(
            f"{inspection.source.ref} lacks what code is generated from.",
            why="it needs an image size, an image processor and a backbone",
            next_step=f"porter inspect {inspection.source.ref}",
        )
    pixels = normalisation_of(inspection.processor, channels)
    return {
        "repo": "tao_pytorch",
        "reference": reference.name,
        "strategy": choice.strategy.strategy,
        "name": name,
        "prefix": pascal_case(name),
        "title": name,
        "source": _origin(inspection),
        "exporter_pinned": reference.exporter_pinned,
        "header": dated(reference.header, year),
        "schema_header": dated(reference.schema_header, year),
        "config_root": reference.config_package.rpartition(".")[0],
        "backbone": (match.name if match else "") or _new_backbone(name, reference),
        "num_classes": classes,
        "height": size[0],
        "width": size[1],
        "mode": mode_of(channels),
        "channels": channels,
        "mean": pixels.mean,
        "std": pixels.std,
        "hooks": reference.hooks,
        "dataset_section": reference.generated.dataset,
        "pl_module": reference.generated.pl_module,
        "native": native_backbone(match) if match else None,
        "held": held,
        "timm": timm,
        "lifted": choice.strategy.lifted,
    }


def resize_of(
    processor: ProcessorFacts, size: tuple[int, int], mode: str = "RGB", *, own: int | None = _BILINEAR
) -> Resize | None:
    """Return what generated code must do so that it makes what the processor makes; None for nothing.

    Args:
        processor: of the model.
        size: (height, width) that the model takes.
        mode: PIL mode of its images.
        own: filter (PIL's number) by which the reference makes squares itself; None: always say what to do.

    Raises:
        ModelRejectedError: the processor's output is not of that size.
    """
    resample = _PIL_FILTERS[processor.resample]
    more: dict[str, Any] = {
        "resample": resample,
        "margin": processor.margin,
        "flipped": processor.flipped,
        "apart": processor.fast and mode == "RGBA",
        "keeps_ratio": processor.keeps_ratio,
        "multiple": processor.multiple if processor.keeps_ratio or processor.rounded_down else 1,
        "rounded_down": processor.rounded_down,
        "interpolation": processor.interpolation,
        "padded": processor.padded,
    }
    if processor.rounded_down:
        return Resize(**more)
    if processor.crop is not None and processor.size != processor.crop:
        sides, edge = processor.size, processor.shortest_edge
        if processor.crop != size or (sides is None and edge is None):
            raise _unfit(processor, size)
        if sides is not None:
            ratio = (sides[0] / size[0], sides[1] / size[1])
            return Resize(sides=sides, ratio=ratio, **more)
        assert edge is not None
        return Resize(shortest_edge=edge, ratio=(edge / min(size),) * 2, **more)
    if processor.size != size:
        raise _unfit(processor, size)
    plain = processor.resample == own and size[0] == size[1] and mode == "RGB"
    changed = processor.flipped or processor.keeps_ratio or processor.interpolation != "pillow"
    return None if plain and not changed else Resize(**more)


def normalisation_of(processor: ProcessorFacts, channels: int = 3) -> Normalisation:
    """Fold the rescale factor into mean and std, for pixels that were divided by 255."""
    scale = 255 * (1.0 if processor.rescale_factor is None else processor.rescale_factor)
    mean = processor.mean or (0.0,) * channels
    std = processor.std or (1.0,) * channels
    if abs(scale - 1.0) < 1e-9:
        return Normalisation(mean=mean, std=std)
    return Normalisation(mean=tuple(m / scale for m in mean), std=tuple(s / scale for s in std))


def _new_backbone(name: str, reference: Reference) -> str:
    """Return a name that the backbone registry does not have: it takes each name once."""
    taken = {entry.name for entry in reference.backbones}
    return f"{name}_hf" if name in taken else name


def mode_of(channels: int) -> str:
    """Return the PIL mode in which images are opened.

    Raises:
        ModelRejectedError: no image has that many channels.
    """
    if channels not in _MODES:
        raise ModelRejectedError(
            f"The model takes images of {channels} channels.",
            why="image files are grey (1), in colour (3), or in colour with transparency (4)",
            next_step="choose a model for such images",
        )
    return _MODES[channels]


def dated(header: Sequence[str], year: int) -> tuple[str, ...]:
    """Return the lines of a licence header with the year filled in."""
    return tuple(line.replace("{year}", str(year)) for line in header)


def _origin(inspection: Inspection) -> str:
    source = inspection.source
    shown = source.ref if source.kind == "hub" else re.split(r"[\\/]", source.ref.rstrip("/\\"))[-1]
    return f"{shown} ({inspection.architecture}, {source.sha[:12]})"


def _unfit(processor: ProcessorFacts, size: tuple[int, int]) -> ModelRejectedError:
    return ModelRejectedError(
        f"The image processor does not make images of {size[0]} x {size[1]}, which the model takes.",
        why=f"{processor.kind}: size {processor.size}, shortest edge {processor.shortest_edge}, "
        f"crop {processor.crop}",
        next_step="mend preprocessor_config.json in a local copy of the model and port that folder",
    )
