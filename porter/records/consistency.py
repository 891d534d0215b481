"""What the consistency checklist looks at: both repositories as imported, and as written."""

from __future__ import annotations

from typing import Any

from porter.records.base import Record
from porter.records.reference import Repo


class SchemaEntry(Record, frozen=True, kw_only=True):
    """A field of a config schema as it was imported.

    Attributes:
        type: as annotated, without module names; of a section the class of its default.
        default: its value as JSON; ``???`` for MISSING, None for a section.
        metadata: the field's whole metadata as JSON (``default_value``, ``valid_options`` ...).
        owner: the class that declares it, as a path below the repository's package.
        lineage: of a section: its class and the bases up to the first that was not generated.
    """

    type: str
    default: Any
    metadata: dict[str, Any]
    owner: str
    lineage: tuple[str, ...] = ()


class SpecFacts(Record, frozen=True, kw_only=True):
    """A shipped spec, merged into the schema.

    Attributes:
        keys: what the file itself sets, dotted.
        unknown: those of them that are no field.
        problems: why a value does not fit its field, or an interpolation does not resolve, by key.
        required: keys that the file leaves to the user (``???``).
        unset: fields that neither schema nor file gives a value.
        values: every other field with interpolations resolved, once the user has set what is required.
    """

    keys: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    problems: dict[str, str] = {}
    required: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    values: dict[str, Any] = {}


class OnnxFacts(Record, frozen=True, kw_only=True):
    """Inputs and outputs of an ONNX file: shape by name; a free axis is its symbol."""

    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]


class SchemaFactsRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/schema_facts.py``.

    Attributes:
        name: network name; its config package counts as generated.
        reference: network of the clone that it follows.
        config_root: import path above that package.
        specs: spec files, by the name under which they are answered.
        values: what a user would set, by dotted key.
        onnx: ONNX file to look at; empty for none.
        reader: ``module:function`` that reads the class file of a dataset section; empty for none.
        classes: names that such a file is made of, for the reader.
    """

    name: str
    reference: str
    config_root: str
    specs: dict[str, str]
    values: dict[str, str]
    onnx: str = ""
    reader: str = ""
    classes: tuple[str, ...] = ()


class SchemaFacts(Record, frozen=True, kw_only=True):
    """Answer of ``probes/schema_facts.py``.

    Attributes:
        fields: every field of ``ExperimentConfig``, nested ones by dotted path.
        lineage: of ``ExperimentConfig`` itself, as of a section.
        upstream: fields of the reference network's ``ExperimentConfig``, likewise.
        mapping: ``map_params`` of ``model_params_mapping``; None where the module is not there.
        classes: what the reader made of the class file, in order; None where none was asked for.
    """

    fields: dict[str, SchemaEntry]
    lineage: tuple[str, ...] = ()
    upstream: dict[str, SchemaEntry] = {}
    specs: dict[str, SpecFacts]
    mapping: dict[str, Any] | None = None
    onnx: OnnxFacts | None = None
    classes: tuple[str, ...] | None = None


class ClassOrder(Record, frozen=True, kw_only=True):
    """An order of classes that was found, and the one that it has to be."""

    where: str
    found: tuple[str, ...]
    expected: tuple[str, ...]


class SpecKeys(Record, frozen=True, kw_only=True):
    """Where the specs of a network say what several of its parts have to agree on.

    Attributes:
        section: on the dataset.
        data: keys by which the user alone says where the data lie.
        mean, std: per channel, on pixels in 0-1; each where it is said.
        size: (height, width) of the images; empty where they are ``img_size`` of the section, or
            ``img_height`` and ``img_width``.
        model: key that names the architecture or its sizes.
    """

    section: str
    data: tuple[str, ...]
    mean: tuple[str, ...]
    std: tuple[str, ...]
    size: tuple[str, ...] = ()
    model: str = "model.backbone.type"


COMMON_KEYS = SpecKeys(
    section="dataset",
    data=("dataset.root_dir",),
    mean=("dataset.augmentation.mean",),
    std=("dataset.augmentation.std",),
)


class ConsistencyFacts(Record, frozen=True, kw_only=True):
    """Everything that the checklist is decided on.

    Attributes:
        name: network name.
        config_root: import path above the schema package, by repository.
        repos: repositories that the port has.
        why_no_deploy: what an item says whose half in tao-deploy cannot be looked at.
        files: text of every generated file, by repository and path; those of a package that was
            deleted are absent.
        above: ``__init__.py`` files that are there above the generated packages.
        schemas: the imported side, by repository.
        exporter: source of the ONNX exporter: the reference's, or the generated script itself.
        head: shape of the built model's head weight.
        engine_inputs: inputs of the engine that was built, where that was recorded.
        settings: keys that the user chose with ``--set``.
        orders: orders of classes.
        keys: where specs say what parts have to agree on.
        calibrated: whether there are INT8 engines, which are calibrated on images.
        pl_module: module of the generated Lightning module, below the network's package.
        has_class_file: whether deploy reads the classes from a file of the dataset.
        has_mapping: whether the reference has a mapping of model parameters.
    """

    name: str
    config_root: dict[Repo, str]
    repos: tuple[Repo, ...]
    why_no_deploy: str = ""
    files: dict[Repo, dict[str, str]]
    above: dict[Repo, tuple[str, ...]] = {}
    schemas: dict[Repo, SchemaFacts]
    exporter: str = ""
    head: tuple[int, ...] = ()
    engine_inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    orders: tuple[ClassOrder, ...] = ()
    keys: SpecKeys = COMMON_KEYS
    calibrated: bool = True
    pl_module: str = "model.classifier_pl_model"
    has_class_file: bool = True
    has_mapping: bool = True
