"""What there is to train, what runs it, and what came of a package: lines for people, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from porter.records.catalog import CatalogRow, ResolvedImage
from porter.records.skills import BuiltSkill
from porter.report.terminal import emit

_MANY = 3
"""More names than these are counted in a line."""


def show_models(rows: Sequence[CatalogRow], *, as_json: bool) -> None:
    """Show the catalog, a network a line."""
    if as_json:
        emit(list(rows))
        return
    table: list[tuple[str, ...]] = [("MODEL", "TASK", "AUTOML", "FORMATS", "ACTIONS")]
    table += [
        (row.name, row.task, "yes" if row.automl else "no", _some(row.formats), ", ".join(row.actions))
        for row in rows
    ]
    if any(row.workspace for row in rows):
        table = [
            (*line, said)
            for line, said in zip(table, ("PORTED IN", *(row.workspace for row in rows)), strict=True)
        ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        _say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_image(resolved: ResolvedImage, *, as_json: bool) -> None:
    """Show what runs an action."""
    if as_json:
        emit(resolved)
        return
    _say(f"image    {resolved.image}")
    _say(f"command  {resolved.command}")
    if resolved.engine_image:
        _say(f"engine   {resolved.engine_image} runs the same command on a TensorRT engine")
    if resolved.code:
        _say(f"code     {resolved.code} has to be on PYTHONPATH: the image does not have it")


def show_skill(built: BuiltSkill, *, as_json: bool) -> None:
    """Show what a package is made of, and where a template says something else than an empty spec."""
    if as_json:
        emit(built)
        return
    source = built.source
    _say(f"folder    {built.folder}, {len(built.files)} files")
    _say(f"made of   {source.config}, {source.repository} {source.version} at {source.commit[:12]}")
    _say(f"searched  {', '.join(built.searched) or 'nothing'}")
    for note in built.notes:
        _say(f"note      {note}")
    if built.differences:
        _say(f"{len(built.differences)} fields have another value in a template than in an empty spec:")
    for item in built.differences:
        _say(f"  {item.key}: {item.default_value!r} in the template, {item.value!r} where it is left out")


def _some(names: Sequence[str]) -> str:
    if len(names) <= _MANY:
        return ", ".join(names)
    return f"{', '.join(names[:_MANY])}, {len(names) - _MANY} more"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
