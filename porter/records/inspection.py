"""Phase 1's result: what the Hugging Face model is."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record, Task


class TensorInfo(Record, frozen=True, kw_only=True):
    """One tensor of a checkpoint or of a module's state dict.

    Attributes:
        name: key in the state dict.
        shape: sizes.
        dtype: safetensors spelling (``F32``, ``BF16``, ``I64``).
        file: file that holds it, relative to the model folder; empty for a module.
        buffer: whether the module keeps it as a buffer (always False for a file).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    file: str = ""
    buffer: bool = False


class Source(Record, frozen=True, kw_only=True):
    """Where the model comes from, pinned.

    Attributes:
        kind: ``hub`` or ``folder``.
        ref: hub id, or absolute folder.
        revision: what was asked for; None means the default branch.
        sha: the commit that it resolved to; for a folder the digest of its files.
        folder: folder on this machine with config and weights.
        renamed_from: what the Hub called it when it was asked for; empty where the name is the same.
    """

    kind: Literal["hub", "folder"]
    ref: str
    revision: str | None = None
    sha: str
    folder: str
    renamed_from: str = ""


class ModelFile(Record, frozen=True, kw_only=True):
    """One file of a source: path relative to its root, bytes, and SHA-256 where it is known."""

    path: str
    size: int
    sha256: str = ""


class Contents(Record, frozen=True, kw_only=True):
    """What a source holds beside the files that porter reads.

    Attributes:
        files: every file, sorted by path, whether it is on this machine or not.
        pipeline_tag: the task that the hub or the README states; empty where none does.
        licence: licence identifier of the model card's metadata; empty where it has none.
    """

    files: tuple[ModelFile, ...]
    pipeline_tag: str = ""
    licence: str = ""


Interpolation = Literal["pillow", "linear", "aligned"]


class ProcessorFacts(Record, frozen=True, kw_only=True):
    """What the image processor does to an image, in the order in which it does it.

    Attributes:
        size: target (height, width) of a plain resize; None where the shortest edge rules.
        shortest_edge: target of the shorter side; None for a plain resize.
        resample: PIL resampling number (0 nearest, 1 lanczos, 2 bilinear, 3 bicubic).
        keeps_ratio: whether that size is fitted by one factor for both sides, so that the result may be of
            another one; multiple: of what the sides of that result are multiples.
        rounded_down: whether an image keeps its own size, but for what is beyond such a multiple.
        interpolation: what resizes: Pillow, or a weighted mean of the four nearest pixels, where images are
            laid over each other by their edges (``linear``) or by their corner pixels (``aligned``).
        padded: whether an image is given a margin before, in which it is mirrored.
        crop: centre crop (height, width); None for no crop. What lies outside of the image is black.
        margin: what becomes of half a pixel where the crop leaves an odd margin: ``down`` rounds towards
            the upper left, ``even`` to the even number, as Python's and torchvision's ``round`` do.
        rescale_factor: factor on 0-255 pixels; None for no rescale.
        mean, std: per channel, all that is subtracted and divided by after the rescale; empty for nothing.
        flipped: whether the channels are handed over in the opposite order: blue, green, red.
        reduce_labels: whether value 0 of a label mask means no class, and the first class is 1 there.
        caveats: what the processor does that the fields above cannot say, one sentence each;
            an empty tuple means that they say everything.
    """

    kind: str
    size: tuple[int, int] | None = None
    shortest_edge: int | None = None
    resample: int = 2
    keeps_ratio: bool = False
    multiple: int = 1
    rounded_down: bool = False
    interpolation: Interpolation = "pillow"
    padded: bool = False
    crop: tuple[int, int] | None = None
    margin: Literal["down", "even"] = "down"
    rescale_factor: float | None = 1 / 255
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    flipped: bool = False
    reduce_labels: bool = False
    caveats: tuple[str, ...] = ()

    @property
    def least_edge(self) -> int:
        """The shortest side of an image of which anything is left."""
        return self.multiple if self.rounded_down else 1

    @property
    def fast(self) -> bool:
        """Whether it resizes with torchvision, which differs from Pillow by some levels of 255."""
        return self.kind.endswith("Fast")


class Licence(Record, frozen=True, kw_only=True):
    """The licence as the model's own files state it; empty name: not stated."""

    name: str = ""
    source: str = ""


class TaskChoice(Record, frozen=True, kw_only=True):
    """The task and where it was read."""

    task: Task
    source: Literal["option", "architecture", "pipeline tag", "answer"]
    reason: str


class HeadFacts(Record, frozen=True, kw_only=True):
    """The classification head: its tensors, and whether it stands apart from the body.

    Attributes:
        linear: path of the linear layer that makes the logits; empty where none does.
        in_features: width of what that layer is given.
        others: paths of further linear layers that make the logits together with it.
        combined: whether the model makes its logits of what the layers give, by their mean, say.
    """

    prefix: str
    tensors: tuple[str, ...]
    separable: bool
    reason: str = ""
    linear: str = ""
    in_features: int = 0
    others: tuple[str, ...] = ()
    combined: bool = False


