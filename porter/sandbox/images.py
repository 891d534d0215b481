"""The images that containers of managed environments are started from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from porter.records.base import digest
from porter.records.sandbox import Engine, Environment
from porter.sandbox import base_image, engines, environments, requirements
from porter.sandbox.environments import Place
from porter.sandbox.requirements import RequirementSet

Progress = Callable[[str], None]

INSIDE = PurePosixPath("/opt/porter")
"""Where an image holds its environment (``env``) and the files of its requirement set (``set``)."""

PYTHON = INSIDE / "env" / "bin" / "python"

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
