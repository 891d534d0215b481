"""What the probes of phase 1 and of the dataset check are asked, and what the latter answers."""

from __future__ import annotations

from typing import Any

from porter.records.base import Record
from porter.records.inspection import TensorInfo


class InspectModel(Record, frozen=True, kw_only=True):
    """Request of ``probes/inspect_model.py``; the answer is a ``ModelProbe``.

    Attributes:
        folder: model folder with ``config.json`` and safetensors weights.
        architecture: class of transformers to build.
        head: whether to look for a classification head.
        image_size: (height, width) of the input.
        opsets: opset versions of the legacy exporter, in the order in which they are tried.
        dynamo: whether torch.export is tried when the legacy exporter fails throughout.
        tolerance: bound on the relative error of ONNX Runtime against torch.
        threads: torch's intra-op threads.
    """

    folder: str
    architecture: str
    head: bool
    image_size: tuple[int, int]
    channels: int = 3
    opsets: tuple[int, ...] = (17, 18)
    dynamo: bool = True
    tolerance: float = 1e-3
    seed: int = 0
    threads: int = 2


class ReadPickles(Record, frozen=True, kw_only=True):
    """Request of ``probes/read_pickles.py``: *files* of *folder* go to *target* as one safetensors file."""

    folder: str
    files: tuple[str, ...]
    target: str


class PicklesRead(Record, frozen=True, kw_only=True):
    """Answer of ``probes/read_pickles.py``.

    Attributes:
        tensors: how many were written.
        shared: groups of names that lay in one storage; each has its own copy now.
    """

    torch: str
    tensors: int
    shared: tuple[tuple[str, ...], ...] = ()


class AddHead(Record, frozen=True, kw_only=True):
    """Request of ``probes/add_head.py``: the weights of a bare network, in a class with a head.

    Attributes:
        folder: the bare network.
        tensors: its tensor table.
        architecture: model class of transformers that has the head.
        classes: rows of the head.
        target: safetensors file to write.
        seed: of the numbers that the head begins with.
    """

    folder: str
    tensors: tuple[TensorInfo, ...]
    architecture: str
    classes: int
    target: str
    seed: int = 0


class HeadAdded(Record, frozen=True, kw_only=True):
    """Answer of ``probes/add_head.py``.

    Attributes:
        new: tensors that the files did not have.
        unused: tensors of the files that the class has no place for.
        kept: tensors that were compared with the files, bit by bit.
    """

    new: tuple[str, ...]
    unused: tuple[str, ...]
    kept: int


class MakeModel(Record, frozen=True, kw_only=True):
    """Request of ``probes/make_demo_model.py``: a model of transformers with perturbed random weights.

    Attributes:
        folder: written there; must not exist or be empty.
        architecture: model class of transformers.
        config: keyword arguments of its config class.
        processor: ``preprocessor_config.json``; empty for none.
        labels: label by index.
        shard_bytes: largest size of one weights file; 0 for a single file.
        dtype: torch dtype of the saved weights.
        calibrate: (channels, height, width) of images that the statistics of batch norms are fitted to; None
            leaves them random.
        as_timm: whether ``config.json`` is written as a hub repository of timm has it.
    """

    folder: str
    architecture: str = "ViTForImageClassification"
    config: dict[str, Any] = {}
    processor: dict[str, Any] = {}
    labels: tuple[str, ...] = ()
    seed: int = 0
    shard_bytes: int = 0
    dtype: str = "float32"
    calibrate: tuple[int, int, int] | None = None
    as_timm: bool = False


class MadeModel(Record, frozen=True, kw_only=True):
    """Answer of ``probes/make_demo_model.py``: files written, and the number of weights.

    Attributes:
        spread: how far the outputs of different images are apart, relative to their size; None where no
            image was shown. Near zero, the output depends on nothing but the last biases.
    """

    files: tuple[str, ...]
    parameters: int
    spread: float | None = None


class MakeModels(Record, frozen=True, kw_only=True):
    """Request of ``probes/make_models.py``: models that are made in one process."""

    models: tuple[MakeModel, ...]


class ModelOrProblem(Record, frozen=True, kw_only=True):
    """A model that was made, or why it could not be."""

    made: MadeModel | None = None
    problem: str = ""


class MadeModels(Record, frozen=True, kw_only=True):
    """Answer of ``probes/make_models.py``, in the order of the request."""

    models: tuple[ModelOrProblem, ...]


class CheckDataset(Record, frozen=True, kw_only=True):
    """Request of ``probes/check_dataset.py``; the answer is a ``DatasetScan``.

    Attributes:
        root: folder with one folder per split.
        splits: folder names that count as splits, in order.
        suffixes: file name endings, case-sensitive, with their dot.
        decode: how many images to decode at most, spread evenly; 0 means all.
    """

    root: str
    splits: tuple[str, ...]
    suffixes: tuple[str, ...]
    decode: int = 0
    processes: int = 2


class UnreadableImage(Record, frozen=True, kw_only=True):
    """An image that Pillow could not decode; the path is relative to the root."""

    path: str
    error: str


class SplitScan(Record, frozen=True, kw_only=True):
    """What lies in one split.

    Attributes:
        images: number of images by class folder.
        ignored: number of files by suffix that the trainer would not see.
        stray: number of images that lie beside the class folders or deeper than them.
        links: class folders or images that are symbolic links to nowhere, or to where the probe
            cannot look, up to 20.
    """

    name: str
    images: dict[str, int]
    ignored: dict[str, int] = {}
    stray: int = 0
    links: tuple[str, ...] = ()


