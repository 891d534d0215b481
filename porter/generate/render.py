"""Renders templates to a stage with copier and turns the stage into a file plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from porter import resources
from porter.records.plan import PlannedFile
from porter.records.reference import Repo

_FOLDERS: dict[Repo, str] = {"tao-pytorch": "tao_pytorch", "tao-deploy": "tao_deploy", "tao-core": "tao_core"}


def render(data: dict[str, Any], repo: Repo, stage: Path) -> tuple[PlannedFile, ...]:
    """Render the tree of *repo* and the reference named in *data* into *stage*.

    Args:
        data: template values; a name that a template uses and data lacks is an error.
        repo: which clone the files are for.
        stage: folder to render into; created, must be empty.

    Returns:
        The files as creations, sorted by path.
    """
    from copier import run_copy

    templates = resources.tree("templates")
    folder = _FOLDERS[repo]
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
    base = templates / folder / str(data["reference"])
    return tuple(
        PlannedFile(
            repo=repo,
            path=path.relative_to(stage).as_posix(),
            action="create",
            content=path.read_bytes().decode("utf-8"),
            produced_by=_template_of(base, path.relative_to(stage), str(data["name"])),
        )
        for path in sorted(stage.rglob("*"))
        if path.is_file()
    )


def _template_of(base: Path, target: Path, name: str) -> str:
    """Return the template that a rendered file came from, relative to the templates folder."""
    parts = ["{{ name }}" if part == name else part for part in target.parts]
    if target.stem == name:
        parts[-1] = "{{ name }}" + target.suffix
    template = base.joinpath(*parts).with_name(parts[-1] + ".jinja")
    return template.relative_to(base.parent.parent).as_posix()
