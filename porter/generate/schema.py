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
from porter.records.reference import REQUIRED, ConfigClass, ConfigField, SchemaPlan

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
    """All classes, and what the module has to import for them.

    Attributes:
        alias: name under which it imports the reference's schema.
        modules: further modules of the reference's schema, by the names under which it imports them.
    """

    alias: str
    modules: dict[str, str] = {}
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


def build_schema(
    config: Sequence[ConfigClass], plan: SchemaPlan, overrides: Mapping[str, Override]
) -> Schema:
    """Return the schema for *overrides*, keyed ``Class.field`` of the generated classes.

    Args:
        config: the reference's config dataclasses.
        plan: which classes are generated, and what they extend.
        overrides: what the model decides.

    Raises:
        KeyError: an override names a field that the reference does not have.
    """
    known = {item.name: item for item in config}
    unused = set(overrides)
    classes: list[SchemaClass] = []
    generated: dict[str, str] = {}
    bases = {
        item.name: f"{plan.alias if item.of == 'reference' else item.of}.{item.base}" for item in plan.classes
    }
    for planned in plan.classes:
        inherited = inherited_fields(config, planned.base)
        added = dict(dotted.split(".")[::-1] for dotted in planned.extra)
        inherited |= {name: _field(known[owner], name) for name, owner in added.items()}
        inherited |= _new_fields(planned.name, overrides)
        fields = []
        for item in inherited.values():
            key = f"{planned.name}.{item.name}"
            nested = planned.nested.get(item.name)
            if nested in generated.values():
                fields.append(_nested(item, str(nested)))
            elif key in overrides:
                unused.discard(key)
                fields.append(_restated(item, overrides[key]))
            elif item.name in added or _differs(item):
                fields.append(_restated(item, Override(value=item.value)))
        if fields:
            generated[planned.base] = planned.name
            made = SchemaClass(
                name=planned.name, base=bases[planned.name], doc=planned.doc, fields=tuple(fields)
            )
            classes.append(made)
    if unused:
        raise KeyError(f"the reference's schema has no field for {sorted(unused)}")
    classes.append(_experiment(plan.sections, bases, generated))
    return _with_imports(plan, classes)


def _experiment(
    sections: Mapping[str, str], bases: Mapping[str, str], generated: Mapping[str, str]
) -> SchemaClass:
    fields = [
        SchemaField(
            name=section,
            type=name if name in generated.values() else bases[name],
            helper="DATACLASS_FIELD",
            arguments=(f"{name if name in generated.values() else bases[name]}()",),
        )
        for section, name in sections.items()
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


def _with_imports(plan: SchemaPlan, classes: list[SchemaClass]) -> Schema:
    fields = [field for item in classes for field in item.fields]
    named = {text.partition(".")[0] for text in (*(c.base for c in classes), *(f.type for f in fields))}
    return Schema(
        alias=plan.alias,
        modules={name: module for name, module in plan.modules.items() if name in named},
        classes=tuple(classes),
        helpers=tuple(sorted({field.helper for field in fields})),
        typing_names=tuple(sorted({name for field in fields for name in _TYPING.findall(field.type)})),
        uses_missing=any("=MISSING" in argument for field in fields for argument in field.arguments),
    )
