"""Renders templates to a stage with copier and turns the stage into a file plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from porter import resources
from porter.records.plan import PlannedFile
from porter.records.reference import Repo

_FOLDERS: dict[Repo, str] = {"tao-pytorch": "tao_pytorch", "tao-deploy": "tao_deploy"}
_SCHEMA = "schema"
_ONLY_IF = re.compile(r"{% if [^%]+ %}([^{]+){% endif %}")
"""A file name that some values render to nothing: copier leaves such a file out."""


def render(data: dict[str, Any], repo: Repo, stage: Path) -> tuple[PlannedFile, ...]:
    """Render the tree of *repo* and the reference named in *data* into *stage*.

    Args:
        data: template values; a name that a template uses and data lacks is an error.
        repo: which clone the files are for.
        stage: folder to render into; created, must be empty.

    Returns:
        The files as creations, sorted by path.
    """
    return _render(data, _FOLDERS[repo], repo, stage, below="")


def render_schema(data: dict[str, Any], repo: Repo, stage: Path) -> tuple[PlannedFile, ...]:
    """Render the schema package, which lies below ``config_root`` of whichever repository holds it.

    Args and result are those of :func:`render`.
    """
    return _render(data, _SCHEMA, repo, stage, below=f"{str(data['config_root']).replace('.', '/')}/")


def _render(
    data: dict[str, Any], folder: str, repo: Repo, stage: Path, *, below: str
) -> tuple[PlannedFile, ...]:
    from copier import run_copy

    templates = resources.tree("templates")
    # The templates are porter's own, so copier may load porter's Jinja extension.
    run_copy(
        str(templates),
        str(stage),
        data={**data, "repo": folder},
        defaults=True,
        quiet=True,
        overwrite=True,
        unsafe=True,
        vcs_ref=None,
    )
    made_by = _template_by_file(templates, f"{folder}/{data['reference']}", str(data["name"]))
    return tuple(
        PlannedFile(
            repo=repo,
            path=below + path.relative_to(stage).as_posix(),
            action="create",
            content=path.read_bytes().decode("utf-8"),
            produced_by=made_by[path.relative_to(stage).as_posix()],
        )
        for path in sorted(stage.rglob("*"))
        if path.is_file()
    )


def _template_by_file(templates: Path, tree: str, name: str) -> dict[str, str]:
    """Return the template of every file that a tree renders to; a file's own path may not tell which."""
    found = [path.relative_to(templates / tree).as_posix() for path in (templates / tree).rglob("*.jinja")]
    return {
        _ONLY_IF.sub(r"\1", path.removesuffix(".jinja")).replace("{{ name }}", name): f"{tree}/{path}"
        for path in found
    }
