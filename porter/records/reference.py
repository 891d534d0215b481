"""Phase 2's result: the clone, the TAO model to follow, and the strategy."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record, Task
from porter.records.inspection import QueryFacts
from porter.records.remap import RemapRules
from porter.records.transplant import Lifted

Repo = Literal["tao-core", "tao-pytorch", "tao-deploy", "tao-dataservices"]
Layout = Literal["core", "in-repo"]
Strategy = Literal["native", "timm", "transplant", "compose"]
Loader = Literal["pretrained_backbone_path", "load_from_checkpoint"]
"""How TAO gives a network its weights: by the spec's key, or by Lightning."""
Pooling = Literal["class-and-patches"]
"""What a head is given: the class token and the mean of the patch tokens, side by side."""

PACKAGES: dict[str, Repo] = {
    "nvidia_tao_core": "tao-core",
    "nvidia_tao_pytorch": "tao-pytorch",
    "nvidia_tao_deploy": "tao-deploy",
    "nvidia_tao_ds": "tao-dataservices",
}
"""The repository that holds each top-level package."""

REQUIRED = "???"
"""The value of a mandatory field, as OmegaConf spells MISSING."""


class Release(Record, frozen=True, kw_only=True):
    """What a clone is, read from its own facts.

    Attributes:
        version: release that the facts point to (``7.0.1``); empty where they name none.
        environment: requirement set under ``containers/`` that fits; empty for none.
        evidence: each fact that led there, one sentence.
    """

    repo: Repo
    layout: Layout
    version: str
    commit: str
    tag: str = ""
    environment: str = ""
    evidence: tuple[str, ...] = ()


class SourceFile(Record, frozen=True, kw_only=True):
    """One of the files that make up a reference; absent files are recorded as absent."""

    role: str
    path: str
    present: bool
    sha256: str = ""


class MethodFacts(Record, frozen=True, kw_only=True):
    """A method or function: parameter names in order without ``self``, and which have defaults."""

    name: str
    parameters: tuple[str, ...]
    defaults: tuple[str, ...] = ()
    accepts_kwargs: bool = False
    static: bool = False


class ClassFacts(Record, frozen=True, kw_only=True):
    """A class as its source states it; methods and attributes of its bases are not among them.

    Attributes:
        bases: import paths.
        attributes: names assigned on ``self`` anywhere in the class.
    """

    name: str
    module: str
    bases: tuple[str, ...]
    methods: tuple[MethodFacts, ...] = ()
    attributes: tuple[str, ...] = ()


class ConfigField(Record, frozen=True, kw_only=True):
    """A field of a config dataclass.

    Attributes:
        helper: the field helper that makes it (``STR_FIELD``); empty for a plain default.
        value: literal value; ``???`` for MISSING; the class name for DATACLASS_FIELD.
        default_value: the metadata's ``default_value``; equals value where not given.
        options: metadata ``valid_options``, split.
        metadata: the helper's further literal keyword arguments (``valid_min``, ``automl_enabled``).
        arguments: what a nested class is built with, where it is more than its own defaults.
    """

    name: str
    type: str
    helper: str
    value: Any = None
    default_value: Any = None
    options: tuple[str, ...] = ()
    description: str = ""
    metadata: dict[str, Any] = {}
    arguments: dict[str, Any] = {}


class ConfigClass(Record, frozen=True, kw_only=True):
    """A config dataclass, own fields only."""

    name: str
    module: str
    bases: tuple[str, ...]
    fields: tuple[ConfigField, ...]


class HydraRunner(Record, frozen=True, kw_only=True):
    """How a script is started: its hydra defaults and its monitor_status arguments."""

    script: str
    config_name: str
    spec_present: bool
    mode: str
    schema_module: str


