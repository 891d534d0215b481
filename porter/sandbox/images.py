"""The images that containers of managed environments are started from."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from porter.records.base import digest
from porter.records.sandbox import Engine, Environment
from porter.sandbox import base_image, environments

Progress = Callable[[str], None]


def find(engine: Engine, set_name: str) -> Environment | None:
    """Return the environment of a requirement set where an image has it, without building anything."""
    return None


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
