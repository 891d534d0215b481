"""The virtual environment that runs jobs on this machine, and how a network's command is called in it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from porter import clones
from porter.errors import UsageError, WorkspaceError
from porter.records.catalog import CatalogEntry
from porter.records.jobs import Interpreter
from porter.records.reference import Repo
from porter.reference.names import console_scripts
from porter.reference.release import read_release
from porter.ui import Ui

ENTRY = Path(__file__).parent / "drivers" / "entry.py"
_COMMON = ("setup.py", "setup_l4t.py")


def choose(found: CatalogEntry, venv: str, given: Mapping[Repo, str], ui: Ui) -> Interpreter:
    """Return the environment for a network: the one that was named, else the managed one of a release.

    Args:
        found: the network.
        venv: folder of a virtual environment with TAO in it; empty where none was named.
        given: clones that were named, or worktrees of the port that the network comes from.
        ui: where progress goes.

    Raises:
        UsageError: the environment has no such command, or is none.
        WorkspaceError: there is no clone, or no managed environment of its release.
    """
    command = command_of(found)
    if venv:
        prefix = Path(venv).expanduser().absolute()
        if not (prefix / "pyvenv.cfg").is_file():
            raise UsageError(
                f"--venv {prefix} is no virtual environment.",
                why="it has no pyvenv.cfg",
                next_step="--venv DIR names the folder that python -m venv DIR has made",
            )
        if not os.access(prefix / "bin" / "python", os.X_OK):
            raise UsageError(
                f"{prefix} has no Python that runs.",
                why=f"{prefix / 'bin' / 'python'} is not there, or leads nowhere",
                next_step="make the environment anew, or --venv DIR names another one",
            )
        if not (prefix / "bin" / command).is_file():
            raise UsageError(
                f"{prefix} has no command {command}.",
                why="jobs on this machine run TAO as it is installed there",
                next_step=f"install the wheel of tao-pytorch: {shlex.quote(f'{prefix}/bin/pip')} install ...",
            )
        return Interpreter(prefix=str(prefix))
    clone = clones.locate("tao-pytorch", given.get("tao-pytorch"))
    release = read_release("tao-pytorch", clone)
    if not release.environment:
        raise WorkspaceError(
            f"There is no environment for tao-pytorch {release.version or 'of an unknown release'}.",
            why="; ".join(release.evidence) or "its release is not known",
            next_step="--venv DIR names a virtual environment with TAO in it",
        )
    target(clone, command)
    from porter.sandbox import environments

    environment = environments.find(release.environment)
    if environment is None:
        with ui.working(f"building the environment {release.environment} (once per machine)"):
            environment = environments.ensure(release.environment, progress=ui.progress)
    core = [given["tao-core"]] if release.layout == "core" and "tao-core" in given else []
    return Interpreter(prefix=environment.prefix, python_path=(*environment.python_path, *core, str(clone)))


def call(interpreter: Interpreter, command: str) -> tuple[Path, tuple[str, ...]]:
    """Return script and arguments that are a console command, such as ``dino train -e {config_path}``.

    Raises:
        WorkspaceError: the clone declares no such command.
    """
    name, *arguments = shlex.split(command)
    script = Path(interpreter.prefix) / "bin" / name
    if not interpreter.python_path:
        return script, tuple(arguments)
    return ENTRY, (target(Path(interpreter.python_path[-1]), name), name, *arguments)


def command_of(found: CatalogEntry) -> str:
    """Return the name of a network's console command."""
    return shlex.split(next(iter(found.actions.values())).command)[0]


def target(clone: Path, command: str) -> str:
    """Return what a clone's console command calls, as ``module:function``.

    Raises:
        WorkspaceError: the clone declares no such command.
    """
    for name in _COMMON:
        path = clone / name
        if path.is_file():
            declared = console_scripts(path.read_text(encoding="utf-8")).get(command)
            if declared:
                return declared
    raise WorkspaceError(
        f"{clone} declares no command {command}.",
        why=f"none of {', '.join(_COMMON)} has it among its console scripts",
        next_step="--tao-pytorch PATH names a clone that has it",
    )