class ExportAttempt(Record, frozen=True, kw_only=True):
    """One try of the ONNX sanity export.

    Attributes:
        attention: attention implementation of transformers, such as ``sdpa`` or ``eager``.
        exporter: ``legacy`` traces the module; ``dynamo`` captures it with torch.export.
        ok: the file was written, ONNX Runtime ran it, and its numbers are torch's.
        operator, module: what the exporter could not translate, and where it stands in the model.
        workaround: what a person can do about it.
    """

    opset: int
    attention: str
    exporter: Literal["legacy", "dynamo"] = "legacy"
    ok: bool
    error: str = ""
    operator: str = ""
    module: str = ""
    workaround: str = ""


class QueryFacts(Record, frozen=True, kw_only=True):
    """How class scores come of a model that gives classes and masks of queries.

    Attributes:
        mask_size: (height, width) to which masks are resized before they are weighed; None for their own.
    """

    mask_size: tuple[int, int] | None


class ModelProbe(Record, frozen=True, kw_only=True):
    """What the sandboxed probe saw when it built and ran the model.

    Attributes:
        transformers: version that built it.
        state: every tensor of the state dict (file column empty).
        missing, unexpected: keys that ``from_pretrained`` reported.
        tied: groups of names that share storage.
        output_shapes: shape by output name for one image.
        exports: the ONNX sanity exports, in the order tried.
        max_relative_error: ONNX Runtime against torch, of the export that worked.
        stages: paths of the modules that can be frozen one after the other, from the input to the last
            layer.
        maps: the output that holds feature maps (B, C, H, W) where hidden states are asked for; empty
            where there is none.
        interpolates: (height, width) of the model's own position embedding, where it fits that to images of
            other sizes when it is asked to; None where it is never asked.
        queries: how class scores come of its queries; None where it has none, or nobody knows.
        body: of a model that is asked for no head: the child with most of its weights, or the backbone of one
            with queries.
        class_tensors: likewise, tensors whose size follows the number of classes.
    """

    transformers: str
    state: tuple[TensorInfo, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    tied: tuple[tuple[str, ...], ...] = ()
    head: HeadFacts | None = None
    output_shapes: dict[str, tuple[int, ...]] = {}
    exports: tuple[ExportAttempt, ...] = ()
    max_relative_error: float | None = None
    stages: tuple[str, ...] = ()
    maps: str = ""
    interpolates: tuple[int, int] | None = None
    queries: QueryFacts | None = None
    body: str = ""
    class_tensors: tuple[str, ...] = ()


class Inspection(Record, frozen=True, kw_only=True):
    """Everything that phase 1 learned; what the sandbox adds is in :attr:`probe`.

    Attributes:
        architecture: model class that is ported.
        bare: model class that the files are of, where that is the network without a head; empty otherwise.
        config: ``config.json`` as it stands.
        labels: label by index; empty where the config names none.
        image_size: (height, width) that the model was built for.
        tensors: the tensor table from the safetensors headers; empty for pickles that were not read yet.
    """

    source: Source
    model_type: str
    architecture: str
    bare: str = ""
    task: TaskChoice
    config: dict[str, Any]
    labels: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None
    channels: int = 3
    processor: ProcessorFacts | None = None
    licence: Licence = Licence()
    saved_with: str = ""
    tensors: tuple[TensorInfo, ...] = ()
    notes: tuple[str, ...] = ()
    probe: ModelProbe | None = None


class FromPickles(Record, frozen=True, kw_only=True):
    """Weights that came as pickles, as the sandbox wrote them.

    Attributes:
        sha: the source's commit or digest.
        folder: model folder with safetensors in place of the pickles.
        pickles: the files that they came from.
        tensors: the tensor table from the safetensors header.
    """

    sha: str
    folder: str
    pickles: tuple[str, ...]
    tensors: tuple[TensorInfo, ...]


class WithHead(Record, frozen=True, kw_only=True):
    """A bare network as the sandbox wrote it: in the class of the task, with a head that knows nothing yet.

    Attributes:
        sha: the source's commit or digest.
        folder: model folder of the class with a head.
        config: its ``config.json``.
        labels: label by index.
        tensors: the tensor table from the safetensors header.
        new: the tensors that the source does not have.
        unused: tensors of the source that the class has no place for.
    """

    sha: str
    folder: str
    config: dict[str, Any]
    labels: tuple[str, ...]
    tensors: tuple[TensorInfo, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]


class SplitFacts(Record, frozen=True, kw_only=True):
    """One split of a class-folder dataset."""

    name: str
    folder: str
    images: dict[str, int]
    ignored: int = 0


class DatasetFacts(Record, frozen=True, kw_only=True):
    """A class-folder dataset: ``<root>/<split>/<class>/<image>``.

    Attributes:
        classes: names in the one order that ``classes.txt`` will have.
        against_labels: how they relate to the model's labels.
        generated: whether porter made the images itself.
    """

    root: str
    classes: tuple[str, ...]
    splits: tuple[SplitFacts, ...]
    against_labels: Literal["equal", "permuted", "different", "no labels"]
    generated: bool = False
    notes: tuple[str, ...] = ()
