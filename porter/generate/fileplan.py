"""The file plan of a port: a pure function of what was found, chosen and set."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from porter.errors import WorkspaceError
from porter.generate.context import ClassificationContext
from porter.generate.render import render
from porter.generate.spec import apply_settings
from porter.records.plan import FilePlan, PlannedFile
from porter.records.reference import Repo

SPEC = "nvidia_tao_pytorch/cv/{name}/experiment_specs/experiment_spec.yaml"


def build_file_plan(
    context: ClassificationContext, *, settings: dict[str, Any], setup: str, console_target: str
) -> FilePlan:
    """Return every file that the port creates or edits in tao-pytorch.

    Args:
        context: template values.
        settings: checked spec defaults, by dotted key.
        setup: text of the clone's ``setup.py`` at its HEAD.
        console_target: ``module:function`` of the console script.

    Raises:
        WorkspaceError: ``setup.py`` has a shape that porter does not edit.
    """
    with tempfile.TemporaryDirectory(prefix="porter-") as folder:
        rendered = render(context.template_data(), "tao-pytorch", Path(folder) / "stage")
    spec = SPEC.format(name=context.name)
    files = [_with_settings(file, settings) if file.path == spec else file for file in rendered]
    files.append(console_script("tao-pytorch", "setup.py", context.name, setup, console_target))
    return FilePlan(files=tuple(sorted(files, key=lambda file: file.path)))


def _with_settings(file: PlannedFile, settings: dict[str, Any]) -> PlannedFile:
    import msgspec

    return msgspec.structs.replace(file, content=apply_settings(file.content, settings))


def console_script(repo: Repo, path: str, name: str, setup: str, target: str) -> PlannedFile:
    """Return the edit of a setup file that declares the console command.

    Args:
        repo: whose setup file it is.
        path: its path there.
        name: the command.
        setup: text of the file at the commit that the port began from.
        target: ``module:function``.

    Raises:
        WorkspaceError: it has a shape that porter does not edit.
    """
    from porter.generate.codemods import Refused, add_console_script

    result = add_console_script(setup, name, target)
    if isinstance(result, Refused):
        raise WorkspaceError(
            f"The console script cannot be added to {path} of {repo}.",
            why=result.reason,
            next_step=f'add "{name}={target}" to its console_scripts by hand, commit, and port again',
        )
    return PlannedFile(
        repo=repo, path=path, action="edit", content=result.source, produced_by="codemod add_console_script"
    )