class DatasetScan(Record, frozen=True, kw_only=True):
    """What the probe found on disk.

    Attributes:
        decoded: images that were decoded.
        unreadable: those that failed, up to 20; *unreadable_count* has their number.
        others: folders of the root that are no split.
        undecodable: names that are not UTF-8, escaped, up to 20.
        class_file: lines of ``classes.txt`` in the root; None where there is none.
    """

    splits: tuple[SplitScan, ...]
    decoded: int
    unreadable: tuple[UnreadableImage, ...] = ()
    unreadable_count: int = 0
    others: tuple[str, ...] = ()
    undecodable: tuple[str, ...] = ()
    class_file: tuple[str, ...] | None = None


class MakeDataset(Record, frozen=True, kw_only=True):
    """Request of ``probes/make_dataset.py``; the answer is a ``MadeDataset``.

    Attributes:
        root: written there; must not exist or be empty.
        classes: folder names.
        size: rough edge length of an image in pixels.
        images: images per class by split.
        filled: number of classes that get images; the rest get empty folders.
    """

    root: str
    classes: tuple[str, ...]
    size: int
    images: dict[str, int]
    filled: int = 32
    seed: int = 0


class MadeDataset(Record, frozen=True, kw_only=True):
    """Answer of ``probes/make_dataset.py``: the files, relative to the root, sorted."""

    files: tuple[str, ...]


class CheckMasks(Record, frozen=True, kw_only=True):
    """Request of ``probes/check_masks.py``; the answer is a ``MaskScan``.

    Attributes:
        root: folder with ``images/<split>`` and ``masks/<split>``.
        splits: folder names that count as splits, in order; those without masks come last.
        decode: how many images and masks to decode at most by split, spread evenly; 0 means all.
        processes: threads that decode.
    """

    root: str
    splits: tuple[str, ...]
    decode: int = 0
    processes: int = 2


class MaskSplit(Record, frozen=True, kw_only=True):
    """What lies in one split.

    Attributes:
        images, masks: number of files.
        unpaired: files of a name that the other folder lacks, up to 20; *unpaired_count* has their number.
        decoded: images that were decoded, with their masks.
        broken: path below the root and what is wrong with the file, up to 20.
        levels: grey levels in the decoded masks, with the number of masks that have each.
        coloured: whether a mask has colours instead of grey levels.
    """

    name: str
    images: int
    masks: int
    unpaired: tuple[str, ...] = ()
    unpaired_count: int = 0
    decoded: int = 0
    broken: tuple[UnreadableImage, ...] = ()
    broken_count: int = 0
    levels: dict[int, int] = {}
    coloured: bool = False


class MaskScan(Record, frozen=True, kw_only=True):
    """What the probe found on disk; class_file as in :class:`DatasetScan`."""

    splits: tuple[MaskSplit, ...]
    class_file: tuple[str, ...] | None = None


class MakeMasks(Record, frozen=True, kw_only=True):
    """Request of ``probes/make_masks.py``; the answer is ``MadeDataset``.

    Attributes:
        root: folder that is made.
        classes: number of classes; shift: the grey level of the first.
        size: rough edge length of the images in pixels.
        images: number of images by split.
        seed: fixes every pixel.
    """

    root: str
    classes: int
    shift: int = 0
    size: int
    images: dict[str, int]
    seed: int = 0


class CheckDepth(Record, frozen=True, kw_only=True):
    """Request of ``probes/check_depth.py``; the answer is a ``DepthScan``.

    Attributes:
        root: folder with ``<split>.txt`` and what these lists name.
        splits: lists to look for.
        above, below: what lies between is measured depth.
        decode: how many images and depth maps to decode at most by split, spread evenly; 0 means all.
        processes: threads that decode.
    """

    root: str
    splits: tuple[str, ...]
    above: float
    below: float
    decode: int = 0
    processes: int = 2


class DepthSplit(Record, frozen=True, kw_only=True):
    """What one list names.

    Attributes:
        images, depths: lines, and those with a depth map.
        strange: lines that are not one to three paths with a blank between them, up to 20.
        outside: paths that do not lie below the root, up to 20.
        decoded: lines whose files were decoded.
        broken: path below the root and what is wrong with the file, up to 20.
        pixels, measured: of the decoded depth maps, and how many of them have a depth.
        least, greatest: depth of these; None where there is none.
    """

    name: str
    images: int
    depths: int
    strange: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    decoded: int = 0
    broken: tuple[UnreadableImage, ...] = ()
    broken_count: int = 0
    pixels: int = 0
    measured: int = 0
    least: float | None = None
    greatest: float | None = None


class DepthScan(Record, frozen=True, kw_only=True):
    """What the probe found on disk."""

    splits: tuple[DepthSplit, ...]


class MakeDepth(Record, frozen=True, kw_only=True):
    """Request of ``probes/make_depth.py``; the answer is ``MadeDataset``.

    Attributes:
        root: folder that is made.
        relative: whether ground truth is inverse depth.
        farthest: depth in metres that a metric model gives at most.
        size: rough edge length of the images in pixels.
        images: number of images by split.
        seed: fixes every pixel.
    """

    root: str
    relative: bool
    farthest: float
    size: int
    images: dict[str, int]
    seed: int = 0
