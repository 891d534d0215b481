"""The record base class, its JSON form and its digest."""

from __future__ import annotations

import hashlib
from typing import Any, Literal, TypeVar

import msgspec

Task = Literal[
    "image-classification",
    "object-detection",
    "semantic-segmentation",
    "instance-segmentation",
    "panoptic-segmentation",
    "zero-shot-object-detection",
    "depth-estimation",
]

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen, schema-checked value; equal content means equal digest."""


def to_json(value: Any) -> bytes:
    """Return *value* as indented JSON with sorted keys and a final newline."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def from_json(data: bytes, kind: type[T]) -> T:
    """Read JSON as *kind*.

    Raises:
        msgspec.ValidationError: the JSON does not fit the schema; the text names the path.
        msgspec.DecodeError: it is not JSON.
    """
    return msgspec.json.decode(data, type=kind)


def digest(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of the canonical JSON of *value*."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
