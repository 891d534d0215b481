"""The deploy package: its template values, and its part of the file plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from porter.errors import UsageError
from porter.generate.fileplan import console_script, rendered
from porter.generate.spec import apply_settings
from porter.generate.values import Context, PortContext, dated, with_schema
from porter.records.plan import FilePlan, PlannedFile
from porter.records.reference import CoreReference, DeployReference, Repo

SPECS = "nvidia_tao_deploy/cv/{name}/specs/"


def deploy_context(context: Context, deploy: DeployReference, *, year: int) -> Context:
    """Return the template values for tao-deploy: the trainer's, with that clone's schema and header.

    Raises:
        UsageError: tao-deploy has a network of that name.
    """
    if context.name in deploy.networks:
        raise _taken(context.name, "tao-deploy")
    own = msgspec.structs.replace(
        context,
        repo="tao_deploy",
        header=dated(deploy.header, year),
        schema_header=dated(deploy.schema_header, year),
        config_root=deploy.config_package.rpartition(".")[0],
        hooks=deploy.hooks,
    )
    return with_schema(own, deploy.config, deploy.schema_plan)


def core_context(context: Context, core: CoreReference, *, year: int) -> Context:
    """Return the template values of the schema's copy in tao-core.

    Raises:
        UsageError: tao-core has a network of that name.
    """
    if context.name in core.networks:
        raise _taken(context.name, "tao-core")
    own = msgspec.structs.replace(
        context,
        schema_header=dated(core.header, year),
        config_root=core.config_package.rpartition(".")[0],
    )
    return with_schema(own, core.config, core.schema_plan)


def _taken(name: str, repo: Repo) -> UsageError:
    return UsageError(
        f"The port cannot be called {name!r}: {repo} has a network of that name.",
        next_step="choose another --name",
    )


def build_deploy_plan(
    context: PortContext,
    *,
    settings: Mapping[str, Any],
    setups: Mapping[str, str],
    console_target: str,
) -> FilePlan:
    """Return every file that the port creates or edits in tao-deploy.

    Args:
        context: template values of the deploy package.
        settings: checked spec defaults, by dotted key; a deploy spec takes those of sections that it has.
        setups: text of each setup file of the clone, by path.
        console_target: ``module:function`` of the console script.

    Raises:
        WorkspaceError: a setup file has a shape that porter does not edit.
    """
    specs = SPECS.format(name=context.name)
    files = [
        _with_settings(file, settings) if file.path.startswith(specs) else file
        for file in rendered(context, "tao-deploy")
    ]
    files += [
        console_script("tao-deploy", path, context.name, text, console_target)
        for path, text in setups.items()
    ]
    return FilePlan(files=tuple(sorted(files, key=lambda file: file.path)))


def _with_settings(file: PlannedFile, settings: Mapping[str, Any]) -> PlannedFile:
    from ruamel.yaml import YAML

    sections = YAML(typ="safe").load(file.content)
    own = {key: value for key, value in settings.items() if key.partition(".")[0] in sections}
    return msgspec.structs.replace(file, content=apply_settings(file.content, own))