class Generated(Record, frozen=True, kw_only=True):
    """Where the parts of a generated package lie, as paths below ``nvidia_tao_pytorch.cv.<name>``.

    Attributes:
        builder: ``module:function`` that builds the network of an experiment.
        pl_module: module of the Lightning module, whose class ends in ``PlModel``.
        data_module: module of the data module, whose class ends in ``DataModule``.
        dataset: key of the section that the data module is given.
        loaders: the ways in which TAO loads a converted checkpoint.
        weights: key of the spec for a checkpoint to start from.
        backbone_weights: key of the spec for weights of the backbone alone.
        freeze: key of the spec that freezes the backbone; empty where none does.
    """

    builder: str
    pl_module: str
    data_module: str
    dataset: str = "dataset"
    loaders: tuple[Loader, ...] = ("pretrained_backbone_path", "load_from_checkpoint")
    weights: str = "model.backbone.pretrained_backbone_path"
    backbone_weights: str = "model.backbone.pretrained_backbone_path"
    freeze: str = "model.backbone.freeze_backbone"


class SchemaClassPlan(Record, frozen=True, kw_only=True):
    """A dataclass of the generated schema, and the one that it extends.

    Attributes:
        of: module of the base: the reference's own schema (``reference``), the sections common to all
            networks (``common_config``), or one of the plan's *modules*.
        nested: generated class by the field that holds it.
        extra: ``Class.field`` of further fields of the reference's schema that the base lacks.
    """

    name: str
    base: str
    of: str = "reference"
    doc: str
    nested: dict[str, str] = {}
    extra: tuple[str, ...] = ()


class SchemaPlan(Record, frozen=True, kw_only=True):
    """The dataclasses of a generated schema in definition order, as ``references/networks`` has them.

    Attributes:
        alias: name under which the generated module imports the reference's schema.
        modules: further modules of the reference's schema, by the names under which they are imported.
        sections: class of each section of the experiment.
    """

    alias: str
    modules: dict[str, str] = {}
    sections: dict[str, str]
    classes: tuple[SchemaClassPlan, ...]


class BackboneEntry(Record, frozen=True, kw_only=True):
    """A name in the backbone registry.

    Attributes:
        arguments: literal keyword arguments that the factory passes on; sequences as lists.
        expressions: its other arguments as the source spells them, names that it imports by their import
            path; positional ones as ``*0``.
        accepts_kwargs: whether further keyword arguments reach the class. One that the factory
            passes itself is not welcome again: Python refuses it.
        target: import path of the class that the factory builds.
    """

    name: str
    module: str
    target: str
    arguments: dict[str, Any] = {}
    expressions: dict[str, str] = {}
    accepts_kwargs: bool = False


class BackboneClass(Record, frozen=True, kw_only=True):
    """A class that entries of the backbone registry, or the network itself, build.

    Attributes:
        target: its import path.
        parameters: what its constructor names.
        open: whether it hands anything else on to its base.
    """

    target: str
    parameters: tuple[str, ...] = ()
    open: bool = False


class Reference(Record, frozen=True, kw_only=True):
    """A TAO model as it stands in the clone, and the seams by which it is extended.

    Attributes:
        name: network name, such as ``classification_pyt``.
        package: import path of the network; config_package likewise for its schema.
        symbols: import path of what generated code uses beside the classes, by its role.
        exporter_pinned: whether its ONNX exporter says which of PyTorch's exporters it means: releases that
            do not mean the one that was the default then.
        hooks: methods of the PL module that generated code overrides, present in this clone.
        checkpoint_filename, tao_model: conventions of its checkpoints.
        tags: names that its checkpoint adapter knows, with the prefix that each strips; a tag for
            one model type only reads ``tag:type``.
        header: licence header lines of a neighbouring file, year left as ``{year}``; schema_header
            those of the reference's own schema, which may lie in another repository.
    """

    name: str
    task: Task
    release: Release
    package: str
    config_package: str
    generated: Generated
    files: tuple[SourceFile, ...]
    pl_module: ClassFacts
    data_module: ClassFacts
    dataset: ClassFacts
    symbols: dict[str, str] = {}
    exporter_pinned: bool = True
    hooks: tuple[str, ...]
    config: tuple[ConfigClass, ...]
    schema_plan: SchemaPlan
    scripts: tuple[HydraRunner, ...]
    checkpoint_filename: str
    tao_model: str
    tags: dict[str, str]
    onnx_inputs: tuple[str, ...]
    onnx_outputs: tuple[str, ...]
    image_suffixes: tuple[str, ...]
    console_scripts: dict[str, str]
    networks: tuple[str, ...]
    backbones: tuple[BackboneEntry, ...]
    backbone_classes: tuple[BackboneClass, ...] = ()
    header: tuple[str, ...]
    schema_header: tuple[str, ...] = ()


