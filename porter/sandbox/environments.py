"""Managed environments: virtual environments built from pinned requirement sets into porter's cache."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from porter import cache
from porter.atomic import write_atomic
from porter.errors import SandboxError
from porter.records.base import Record, digest, from_json, to_json
from porter.records.sandbox import Environment
from porter.sandbox import requirements
from porter.sandbox.installer import Failure, Installer
from porter.sandbox.interpreters import Interpreter, choose
from porter.sandbox.requirements import RequirementSet

_MARKER = "porter-environment.json"

Progress = Callable[[str], None]


class Built(Record, frozen=True, kw_only=True):
    """The marker of a finished build; written last, so that its presence means complete.

    Attributes:
        base_executable, base_prefix: the interpreter that the environment links to.
        seconds: wall time of the build.
    """

    set: str
    key: str
    python: str
    base_executable: str
    base_prefix: str
    seconds: float


class Place(Record, frozen=True, kw_only=True):
    """Where the environment of a set lies, built or not."""

    requirements: RequirementSet
    interpreter: Interpreter
    key: str
    prefix: str

    @property
    def marker(self) -> Path:
        """Return the path of the marker of a finished build."""
        return Path(self.prefix) / _MARKER


def locate(set_name: str, *, sets: Path | None = None) -> Place:
    """Return where the environment of a set lies for the Python that it would be built with.

    Raises:
        SandboxError: there is no such set, or no Python that fits.
    """
    wanted = requirements.read_set(set_name, sets=sets)
    interpreter = choose(wanted.pythons, purpose=set_name)
    key = requirements.key(wanted, interpreter.minor, interpreter.machine)
    prefix = cache.root() / "envs" / f"{set_name}-{key}"
    return Place(requirements=wanted, interpreter=interpreter, key=key, prefix=str(prefix))


def find(set_name: str, *, sets: Path | None = None) -> Environment | None:
    """Return the environment of a set where it is built, without building it."""
    return _finished(locate(set_name, sets=sets))


def ensure(set_name: str, *, progress: Progress = lambda line: None, sets: Path | None = None) -> Environment:
    """Return the environment of a requirement set, building it where it is not built yet.

    A build that was killed is made again from the start. Of several callers at the same time one builds and
    the others wait.

    Args:
        set_name: folder under ``containers/``, such as ``tao-pytorch-7.0.1``.
        progress: told what is being installed, and every few seconds that it still is.
        sets: folder of the sets; None means the ones that ship with porter.

    Raises:
        SandboxError: no Python fits, the disk is too small, or pip could not install a pin.
    """
    place = locate(set_name, sets=sets)
    found = _finished(place)
    if found is not None:
        return found
    folder = Path(place.prefix)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(folder, "building", progress):
        found = _finished(place)
        if found is None:
            _build(place, progress)
            found = _finished(place)
    if found is None:
        raise SandboxError(
            f"the environment {set_name} vanished while it was being built",
            why=f"{place.marker} is not there",
            next_step="repeat the command",
        )
    return found


def _finished(place: Place) -> Environment | None:
    try:
        built = from_json(place.marker.read_bytes(), Built)
    except (OSError, msgspec.MsgspecError):
        return None
    python = Path(place.prefix) / "bin" / "python"
    # A base interpreter that was uninstalled leaves a dangling link behind.
    if not python.exists() or not Path(built.base_prefix).is_dir():
        return None
    wanted = place.requirements
    return Environment(
        name=wanted.name,
        prefix=place.prefix,
        python=str(python),
        digest=digest({"key": place.key, "stand-ins": requirements.stand_ins_digest(wanted)}),
        read_only=(built.base_prefix, *wanted.python_path),
        python_path=wanted.python_path,
        versions=requirements.pins(wanted, place.interpreter.minor),
    )


def _build(place: Place, progress: Progress) -> None:
    wanted, folder = place.requirements, Path(place.prefix)
    _check_disk(wanted, folder.parent)
    if folder.exists():
        progress(f"removing an unfinished build of {folder.name}")
        shutil.rmtree(folder)
    started = time.monotonic()
    installer = Installer(Path(f"{folder}.log"), progress)
    try:
        installer.run(
            "making the virtual environment",
            [place.interpreter.executable, "-I", "-m", "venv", str(folder)],
        )
        python = str(folder / "bin" / "python")
        for number, file in enumerate(wanted.files, start=1):
            installer.run(
                f"installing {_title(file)} ({number}/{len(wanted.files)})",
                [python, "-m", "pip", *pip_arguments(wanted, file)],
            )
    except Failure as failure:
        raise SandboxError(
            f"the environment {wanted.name} could not be built: {failure.step} failed",
            why=failure.tail,
            next_step=f"the whole output is in {installer.log}; check the package index and pip's "
            "configuration (pip config list), then repeat the command",
        ) from failure
    built = Built(
        set=wanted.name,
        key=place.key,
        python=place.interpreter.version,
        base_executable=place.interpreter.executable,
        base_prefix=place.interpreter.base_prefix,
        seconds=round(time.monotonic() - started, 1),
    )
    # The marker must not reach the disk before what it vouches for.
    os.sync()
    write_atomic(place.marker, to_json(built))
    progress(f"built {folder.name} in {built.seconds:.0f} s")


def pip_arguments(wanted: RequirementSet, file: str) -> list[str]:
    """Return what pip is told to install one file of a set."""
    # --compile: a run cannot write bytecode into the environment, so an import would compile it every time.
    # --no-build-isolation: what builds the source packages is pinned in step 1, not the newest of the day.
    arguments = ["install", "--no-input", "--disable-pip-version-check", "--no-user", "--compile"]
    if file == requirements.WITH_DEPENDENCIES:
        if requirements.WITHOUT_DEPENDENCIES in wanted.files:
            arguments += ["--constraint", str(wanted.path(requirements.WITHOUT_DEPENDENCIES))]
    else:
        arguments.append("--no-deps")
        if requirements.WITH_DEPENDENCIES in wanted.files:
            arguments.append("--no-build-isolation")
    return [*arguments, "--requirement", str(wanted.path(file))]


def _title(file: str) -> str:
    return "torch" if file == requirements.WITH_DEPENDENCIES else "packages"


def room_needed(wanted: RequirementSet) -> float:
    """Return the free disk space in GB that a build asks for: the result, and pip's downloads beside it."""
    return wanted.gigabytes * 1.7


def _check_disk(wanted: RequirementSet, where: Path) -> None:
    free, needed = shutil.disk_usage(where).free / 1e9, room_needed(wanted)
    if free < needed:
        raise SandboxError(
            f"there is not enough disk space for the environment {wanted.name}",
            why=f"{where} has {free:.1f} GB free; a build asks for {needed:.1f} GB",
            next_step="free some space, or set PORTER_CACHE to a folder on a larger disk",
        )
