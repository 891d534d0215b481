"""What a probe makes of a network's dataclasses, and the package that is written of it."""

from __future__ import annotations

from typing import Any

from porter.records.base import Record


class SchemaRequest(Record, frozen=True, kw_only=True):
    """Asks for the schema of a dataclass, as ``package.module:Class``."""

    config: str


class Difference(Record, frozen=True, kw_only=True):
    """A field of which an empty spec has another value than a template.

    Attributes:
        value: what Hydra takes where the spec has no such key.
        default_value: what the schema says, and a template therefore has.
    """

    key: str
    value: Any = None
    default_value: Any = None


class SchemaAnswer(Record, frozen=True, kw_only=True):
    """What the converter made.

    Attributes:
        schema: JSON text with infinities, in the order of the dataclasses.
        filled: the same where an optional section is there, by its name.
        keys: every key that a spec may have, sections included.
    """

    schema: str
    filled: dict[str, str] = {}
    differences: tuple[Difference, ...] = ()
    keys: tuple[str, ...] = ()


class SkillSource(Record, frozen=True, kw_only=True):
    """Where the dataclasses of a package come from.

    Attributes:
        config: ``package.module:Class``.
        repository: whose clone holds it, with *version* and *commit*.
    """

    config: str
    repository: str
    version: str
    commit: str


class DeploySchema(Record, frozen=True, kw_only=True):
    """What tao-deploy has for the spec of the same network.

    Attributes:
        answer, source: as of the trainer's; None where there is none.
        missing: why there is none.
    """

    answer: SchemaAnswer | None = None
    source: SkillSource | None = None
    missing: str = ""


class BuiltSkill(Record, frozen=True, kw_only=True):
    """A package that was written.

    Attributes:
        folder: where.
        files: SHA-256 by path below it.
        differences: see :class:`Difference`; *searched* are the fields that AutoML varies.
        notes: what is not in the package, and how it gets there.
    """

    model: str
    folder: str
    source: SkillSource
    files: dict[str, str]
    searched: tuple[str, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()
