"""Settings of a spec, as people type them, held against the schema of the release."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from porter.errors import SettingError, UsageError
from porter.launch.schema import leaf
from porter.records.base import Record
from porter.records.catalog import CatalogEntry
from porter.records.skills import SchemaAnswer

_NEAR = 0.5
_USER = re.compile(r"://[^/]*@")
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Settings(Record, frozen=True, kw_only=True):
    """Typed values by spec key, and what had to be said of them."""

    values: dict[str, Any]
    warnings: tuple[str, ...] = ()


class Fields:
    """The fields of a release's spec: what they take, and what an empty spec has."""

    def __init__(self, answer: SchemaAnswer) -> None:
        self.keys = answer.keys
        self._whole: dict[str, Any] = json.loads(answer.schema)["properties"]
        # An optional section that is None is empty there; its own schema has its fields.
        self._filled = {
            name: json.loads(text)["properties"].get(name, {}) for name, text in answer.filled.items()
        }
        self._empty = {difference.key: difference.value for difference in answer.differences}

    def of(self, key: str) -> dict[str, Any] | None:
        """Return what the schema says of a field; None where there is no such field."""
        section = key.partition(".")[0]
        found = leaf(self._whole, key)
        return found if found is not None else leaf({section: self._filled.get(section, {})}, key)

    def default(self, key: str) -> Any:
        """Return what the network takes where the spec has no such key; a template may say otherwise."""
        if key in self._empty:
            return self._empty[key]
        return (self.of(key) or {}).get("default")

    def is_default(self, key: str, value: Any) -> bool:
        """Say whether a spec means the same without this value."""
        default = self.default(key)
        if isinstance(value, bool) and isinstance(default, str):
            return default.lower() == str(value).lower()
        return bool(type(value) is not type(default) and value in (None, "") and default in (None, "")) or (
            value == default and isinstance(value, bool) == isinstance(default, bool)
        )


def read(pairs: Iterable[str], found: CatalogEntry, fields: Fields) -> Settings:
    """Return the typed values of settings.

    Args:
        pairs: ``key=value``; a key may be a shorthand of the network's, or one of older texts.
        found: the network.
        fields: those of its spec.

    Raises:
        UsageError: a pair is none, or a key is given two values.
        SettingError: there is no such field, or it does not take the value; says what it takes.
    """
    values: dict[str, Any] = {}
    warnings: list[str] = []
    moved = {rewrite.old: rewrite for rewrite in found.rewrites}
    for pair in pairs:
        typed, equals, text = pair.partition("=")
        if not equals or not typed:
            raise UsageError(f"--set {typed}: expected key=value.", next_step="--set train.num_epochs=5")
        key = found.shorthands.get(typed, typed)
        if key in moved:
            new = moved[key].new
            warnings.append(f"{key} is taken for {new}: {moved[key].reason}")
            key = new
        value = _value(typed, key, text, found, fields)
        if key in values and values[key] != value:
            raise UsageError(
                f"{key} is given two values.",
                why="--set names it twice, by itself, by a shorthand or by an older name",
                next_step="leave out one of them",
            )
        values[key] = value
    for key, value in values.items():
        refuse(key, value, found)
    return Settings(values=values, warnings=tuple(warnings))


def refuse(key: str, value: Any, found: CatalogEntry) -> None:
    """Refuse what the schema allows and the network does not take.

    Raises:
        SettingError: with the catalog's reason.
    """
    for refused in found.refused:
        if key == refused.key and (not refused.values or value in refused.values):
            raise SettingError(
                key,
                f"{found.name} cannot use {key}={value}.",
                why=refused.reason,
                next_step="set another value, or leave it out",
            )


