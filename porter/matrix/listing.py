"""Reads the list of `porter matrix`."""

from __future__ import annotations

import difflib
import fnmatch
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from porter.errors import UsageError
from porter.records.matrix import MatrixEntry, MatrixList, ModelToMake
from porter.resources import tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = "matrix.toml"

_HELP = "porter matrix --help describes the format"
_HEADER = re.compile(r"^[ \t]*\[\[\s*rows\s*\]\]", re.MULTILINE)


def shipped() -> Path:
    """Return the list that comes with porter."""
    return tree("references") / SHIPPED


def read_list(path: Path) -> tuple[MatrixEntry, ...]:
    """Return the rows of a list, each with everything that its list says for all; folders are absolute.

    Raises:
        UsageError: there is no such file, it is not TOML (with the line), or a row is not what a row is.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"The list {path} cannot be read.",
            why=why or str(error),
            next_step="leave it out, or give another",
        ) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML.", why=str(error), next_step="correct that line") from error
    listed = _as_list(path, text, values)
    if not listed.rows:
        raise UsageError(f"{path} has no rows.", next_step=_HELP)
    names = [entry.name for entry in listed.rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{path} has two rows named {twice[0]}.", next_step="give each row its own name")
    return tuple(_complete(path, listed, entry) for entry in listed.rows)


def chosen(entries: Sequence[MatrixEntry], only: Sequence[str]) -> tuple[MatrixEntry, ...]:
    """Return the entries that *only* names (names, or patterns such as ``timm-*``); all where it is empty.

    Raises:
        UsageError: a name is in no row; names the nearest.
    """
    if not only:
        return tuple(entries)
    names = [entry.name for entry in entries]
    for wanted in only:
        if not fnmatch.filter(names, wanted):
            near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
            raise UsageError(
                f"The list has no row {wanted!r}.",
                why=f"near it: {', '.join(near)}" if near else "",
                next_step=f"one of: {', '.join(sorted(names))}",
            )
    return tuple(entry for entry in entries if any(fnmatch.fnmatchcase(entry.name, each) for each in only))


def _as_list(path: Path, text: str, values: dict[str, Any]) -> MatrixList:
    try:
        return msgspec.convert(values, MatrixList)
    except msgspec.ValidationError as error:
        found = re.search(r"\$\.rows\[(\d+)\]", str(error))
        where = f"{path}"
        if found:
            number = int(found[1])
            starts = [match.start() for match in _HEADER.finditer(text)]
            line = text.count("\n", 0, starts[number]) + 1 if number < len(starts) else 0
            given = values["rows"][number]
            name = given.get("name") if isinstance(given, dict) else None
            where += f": row {name or number + 1}" + (f" (line {line})" if line else "")
        raise UsageError(f"{where} is not as a list has it.", why=str(error), next_step=_HELP) from error


def _complete(path: Path, listed: MatrixList, entry: MatrixEntry) -> MatrixEntry:
    given = [
        what
        for what, value in (("source", entry.source), ("model", entry.model), ("timm", entry.timm))
        if value
    ]
    if len(given) != 1:
        raise UsageError(
            f"{path}: row {entry.name} has {' and '.join(given) if given else 'no model'}.",
            why="a row has one of source (hub id or folder), model and timm (what to make)",
            next_step=_HELP,
        )
    source = entry.source
    if source and (path.parent / source).is_dir():
        source = str((path.parent / source).resolve())
    labels = listed.defaults.labels
    model, timm = entry.model, entry.timm
    if model is not None:
        model = _with_processor(path, listed, entry.name, model)
        model = msgspec.structs.replace(model, labels=model.labels or labels)
    if timm is not None:
        timm = msgspec.structs.replace(timm, labels=timm.labels or labels)
    return msgspec.structs.replace(
        entry, source=source, model=model, timm=timm, budget=entry.budget or listed.defaults.budget
    )


def _with_processor(path: Path, listed: MatrixList, row: str, model: ModelToMake) -> ModelToMake:
    named = model.processor or listed.defaults.processor
    if isinstance(named, dict):
        return model
    if named and named not in listed.processors:
        near = difflib.get_close_matches(named, listed.processors, n=3, cutoff=0.4)
        raise UsageError(
            f"{path}: row {row} names the processor {named!r}, which the list does not have.",
            why=f"near it: {', '.join(near)}" if near else "",
            next_step=f"add [processors.{named}] to the list",
        )
    return msgspec.structs.replace(model, processor=listed.processors[named] if named else {})
