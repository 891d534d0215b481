"""``--set``: changes of the shipped spec's defaults, checked against the generated schema."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from porter.errors import SettingError
from porter.generate.schema import Schema, inherited_fields
from porter.records.reference import ConfigField, Reference

_TYPES: dict[str, tuple[type, ...]] = {
    "STR_FIELD": (str,),
    "INT_FIELD": (int,),
    "FLOAT_FIELD": (int, float),
    "BOOL_FIELD": (bool,),
    "LIST_FIELD": (list,),
    "DICT_FIELD": (dict,),
}
_DECIDED = {
    "model.backbone.type": "the backbone follows from the model",
    "model.head.in_channels": "the head's width follows from the model",
    "dataset.img_size": "the size follows from the model's image processor",
    "dataset.img_height": "the size follows from the model's image processor",
    "dataset.img_width": "the size follows from the model's image processor",
    "export.input_channel": "the channels follow from the model",
    "export.input_width": "the size follows from the model's image processor",
    "export.input_height": "the size follows from the model's image processor",
}


def read_settings(settings: Mapping[str, str], reference: Reference, schema: Schema) -> dict[str, Any]:
    """Return the settings with values of the schema's types.

    Args:
        settings: text by dotted schema key (``train.num_epochs`` -> ``"5"``), YAML scalars or flow style.
        reference: where inherited fields are declared.
        schema: the generated classes.

    Raises:
        SettingError: unknown key, a value of another type, or a field that the model decides.
    """
    import yaml

    values: dict[str, Any] = {}
    for key, text in settings.items():
        if key in _DECIDED:
            raise SettingError(
                key, f"--set {key} cannot be chosen: {_DECIDED[key]}.", next_step=f"leave out --set {key}"
            )
        field = find_field(key, reference, schema)
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SettingError(
                key, f"--set {key}: {text!r} is not YAML.", why=str(error).splitlines()[0]
            ) from error
        if field.helper == "FLOAT_FIELD" and isinstance(value, str):
            value = _number(value)
        fits = isinstance(value, _TYPES.get(field.helper, (object,)))
        if isinstance(value, bool) and field.helper in {"INT_FIELD", "FLOAT_FIELD"}:
            fits = False
        if value is None and field.type.startswith("Optional"):
            fits = True
        if not fits:
            raise SettingError(
                key,
                f"--set {key}: {text!r} is not of the field's type {field.type}.",
                next_step=f"porter port ... --set {key}={field.value}",
            )
        if field.options and field.helper == "STR_FIELD" and value not in field.options:
            raise SettingError(key, f"--set {key}: {value!r} is not one of {', '.join(field.options)}.")
        values[key] = value
    return values


def find_field(key: str, reference: Reference, schema: Schema) -> ConfigField:
    """Return the field that a dotted key names.

    Raises:
        SettingError: no such field; the fields that are there are named.
    """
    owner = "ExperimentConfig"
    *sections, last = key.split(".")
    for position, section in enumerate([*sections, last]):
        fields = _fields(owner, reference, schema)
        if section not in fields:
            near = ", ".join(sorted(fields)) or "none: it is a plain value"
            where = ".".join([*sections, last][:position]) or "the spec"
            raise SettingError(
                key, f"--set {key}: {where} has no field {section!r}.", why=f"its fields: {near}"
            )
        field = fields[section]
        owner = field.type if field.helper == "DATACLASS_FIELD" else ""
    if field.helper == "DATACLASS_FIELD":
        raise SettingError(
            key, f"--set {key} names a section, not a field.", why="its fields can be set one by one"
        )
    return field


def _fields(owner: str, reference: Reference, schema: Schema) -> dict[str, ConfigField]:
    """Return the fields of a class by its name in a field's type; generated ones win."""
    own = next((item for item in schema.classes if item.name == owner), None)
    base = (own.base if own else owner).removeprefix("Optional[").rstrip("]").rpartition(".")[2]
    fields = inherited_fields(reference.config, base)
    for item in own.fields if own else ():
        fields[item.name] = ConfigField(
            name=item.name, type=item.type, helper=item.helper, value=item.value, options=item.options
        )
    return fields


def _number(text: str) -> Any:
    """YAML reads ``1e-4`` as text; people mean a number."""
    try:
        return float(text)
    except ValueError:
        return text


def apply_settings(spec: str, settings: Mapping[str, Any]) -> str:
    """Return the spec with the settings in place; comments and order stay.

    A key that the spec does not spell out yet is added to its section.
    """
    if not settings:
        return spec
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(spec)
    for key, value in settings.items():
        node = tree
        *sections, last = key.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()
