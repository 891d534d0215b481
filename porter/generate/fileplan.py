"""The file plan of a port: a pure function of what was found, chosen and set."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from porter.errors import WorkspaceError
from porter.generate.render import render, render_schema
from porter.generate.spec import apply_settings
from porter.generate.values import PortContext
from porter.records.plan import FilePlan, PlannedFile
from porter.records.reference import PACKAGES, Repo
from porter.records.transplant import Lifted

SPEC = "nvidia_tao_pytorch/cv/{name}/experiment_specs/experiment_spec.yaml"
NETWORK = "nvidia_tao_pytorch/cv/{name}/model/network.py"
"""Where a model that was lifted out of transformers lies."""


def build_file_plan(
    context: PortContext,
    *,
    settings: dict[str, Any],
    setup: str,
    console_target: str,
    core: PortContext | None = None,
) -> FilePlan:
    """Return every file that the port creates or edits in tao-pytorch, and in tao-core where schemas lie.

    Args:
        context: template values.
        settings: checked spec defaults, by dotted key.
        setup: text of the clone's ``setup.py`` at its HEAD.
        console_target: ``module:function`` of the console script.
        core: template values of the schema's copy in tao-core, where there is one.

    Raises:
        WorkspaceError: ``setup.py`` has a shape that porter does not edit.
    """
    spec = SPEC.format(name=context.name)
    files = [
        _with_settings(file, settings) if file.path == spec else file
        for file in rendered(context, "tao-pytorch")
    ]
    files.append(console_script("tao-pytorch", "setup.py", context.name, setup, console_target))
    if core is not None:
        with tempfile.TemporaryDirectory(prefix="porter-") as folder:
            files += _schema(core, Path(folder))
    return FilePlan(files=tuple(sorted(files, key=lambda file: (file.repo, file.path))))


def rendered(context: PortContext, repo: Repo) -> tuple[PlannedFile, ...]:
    """Return the package of *repo* and its schema, which has the header of the schema that it follows.

    In the ``core`` layout the one schema lies in tao-core, and comes with the trainer's package.
    """
    with tempfile.TemporaryDirectory(prefix="porter-") as folder:
        files = render(context.template_data(), repo, Path(folder) / "package")
        if repo == "tao-pytorch" and context.lifted is not None:
            files += (_network(context.name, context.lifted),)
        if repo in (_holder(context), "tao-pytorch"):
            files += _schema(context, Path(folder) / "schema")
    return files


def _network(name: str, lifted: Lifted) -> PlannedFile:
    """Return the lifted model as it is: it is no template, so nothing in it is taken for one."""
    return PlannedFile(
        repo="tao-pytorch",
        path=NETWORK.format(name=name),
        action="create",
        content=lifted.text,
        produced_by=f"transplant of {lifted.architecture} from transformers {lifted.transformers}",
    )


def _schema(context: PortContext, stage: Path) -> tuple[PlannedFile, ...]:
    data = context.template_data()
    return render_schema({**data, "header": data["schema_header"]}, _holder(context), stage)


def _holder(context: PortContext) -> Repo:
    return PACKAGES[context.config_root.partition(".")[0]]


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
