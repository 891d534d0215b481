"""The images that containers of managed environments are started from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from porter.errors import SandboxError
from porter.records.base import digest
from porter.records.sandbox import Engine, Environment, Limits
from porter.sandbox import base_image, engines, environments, requirements
from porter.sandbox.environments import Place
from porter.sandbox.process import execute
from porter.sandbox.requirements import RequirementSet

Progress = Callable[[str], None]

INSIDE = PurePosixPath("/opt/porter")
"""Where an image holds its environment (``env``) and the files of its requirement set (``set``)."""

PYTHON = INSIDE / "env" / "bin" / "python"

_BUILD = Limits(seconds=2 * 3600)
_FORMAT = 1
"""Part of the tag: raise it when the way of building changes what an image contains."""


def tag(place: Place) -> str:
    """Return the name of the image of a requirement set: its content decides it."""
    wanted = place.requirements
    contents = digest((_FORMAT, place.key, requirements.stand_ins_digest(wanted)))
    return f"localhost/porter-{wanted.name}:{contents[:12]}"


def find(engine: Engine, set_name: str, *, sets: Path | None = None) -> Environment | None:
    """Return the environment of a requirement set where an image has it, without building anything."""
    place = environments.locate(set_name, sets=sets)
    done = engines.call(engine, ["image", "inspect", tag(place)])
    if done.returncode:
        return None
    identity = str(json.loads(done.stdout)[0]["Id"])
    return Environment(
        name=set_name,
        prefix=str(INSIDE / "env"),
        python=str(PYTHON),
        digest=digest({"key": place.key, "image": identity}),
        python_path=tuple(str(path) for path in python_path(place.requirements)),
        versions=requirements.pins(place.requirements, place.interpreter.minor),
        image=tag(place),
        baked=True,
    )


def python_path(wanted: RequirementSet) -> tuple[PurePosixPath, ...]:
    """Return the folders of an image that go on PYTHONPATH."""
    return tuple(INSIDE / "set" / Path(path).relative_to(wanted.folder) for path in wanted.python_path)


def build(
    engine: Engine, name: str, options: Sequence[str], context: Path, log: Path, progress: Progress
) -> None:
    """Build an image from the ``Containerfile`` that *options* name, with no network.

    Args:
        engine: docker or podman.
        name: of the image.
        options: further ones of the engine's ``build``.
        context: folder that the build sees.
        log: gets what the engine prints.
        progress: told each line of it.

    Raises:
        SandboxError: the build failed; with its last lines.
    """
    argv = [engine.executable, "build", "--network=none", f"--tag={name}", *options, str(context)]
    # The newer builder of Docker is a plugin that need not be there.
    variables = {**engines.client_variables(os.environ), "DOCKER_BUILDKIT": "0"}
    ended = execute(argv, log, _BUILD, progress, variables=variables)
    if ended.code:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise SandboxError(
            f"The image {name} could not be made.",
            why="\n".join(lines[-3:]) or ended.reason,
            next_step=f"the whole output is in {log}; then repeat the command",
        )


def mounted(engine: Engine, set_name: str, *, progress: Progress = lambda _line: None) -> Environment:
    """Return the managed environment of this machine as a container is shown it, on the base image.

    Builds what is not there.
    """
    place = environments.locate(set_name)
    built = environments.find(set_name) or environments.ensure(set_name, progress=progress)
    image = base_image.ensure(engine, place.interpreter)
    return msgspec.structs.replace(
        built, image=image, digest=digest({"environment": built.digest, "image": image, "on": "container"})
    )
