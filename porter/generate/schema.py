"""The generated config schema: subclasses of the reference's dataclasses.

A generated class restates a field only where the model decides it, or where the reference
gives a field two different defaults (``value`` and ``default_value``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from porter.generate.filters import python_literal
from porter.records.base import Record
from porter.records.reference import REQUIRED, ConfigClass, ConfigField

_TYPING = re.compile(r"\b(Any|Dict|List|Optional|Union)\b")


class SchemaField(Record, frozen=True, kw_only=True):
    """One field line: ``name: type = helper(arguments)``; value and options as in ConfigField."""

    name: str
    type: str
    helper: str
    arguments: tuple[str, ...]
    value: Any = None
    options: tuple[str, ...] = ()


class SchemaClass(Record, frozen=True, kw_only=True):
    """One generated dataclass."""

    name: str
    base: str
    doc: str
    fields: tuple[SchemaField, ...]


class Schema(Record, frozen=True, kw_only=True):
    """All classes, and what the module has to import for them."""

    classes: tuple[SchemaClass, ...]
    helpers: tuple[str, ...]
    typing_names: tuple[str, ...]
    uses_missing: bool


class Override(Record, frozen=True, kw_only=True):
    """What the model decides about a field: its value and, where they change, its options.

    Attributes:
        new: whether the reference has no such field: an integer that the port adds.
    """

    value: Any
    options: tuple[str, ...] = ()
    description: str = ""
    new: bool = False


class _Skeleton(Record, frozen=True, kw_only=True):
    name: str
    module: str
    base: str
    doc: str
    nested: dict[str, str] = {}
    extra: tuple[str, ...] = ()
    keep_empty: bool = False


def _skeletons() -> tuple[_Skeleton, ...]:
    """Return the classes in definition order.

    Evaluate, inference and export start from the common sections: the reference's own add
    switches (quantised checkpoints, DeepStream files) that the generated scripts do not have.
    """
    ref, common = "classification", "common_config"
    return (
        _Skeleton(name="BackboneConfig", module=ref, base="BackboneConfig", doc="Backbone config."),
        _Skeleton(name="HeadConfig", module=ref, base="HeadConfig", doc="Head config."),
        _Skeleton(
            name="ModelConfig",
            module=ref,
            base="ModelConfig",
            doc="Model config.",
            nested={"backbone": "BackboneConfig", "head": "HeadConfig"},
        ),
        _Skeleton(
            name="AugmentationConfig", module=ref, base="AugmentationConfig", doc="Augmentation config."
        ),
        _Skeleton(
            name="DatasetConfig",
            module=ref,
            base="DatasetConfig",
            doc="Dataset config.",
            nested={"augmentation": "AugmentationConfig"},
        ),
        _Skeleton(name="OptimConfig", module=ref, base="OptimConfig", doc="Optimizer config."),
        _Skeleton(
            name="TrainConfig",
            module=ref,
            base="TrainExpConfig",
            doc="Train config.",
            nested={"optim": "OptimConfig"},
        ),
        _Skeleton(
            name="EvaluateConfig",
            module=common,
            base="EvaluateConfig",
            doc="Evaluate config.",
            extra=("EvalExpConfig.vis_after_n_batches",),
        ),
        _Skeleton(
            name="InferenceConfig",
            module=common,
            base="InferenceConfig",
            doc="Inference config.",
            extra=("InferenceExpConfig.vis_after_n_batches",),
        ),
        _Skeleton(name="ExportConfig", module=common, base="ExportConfig", doc="Export config."),
        _Skeleton(name="TrtConfig", module=ref, base="TrtExpConfig", doc="TensorRT config."),
        _Skeleton(
            name="GenTrtEngineConfig",
            module=ref,
            base="GenTrtEngineExpConfig",
            doc="Engine generation config.",
            nested={"tensorrt": "TrtConfig"},
        ),
    )


_SECTIONS = (
    ("model", "ModelConfig"),
    ("dataset", "DatasetConfig"),
    ("train", "TrainConfig"),
    ("evaluate", "EvaluateConfig"),
    ("inference", "InferenceConfig"),
    ("export", "ExportConfig"),
    ("gen_trt_engine", "GenTrtEngineConfig"),
)


def build_schema(config: Sequence[ConfigClass], overrides: Mapping[str, Override]) -> Schema:
    """Return the schema for *overrides*, keyed ``Class.field`` of the generated classes.

    Args:
        config: the reference's config dataclasses.
        overrides: what the model decides.

    Raises:
        KeyError: an override names a field that the reference does not have.
    """
    known = {item.name: item for item in config}
    unused = set(overrides)
    classes: list[SchemaClass] = []
    generated: dict[str, str] = {}
    for skeleton in _skeletons():
        inherited = inherited_fields(config, skeleton.base)
        added = dict(dotted.split(".")[::-1] for dotted in skeleton.extra)
        inherited |= {name: _field(known[owner], name) for name, owner in added.items()}
        inherited |= _new_fields(skeleton.name, overrides)
        fields = []
        for item in inherited.values():
            key = f"{skeleton.name}.{item.name}"
            nested = skeleton.nested.get(item.name)
            if nested in generated.values():
                fields.append(_nested(item, str(nested)))
            elif key in overrides:
                unused.discard(key)
                fields.append(_restated(item, overrides[key]))
            elif item.name in added or _differs(item):
                fields.append(_restated(item, Override(value=item.value)))
        if fields:
            generated[skeleton.base] = skeleton.name
            base = f"{skeleton.module}.{skeleton.base}"
            classes.append(SchemaClass(name=skeleton.name, base=base, doc=skeleton.doc, fields=tuple(fields)))
    if unused:
        raise KeyError(f"the reference's schema has no field for {sorted(unused)}")
    classes.append(_experiment(generated))
    return _with_imports(classes)


def _experiment(generated: Mapping[str, str]) -> SchemaClass:
    bases = {item.name: f"{item.module}.{item.base}" for item in _skeletons()}
    fields = [
        SchemaField(
            name=section,
            type=name if name in generated.values() else bases[name],
            helper="DATACLASS_FIELD",
            arguments=(f"{name if name in generated.values() else bases[name]}()",),
        )
        for section, name in _SECTIONS
    ]
    fields.append(
        SchemaField(
            name="quantize",
            type="ModelQuantizationConfig",
            helper="DATACLASS_FIELD",
            arguments=("ModelQuantizationConfig()", "default_value={}"),
        )
    )
    return SchemaClass(
        name="ExperimentConfig",
        base="common_config.CommonExperimentConfig",
        doc="Experiment config.",
        fields=tuple(fields),
    )


def inherited_fields(config: Sequence[ConfigClass], name: str) -> dict[str, ConfigField]:
    """Return the fields of a config class, bases first; a later field replaces its namesake in place."""
    item = next((item for item in config if item.name == name), None)
    fields: dict[str, ConfigField] = {}
    if item is not None:
        for base in item.bases:
            fields |= inherited_fields(config, base.rpartition(".")[2])
        fields |= {field.name: field for field in item.fields}
    return fields


def _field(item: ConfigClass, name: str) -> ConfigField:
    return next(field for field in item.fields if field.name == name)


def _differs(item: ConfigField) -> bool:
    empty = (None, "")
    return item.helper != "DATACLASS_FIELD" and (
        item.value != item.default_value and not (item.value in empty and item.default_value in empty)
    )


def _new_fields(owner: str, overrides: Mapping[str, Override]) -> dict[str, ConfigField]:
    names = [
        key.partition(".")[2] for key, each in overrides.items() if each.new and key.startswith(f"{owner}.")
    ]
    return {name: ConfigField(name=name, type="int", helper="INT_FIELD") for name in names}


def _nested(item: ConfigField, name: str) -> SchemaField:
    return SchemaField(name=item.name, type=name, helper="DATACLASS_FIELD", arguments=(f"{name}()",))


_VALUE_NAMES = {"LIST_FIELD": "arrList", "DICT_FIELD": "hashMap"}


def _restated(item: ConfigField, override: Override) -> SchemaField:
    """Return the field with one value for both of its defaults; the other metadata stay."""
    options = override.options or item.options
    literal = "MISSING" if override.value == REQUIRED else python_literal(override.value)
    arguments = [f"{_VALUE_NAMES.get(item.helper, 'value')}={literal}", f"default_value={literal}"]
    description = override.description or item.description
    if description:
        arguments.append(f"description={python_literal(' '.join(description.split()))}")
    if options:
        arguments.append(f"valid_options={python_literal(','.join(options))}")
    kept = {
        k: v for k, v in item.metadata.items() if k not in {"default_value", "description", "valid_options"}
    }
    arguments += [f"{key}={python_literal(text)}" for key, text in kept.items()]
    return SchemaField(
        name=item.name,
        type=item.type,
        helper=item.helper,
        arguments=tuple(arguments),
        value=override.value,
        options=options,
    )


def _with_imports(classes: list[SchemaClass]) -> Schema:
    fields = [field for item in classes for field in item.fields]
    return Schema(
        classes=tuple(classes),
        helpers=tuple(sorted({field.helper for field in fields})),
        typing_names=tuple(sorted({name for field in fields for name in _TYPING.findall(field.type)})),
        uses_missing=any("=MISSING" in argument for field in fields for argument in field.arguments),
    )
