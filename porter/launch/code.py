"""How a network's command is called where the image lacks its code: a port lies in worktrees alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

from porter.errors import UsageError
from porter.launch import catalog, interpreter
from porter.records.catalog import CatalogEntry
from porter.records.training import Mount, Platform, TrainPlan

_INSIDE = "/code/tao-pytorch"
_MOUNTED: tuple[Platform, ...] = ("docker", "slurm")


class Call(NamedTuple):
    """A command, with ``{config_path}`` for its spec, and the folders that it needs."""

    command: str
    mounts: tuple[Mount, ...] = ()


def call(found: CatalogEntry, action: str, plan: TrainPlan) -> Call:
    """Return the command of an action on the platform of a plan.

    NVIDIA's image has no command of a port: there the worktree comes before what is installed. An image that
    a person named is taken to have it.

    Raises:
        UsageError: the platform cannot show the worktree to a job.
        WorkspaceError: the worktree declares no such command.
    """
    command = found.actions[action].command
    named = plan.image != catalog.resolve(found, action).image
    if not found.workspace or plan.platform == "virtualenv" or named:
        return Call(command)
    if plan.platform not in _MOUNTED:
        raise UsageError(
            f"{plan.image} has no command of {found.name}.",
            why=f"{found.name} is a port, and {plan.platform} shows no folders of this machine to a job",
            next_step=f"build an image with the wheel of {found.workspace}, and name it: --image REF",
        )
    worktree = Path(found.workspace) / "tao-pytorch"
    name, *arguments = shlex.split(command)
    module, _, function = interpreter.target(worktree, name).partition(":")
    code = f"import sys; sys.argv[0] = {name!r}; from {module} import {function}; {function}()"
    spec = "{config_path}"
    words = " ".join(word if word == spec else shlex.quote(word) for word in arguments)
    return Call(
        f"env PYTHONPATH={_INSIDE} python3 -c {shlex.quote(code)} {words}",
        (Mount(source=str(worktree), target=_INSIDE),),
    )