def _value(typed: str, key: str, text: str, found: CatalogEntry, fields: Fields) -> Any:
    described = fields.of(key) if key in fields.keys else None
    if described is None:
        known = (*fields.keys, *found.shorthands)
        near = difflib.get_close_matches(typed, known, n=3, cutoff=_NEAR)
        last = typed.rpartition(".")[2]
        # The right name in the wrong section looks like nothing else.
        near = [*dict.fromkeys([*(known_ for known_ in known if known_.rpartition(".")[2] == last), *near])]
        raise SettingError(
            typed,
            f"The spec of {found.name} has no {typed}.",
            why=f"near it: {', '.join(near[:3])}" if near else "",
            next_step=f"porter skills build {found.name} writes the schema with every key",
        )
    if described.get("properties"):
        raise SettingError(
            typed,
            f"{typed} is a section of the spec, and no field.",
            why=f"it has {', '.join(list(described['properties'])[:4])}, ...",
            next_step=f"--set {typed}.{next(iter(described['properties']))}=...",
        )
    if text in ("null", "None") and fields.default(key) is None:
        return None
    # What the catalog refuses has a better reason than that it is not in a list.
    for refused in found.refused:
        if refused.key == key and text in map(str, refused.values):
            refuse(key, next(value for value in refused.values if str(value) == text), found)
    if isinstance(described.get("enum"), list):
        return _option(typed, text, described["enum"])
    return value_of(typed, text, described)


def _option(key: str, text: str, options: list[Any]) -> Any:
    for option in options:
        if str(option) == text:
            return option
    names = [str(option) for option in options]
    near = difflib.get_close_matches(text, names, n=3, cutoff=_NEAR)
    raise SettingError(
        key,
        f"{key} does not take {text!r}.",
        why=f"it takes: {', '.join(names)}",
        next_step=f"--set {key}={(near or names)[0]}",
    )


def value_of(key: str, text: str, described: Mapping[str, Any]) -> Any:
    """Return the value that a text is for a field without options.

    Args:
        key: as it was typed.
        text: of the value.
        described: what the schema says of the field.

    Raises:
        SettingError: the field does not take it; says what it takes.
    """
    kind = str(described.get("type", ""))
    if kind == "string":
        if _USER.search(text):
            raise SettingError(
                key,
                f"{key}: a URI with a name or a secret in it is not taken.",
                why="plans and logs show it",
                next_step="set ACCESS_KEY and SECRET_KEY in the environment",
            )
        return text
    read_: Callable[[str], Any] = _yaml
    expected = ""
    if kind == "int":
        read_, expected = int, "a whole number"
    elif kind == "float":
        read_, expected = _float, "a number"
    elif kind == "bool":
        read_, expected = _bool, "true or false"
    elif kind.startswith("list"):
        like = described.get("default") or []
        read_, expected = lambda given: _list(given, like), f"a list, such as {like or [1, 2]}"
    elif kind in ("collection", "dict"):
        read_, expected = _dict, "fields, such as {a: 1}"
    try:
        value = read_(text)
    except (ValueError, TypeError, LookupError, yaml.YAMLError) as error:
        raise SettingError(
            key,
            f"{key} does not take {text!r}.",
            why=f"it takes {expected or 'YAML'}",
            next_step=f"--set {key}=..., such as its default, {described.get('default')}",
        ) from error
    _range(key, value, described)
    return value


def _range(key: str, value: Any, described: Mapping[str, Any]) -> None:
    """Hold a number against its bounds, which the converter gives as numbers or not at all."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    least, most = _bound(described.get("minimum"), -math.inf), _bound(described.get("maximum"), math.inf)
    if not least <= value <= most:
        if most == math.inf:
            expected = f"at least {least:g}"
        elif least == -math.inf:
            expected = f"at most {most:g}"
        else:
            expected = f"{least:g} to {most:g}"
        raise SettingError(
            key,
            f"{key}={value} is out of range.",
            why=f"it takes {expected}",
            next_step=f"--set {key}={least if value < least else most:g}",
        )


def _bound(value: Any, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _float(text: Any) -> float:
    if isinstance(text, bool):
        raise ValueError(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _bool(text: str) -> bool:
    return _WORDS[text.lower()]


def _list(text: str, like: list[Any]) -> list[Any]:
    """Read a list whose entries are what those of the default are: the schema does not say it otherwise."""
    value = _yaml(text)
    if not isinstance(value, list):
        raise ValueError(text)
    kinds = {type(item) for item in like}
    if kinds == {int}:
        return [_whole(item) for item in value]
    if kinds and kinds <= {int, float}:
        # YAML takes 1e-4 for a text.
        return [item if type(item) is int else _float(item) for item in value]
    if kinds == {str} and not all(isinstance(item, str) for item in value):
        raise ValueError(text)
    return value


def _whole(item: Any) -> int:
    if type(item) is not int:
        raise ValueError(item)
    return item


def _dict(text: str) -> dict[str, Any]:
    value = _yaml(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _yaml(text: str) -> Any:
    return yaml.safe_load(text)