class DeployReference(Record, frozen=True, kw_only=True):
    """What generated deploy code leans on, as the tao-deploy clone has it.

    Attributes:
        config_package: import path of the network's schema.
        config: its config dataclasses.
        symbols: import path by role; hooks: the methods that generated code overrides or calls.
        setup_files: setup files of the clone, by path, with the console scripts that each declares.
        networks: names that are taken.
        header: licence header lines of a neighbouring file, year left as ``{year}``; schema_header
            those of the reference's own schema.
        docs_tool, docs_page: the clone's script that rewrites a page of its documentation; empty for none.
    """

    release: Release
    config_package: str
    config: tuple[ConfigClass, ...]
    schema_plan: SchemaPlan
    symbols: dict[str, str]
    hooks: tuple[str, ...]
    setup_files: dict[str, dict[str, str]]
    networks: tuple[str, ...]
    header: tuple[str, ...]
    schema_header: tuple[str, ...] = ()
    docs_tool: str = ""
    docs_page: str = ""


class CoreReference(Record, frozen=True, kw_only=True):
    """The schema that a tao-core clone has of the reference, for the port's copy of it there.

    Attributes:
        config_package: import path of the network's schema; config its dataclasses.
        networks: names that are taken.
        header: licence header lines of that schema, year left as ``{year}``.
    """

    release: Release
    config_package: str
    config: tuple[ConfigClass, ...]
    schema_plan: SchemaPlan
    networks: tuple[str, ...]
    header: tuple[str, ...]


class Candidate(Record, frozen=True, kw_only=True):
    """A reference that was considered, with its score (higher is closer) and the reasons."""

    name: str
    score: int
    reasons: tuple[str, ...]


class ModuleFix(Record, frozen=True, kw_only=True):
    """An attribute that generated code sets on modules of the finished backbone.

    Attributes:
        modules: their paths, as in ``model.layers[3].blocks[1]``.
    """

    modules: tuple[str, ...]
    attribute: str
    value: Any
    comment: str


