"""The ledger, the weight plan and parity."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record
from porter.records.inspection import TensorInfo

Fate = Literal[
    "kept",
    "renamed",
    "reshaped",
    "fused",
    "split",
    "transposed",
    "permuted",
    "interpolated",
    "dropped",
    "initialised",
    "leftover",
]
"""What can become of a tensor; the ledger has one of them for every tensor of both sides."""


class Hint(Record, frozen=True, kw_only=True):
    """An open tensor of the other side that looks like a leftover one; a hint for people, no more.

    Attributes:
        of, name: the leftover tensor, and the candidate.
        alike: how much of the names is equal, 0 to 1.
        shape: ``same``, ``reordered`` (its axes), ``reshaped`` (as many elements) or ``other``.
    """

    of: str
    name: str
    alike: float
    shape: Literal["same", "reordered", "reshaped", "other"]


class LedgerRow(Record, frozen=True, kw_only=True):
    """What became of one or more source tensors, or of a target tensor that has no source.

    ``leftover`` rows leave the ledger open and fail the port.

    Attributes:
        sources: source tensor names, in the order in which they are used.
        targets: target tensor names.
        reason: why, or how, for everything that is not kept or renamed.
        inert: the measured effect on the output where parity cannot see a swap; None otherwise.
        hints: of a leftover, the nearest candidates of the other side.
    """

    fate: Fate
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    reason: str = ""
    inert: float | None = None
    hints: tuple[Hint, ...] = ()


class Ledger(Record, frozen=True, kw_only=True):
    """The table of all source and target tensors."""

    rows: tuple[LedgerRow, ...]

    @property
    def leftovers(self) -> tuple[LedgerRow, ...]:
        """Rows that nobody accounts for; empty when the ledger is closed."""
        return tuple(row for row in self.rows if row.fate == "leftover")


class Operation(Record, frozen=True, kw_only=True):
    """One step of the conversion, executed in the sandbox; it makes one target tensor.

    Attributes:
        op: ``copy`` (one source), ``concat`` (sources along axis), ``slice`` (start:stop of axis),
            ``reshape`` (to target shape), ``permute`` (axes of the source in the order *axes*), ``select``
            (axis cut into as many equal parts as *index* has, put into that order), ``interpolate``
            (position embedding, grid to grid, after *prefix* leading tokens), ``zeros`` or ``ones`` (no
            source) or ``initialise`` (no source: truncated normal of *std* within two std, generator
            seeded by the target's name).
        target: target tensor and its shape, dtype.
        sources: source tensors with the file that holds each.
        starts: where each source of a ``concat`` begins along the axis, the rest being zeros; empty: they
            follow each other and fill the target.
        source_grid, target_grid: patches as (rows, columns), for ``interpolate``.
        antialias: whether the bicubic ``interpolate`` antialiases, as timm does and transformers does not.
    """

    op: Literal[
        "copy",
        "concat",
        "slice",
        "reshape",
        "permute",
        "select",
        "interpolate",
        "zeros",
        "ones",
        "initialise",
    ]
    target: TensorInfo
    sources: tuple[TensorInfo, ...] = ()
    axis: int = 0
    axes: tuple[int, ...] = ()
    start: int = 0
    stop: int = 0
    starts: tuple[int, ...] = ()
    prefix: int = 0
    index: tuple[int, ...] = ()
    source_grid: tuple[int, int] | None = None
    target_grid: tuple[int, int] | None = None
    antialias: bool = True
    std: float = 0.0


class WeightPlan(Record, frozen=True, kw_only=True):
    """The ledger and, where it is closed, the operations that carry it out.

    Attributes:
        computed: target buffers that the target's class computes; no operation makes them.
        dropped: source tensors that a rule drops.
        zeros: names of those that may be dropped only because they hold nothing but zeros.
        head: whether the classification head is the source's own (``copied``), the source's own with
            its classes in another order (``permuted``) or new (``re-initialised``: then the features
            in front of it are compared, not the logits).
        source_head, target_head: module names of the heads; empty where the rules know none.
        source_twins, target_twins: those of further heads that make the logits together with them.
        key_prefix: what the checkpoint's loader strips from every key (``model.``).
        tao_model: tag in the checkpoint that tells the loader which prefix to strip.
        exact: both sides run the same code, so that not one bit may differ.
        attention: attention implementation of the Hugging Face model that is compared.
    """

    ledger: Ledger
    operations: tuple[Operation, ...]
    computed: tuple[TensorInfo, ...] = ()
    dropped: tuple[TensorInfo, ...] = ()
    zeros: tuple[str, ...] = ()
    head: Literal["copied", "permuted", "re-initialised"] = "copied"
    source_head: str = ""
    target_head: str = ""
    source_twins: tuple[str, ...] = ()
    target_twins: tuple[str, ...] = ()
    key_prefix: str
    tao_model: str
    architecture: str = ""
    exact: bool = False
    attention: str = "eager"


class TargetSpec(Record, frozen=True, kw_only=True):
    """How a probe builds the TAO side: everything by import path, so that any network fits.

    Attributes:
        package_root: folder that is put first on ``sys.path`` (the worktree).
        config: ``module:Class`` of the experiment config.
        spec: experiment spec file (YAML) that is merged over the config's defaults.
        overrides: value by dotted key, merged last.
        builder: ``module:function`` of ``build_model(experiment_config, export=False)``.
        pl_module: ``module:Class`` of the Lightning module; needed where a checkpoint is loaded by it.
        data_module: ``module:Class`` of the data module; needed for preprocessing.
        backbone_weights: key of the config for weights of the backbone.
        classes: class names; the probe writes them as ``classes.txt`` of a scratch ``dataset.root_dir``.
            Empty: the overrides already name a root that has one.
    """

    package_root: str
    config: str
    spec: str
    builder: str
    pl_module: str = ""
    data_module: str = ""
    overrides: dict[str, Any] = {}
    backbone_weights: str = "model.backbone.pretrained_backbone_path"
    classes: tuple[str, ...] = ()


class BuildTargetRequest(Record, frozen=True, kw_only=True):
    """Asks ``build_target`` for the tensors of the TAO module."""

    target: TargetSpec


class TargetModule(Record, frozen=True, kw_only=True):
    """What ``build_target`` built.

    Attributes:
        kind: class of the module, ``module:Class``.
        tensors: its state dict (parameters and persistent buffers), in order.
        pl_extra: state-dict keys of the Lightning module that lie outside its ``model.``; None where
            no ``pl_module`` was given.
    """

    kind: str
    tensors: tuple[TensorInfo, ...]
    parameters: int
    trainable: int
    pl_extra: tuple[str, ...] | None = None


class ConvertRequest(Record, frozen=True, kw_only=True):
    """Asks ``convert`` to carry out a plan.

    Attributes:
        folder: the model folder; the plan's tensors name files in it.
        checkpoint: the ``.pth`` to write.
        safetensors: a second file to write with the same tensors; empty for none.
        target: how the TAO module is built; needed where the plan has buffers that its class computes.
    """

    folder: str
    plan: WeightPlan
    checkpoint: str
    safetensors: str = ""
    target: TargetSpec | None = None


class Conversion(Record, frozen=True, kw_only=True):
    """The checkpoint that ``convert`` wrote and what that cost. Sizes in bytes.

    Attributes:
        safetensors: the second file with the same tensors; empty where none was asked for.
        sha256, size: of the checkpoint.
        dtypes: number of tensors by dtype.
        baseline_anon: RssAnon after the imports; peak_anon: the largest seen above it.
        limit_anon: 1.3 x the largest tensor + 64 MB.
    """

    checkpoint: str
    safetensors: str = ""
    sha256: str
    size: int
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    largest_tensor: int
    baseline_anon: int
    peak_anon: int
    limit_anon: int
    seconds: float


Weights = Literal["real", "perturbed"]
LoadWay = Literal["pretrained_backbone_path", "load_from_checkpoint", "safetensors"]
"""How the TAO module gets its weights; ``safetensors`` is ``pretrained_backbone_path`` with that file."""


class Parity(Record, frozen=True, kw_only=True):
    """The measured difference between two forms of the model on the same inputs.

    Attributes:
        hop: such as ``hf -> tao`` or ``tao -> onnx``.
        output: ``logits``, or ``features`` (what the head is given), or the graph's output name.
        relative: the largest ``|a-b| / |a|`` (L2) over the inputs; the largest float where a value was
            not finite.
        max_abs: the largest absolute difference.
        reference_max: the largest absolute value of the first form (scale of max_abs).
        tolerance: bound on *relative*.
        weights: the checkpoint's own, or the copy that was perturbed so that every tensor matters.
        way: how the TAO side got its weights.
        attention: ``eager`` on both sides, or ``as built`` (the TAO module's own choice).
        each: the relative error of every input, in their order.
    """

    hop: str
    output: str
    relative: float
    max_abs: float
    reference_max: float
    tolerance: float
    inputs: int
    batches: tuple[int, ...] = (1,)
    weights: Weights = "real"
    way: str = ""
    attention: Literal["eager", "as built"] = "eager"
    each: tuple[float, ...] = ()

    @property
    def within(self) -> bool:
        """Whether the relative error is a number within the tolerance."""
        return self.relative <= self.tolerance


class IdentityCheck(Record, frozen=True, kw_only=True):
    """Whether the loaded module holds, bit for bit, what the ledger says.

    Attributes:
        checked: tensors compared; it equals the number of target tensors when the ledger is closed.
        different: those that are not equal.
        uncovered: tensors of the loaded module that no operation makes.
    """

    weights: Weights
    way: LoadWay
    checked: int
    different: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether every tensor is the one that the ledger names."""
        return self.checked > 0 and not self.different and not self.uncovered


class ControlCheck(Record, frozen=True, kw_only=True):
    """A negative control: one tensor scaled by *factor* must be seen by parity."""

    tensor: str
    factor: float
    relative: float
    caught: bool


class OtherSize(Record, frozen=True, kw_only=True):
    """How both sides take images of another size than the model's own.

    Attributes:
        interpolated: whether transformers was asked to fit the position embedding.
        relative, max_abs: how far the TAO module is from it; None where one of them refused.
        refused: in whose words transformers, or the TAO module, does not take the size.
    """

    size: tuple[int, int]
    interpolated: bool = False
    relative: float | None = None
    max_abs: float | None = None
    refused: str = ""


class ParityRequest(Record, frozen=True, kw_only=True):
    """Asks ``parity`` to measure HF against the TAO module after TAO's own loaders.

    Attributes:
        folder: the Hugging Face model folder.
        checkpoint: the converted checkpoint of the real weights.
        safetensors: the second file of the conversion, whose loaded tensors are held against the ledger;
            empty for none.
        work: writable folder for the perturbed copy (twice the model's size); emptied afterwards.
        ways: loaders to go through; ``load_from_checkpoint`` needs ``target.pl_module``.
        image_size: (height, width) of the inputs.
        seed: of the inputs and of the perturbation.
        controls: number of roles (names without layer numbers) that get a negative control; all when 0.
        other_size: (height, width) to try beside; None for none.
        resized: what the experiment config says where images are of that size.
    """

    folder: str
    plan: WeightPlan
    target: TargetSpec
    checkpoint: str
    safetensors: str = ""
    work: str
    ways: tuple[LoadWay, ...] = ("pretrained_backbone_path", "load_from_checkpoint")
    image_size: tuple[int, int]
    channels: int = 3
    inputs: int = 4
    seed: int = 0
    tolerance: float = 1e-5
    controls: int = 4
    other_size: tuple[int, int] | None = None
    resized: dict[str, Any] = {}


class ParityAnswer(Record, frozen=True, kw_only=True):
    """What ``parity`` measured; ``notes`` says what the reference model was given."""

    parities: tuple[Parity, ...]
    identities: tuple[IdentityCheck, ...]
    controls: tuple[ControlCheck, ...]
    notes: tuple[str, ...] = ()
    other_size: OtherSize | None = None


class SwapCheck(Record, frozen=True, kw_only=True):
    """Whether parity would see two tensors of one shape exchanged.

    Attributes:
        first, second: source tensor names.
        relative: the change of the output; caught when above the request's threshold.
    """

    first: str
    second: str
    relative: float
    caught: bool


class SwapRequest(Record, frozen=True, kw_only=True):
    """Asks ``swap`` to exchange tensors of one shape in the loaded module.

    Every role is exchanged between two layers, and every two roles of one shape within a layer.

    Attributes:
        threshold: a swap is caught when it changes the output by more than this; ten times parity's
            tolerance.
        limit: most pairs to try; the pairs between layers go first, the rest is sampled by the seed.
        inputs: images per measurement.
        way: loader that gives the module its weights.
    """

    folder: str
    plan: WeightPlan
    target: TargetSpec
    work: str
    way: LoadWay = "pretrained_backbone_path"
    image_size: tuple[int, int]
    channels: int = 3
    inputs: int = 1
    seed: int = 0
    threshold: float = 1e-4
    limit: int = 80


class SwapAnswer(Record, frozen=True, kw_only=True):
    """The swaps that were tried, on perturbed weights.

    Attributes:
        baseline: relative error of parity without a swap.
        candidates: pairs that exist; more than ``swaps`` holds where the limit cut.
    """

    output: str
    baseline: float
    threshold: float
    candidates: int
    swaps: tuple[SwapCheck, ...]


ImageLayout = Literal["folders", "masks", "lists"]
"""Images in class folders, images and label masks in two trees, or lists of images and depth maps."""


class PreprocessRequest(Record, frozen=True, kw_only=True):
    """Asks ``preprocess_parity`` to compare the HF image processor with the data module's datasets.

    Attributes:
        folder: the Hugging Face model folder with the processor's config.
        section: key of the spec's section that the data module is given.
        layout: how its datasets lie on disk: class folders, images with masks, or lists of files.
        shift: grey level of the first class in a mask; classes: how many there are.
        cropped: whether the processor does more than resize to the model's size.
        least_edge: the processor makes nothing of an image with a shorter side.
        images: image files; empty: the probe draws some (several sizes and modes, PNG and JPEG).
        mode: PIL mode of what the model takes.
        fast: whether the model asks for the processor that resizes with torchvision.
        levels: bound on the difference from that one, in levels of 255.
        work: writable folder for the scratch dataset and the saved tensors.
        pictures: writable folder that pictures of the first images are added to; empty for none.
    """

    folder: str
    target: TargetSpec
    work: str
    images: tuple[str, ...] = ()
    pictures: str = ""
    mode: str = "RGB"
    fast: bool = False
    section: str = "dataset"
    layout: ImageLayout = "folders"
    shift: int = 0
    classes: int = 1
    cropped: bool = False
    least_edge: int = 1
    levels: float = 8.0
    tolerance: float = 1e-6


class PreprocessCheck(Record, frozen=True, kw_only=True):
    """One image through both; the two tensors lie in the named ``.npy`` files (channels, height, width).

    Attributes:
        mode, size: PIL mode and (width, height) of the file.
        max_abs: largest absolute difference of normalised values; the largest float where shapes differ.
        largest: largest absolute value that the processor makes: the scale of max_abs where it exceeds one.
        levels: largest difference from the processor that resizes with torchvision, in levels of 255; None
            where the model does not ask for it.
        exact: whether max_abs is from a processor that resizes with Pillow, as both sides do here.
        labels: pixels of the mask that have another class than they should; None without a mask.
        processor_labels: pixels that have another class than the model's processor gives them.
    """

    image: str
    mode: str
    size: tuple[int, int]
    dataset: Literal["val", "predict"]
    shape: tuple[int, ...]
    max_abs: float
    reference: str
    candidate: str
    largest: float = 1.0
    levels: float | None = None
    exact: bool = True
    labels: int | None = None
    processor_labels: int | None = None


class PreprocessAnswer(Record, frozen=True, kw_only=True):
    """What ``preprocess_parity`` measured.

    Attributes:
        processor: class that the tensors are compared with; fast: the one that the model asks for, where it
            resizes with torchvision.
        tolerance: bound on max_abs, where the largest value is one or less; levels: bound on levels.
    """

    processor: str
    fast: str = ""
    tolerance: float
    levels: float = 8.0
    checks: tuple[PreprocessCheck, ...]

    @property
    def within(self) -> bool:
        """Whether every image agrees within the bounds."""
        return bool(self.checks) and all(
            (not check.exact or check.max_abs <= self.tolerance * max(1.0, check.largest))
            and (check.levels is None or check.levels <= self.levels)
            and not check.labels
            for check in self.checks
        )

    @property
    def worst(self) -> float:
        """The largest difference from a processor that resizes with Pillow."""
        return max((check.max_abs for check in self.checks if check.exact), default=0.0)


class OnnxParityRequest(Record, frozen=True, kw_only=True):
    """Asks ``onnx_parity`` to compare the module, loaded from a checkpoint, with an exported file.

    Attributes:
        input_names, output_names: the names that the graph must have.
        batches: one comparison each.
        work: writable folder for the scratch ``classes.txt``.
        more_sizes: where a graph with dynamic height and width is compared too; empty for a fixed one.
    """

    target: TargetSpec
    checkpoint: str
    onnx: str
    work: str
    image_size: tuple[int, int]
    more_sizes: tuple[tuple[int, int], ...] = ()
    channels: int = 3
    batches: tuple[int, ...] = (1, 2, 5)
    seed: int = 0
    tolerance: float = 1e-4
    input_names: tuple[str, ...] = ("input",)
    output_names: tuple[str, ...] = ("output",)


class OnnxTensor(Record, frozen=True, kw_only=True):
    """An input or output of the graph; a dynamic axis is spelled by its name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


class OnnxParityAnswer(Record, frozen=True, kw_only=True):
    """What ``onnx_parity`` measured.

    Attributes:
        parities: one per batch size.
        problems: names or axes that are not as they must be; empty when all is well.
        agreement: share of images with the same top-1 class.
    """

    parities: tuple[Parity, ...]
    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    problems: tuple[str, ...] = ()
    agreement: float
    runtime: str