class BackboneMatch(Record, frozen=True, kw_only=True):
    """A backbone of the clone that has the model's architecture.

    Attributes:
        name: registry name, or the network's own name for the sizes; empty where there is none, so that the
            port registers one.
        target: class of the backbone, as import path with a colon.
        arguments: keyword arguments, of the entry or of the class, that make it equal to the HF model.
        code: further ones that are Python, every name in it by its import path.
        image_argument: the argument that takes the image size of the experiment spec; empty for none.
        position_embedding: whether ``pos_embed`` follows the image size, as TAO resizes it.
        fixes: what is set on its modules.
        head: path of its head; embed_dim: width of what that is given.
        widths: channels of the feature maps that a decoder is given; empty where there is none.
        layers: numbers of the blocks whose outputs a decoder is given; empty where it is given stages.
        own: whether it is the network's own architecture, and in no registry.
        pooling: what the head is given, where that is not what the class gives it.
        registers: number of register tokens, which stand behind the patches.
        batch_norms: whether there are any.
        remap: name of the remap rules under ``references/``.
        differences: what is not equal by default and is set so, one sentence each.
    """

    name: str
    target: str
    arguments: dict[str, Any]
    code: dict[str, str] = {}
    image_argument: str = ""
    position_embedding: bool = False
    fixes: tuple[ModuleFix, ...] = ()
    head: str
    embed_dim: int
    widths: tuple[int, ...] = ()
    layers: tuple[int, ...] = ()
    own: bool = False
    pooling: Pooling | None = None
    registers: int = 0
    batch_norms: bool = False
    remap: str
    differences: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The registry name or, where there is none, the class."""
        return self.name or self.target.partition(":")[2]


class HeldModel(Record, frozen=True, kw_only=True):
    """The model of transformers, or lifted out of it, that a generated backbone holds.

    Attributes:
        config: what its config class is given; the number of classes is not among it.
        attention: attention implementation whose export to ONNX was seen to work.
        heads: paths of the linear layers that make the logits.
        embed_dim: width of what each of them is given; head_bias: whether they have a bias.
        combined: whether the logits are made of what they give: of several the mean, say.
        stages: paths of the modules that are frozen by number.
        maps: the output with feature maps (B, C, H, W); empty where the model has none.
        batch_norms: whether there are any.
        body: the part beside which a decoder trains alone; class_tensors: tensors that have a row for each
            class. Of a model that makes maps of scores, which has no heads.
        interpolates: (height, width) for which its position embedding need not be interpolated; None where
            transformers is not asked to.
        queries: how class scores come of its queries; None where it gives scores.
    """

    architecture: str
    config: dict[str, Any]
    attention: str
    heads: tuple[str, ...] = ()
    embed_dim: int = 0
    head_bias: bool = False
    body: str = ""
    class_tensors: tuple[str, ...] = ()
    combined: bool = False
    stages: tuple[str, ...] = ()
    maps: str = ""
    batch_norms: bool = False
    interpolates: tuple[int, int] | None = None
    queries: QueryFacts | None = None


class TimmModel(Record, frozen=True, kw_only=True):
    """The timm model that a generated backbone holds; paths start at that model.

    Attributes:
        architecture: name that ``timm.create_model`` knows; arguments: what else it is given. The number of
            classes is not among them.
        heads: paths of the linear layers that make the logits, which are averaged where they are several.
        embed_dim: width of what the first of them is given.
        stages: paths of the modules that are frozen by number.
        maps: whether timm gives its feature maps (B, C, H, W).
        batch_norms: whether there are any.
        norm_eps: epsilon of its layer norms; None for timm's own.
        epsilons: epsilon by the path of the norm, for those that are not as timm makes them.
        remap: name of the remap rules under ``references/``; empty where the names are timm's own.
        rules: what the rule finder found, where no file has rules.
        same_code: whether the source's model runs timm's code too, so that nothing may differ.
        differences: what is set by the arguments so that both are equal, one sentence each.
    """

    architecture: str
    arguments: dict[str, Any] = {}
    heads: tuple[str, ...]
    embed_dim: int
    stages: tuple[str, ...]
    maps: bool = False
    batch_norms: bool = False
    norm_eps: float | None = None
    epsilons: dict[str, float] = {}
    remap: str = ""
    rules: RemapRules | None = None
    same_code: bool = False
    differences: tuple[str, ...] = ()


class StrategyChoice(Record, frozen=True, kw_only=True):
    """The strategy, why it, and why not those before it.

    Attributes:
        forced: whether the user asked for it.
        backbone: the registry's entry, for ``native``.
        timm: the timm model, for ``timm``.
        held: the model that is held, for ``transplant`` and ``compose``.
        lifted: the file that the held model comes from, for ``transplant``.
    """

    strategy: Strategy
    reason: str
    rejected: dict[str, str] = {}
    forced: bool = False
    backbone: BackboneMatch | None = None
    timm: TimmModel | None = None
    held: HeldModel | None = None
    lifted: Lifted | None = None


class ReferenceChoice(Record, frozen=True, kw_only=True):
    """What phase 2 fixes."""

    reference: Reference
    candidates: tuple[Candidate, ...]
    strategy: StrategyChoice


class DatasetCoverage(Record, frozen=True, kw_only=True):
    """What a clone of tao-dataservices has for the datasets of a task.

    Attributes:
        format: what networks for the task are trained on.
        looked_at: whether there was a clone whose converters could be read.
        covered: whether one of them reads or writes the format.
        converters: ``read -> written``, each.
    """

    format: str
    looked_at: bool
    covered: bool = False
    commit: str = ""
    converters: tuple[str, ...] = ()
    reason: str
