"""Requirement sets: what an environment is built from, read from the files under ``containers/``."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from porter.errors import SandboxError
from porter.records.base import Record, digest
from porter.resources import tree

SETTINGS = "set.toml"
WITH_DEPENDENCIES = "requirements-torch.txt"
WITHOUT_DEPENDENCIES = "requirements.txt"

_FORMAT = 1
"""Part of every key: raise it when the way of building changes what a build contains."""


class RequirementSet(Record, frozen=True, kw_only=True):
    """A requirement set as its files state it.

    Attributes:
        pythons: minor versions that it fits (``3.11``), preferred ones first.
        gigabytes, minutes: what a build needs and takes.
        python_path: absolute folders that go on PYTHONPATH.
        files: the requirement files that there are, in the order in which they are installed.
    """

    name: str
    title: str
    folder: str
    pythons: tuple[str, ...]
    gigabytes: float
    minutes: int
    python_path: tuple[str, ...] = ()
    files: tuple[str, ...]

    def path(self, name: str) -> Path:
        """Return the path of one of its files."""
        return Path(self.folder) / name


def read_set(name: str, *, sets: Path | None = None) -> RequirementSet:
    """Read the requirement set *name*.

    Args:
        name: its folder.
        sets: folder of the sets; None means the ones that ship with porter.

    Raises:
        SandboxError: there is no such set, or its settings do not parse.
    """
    root = tree("containers") if sets is None else sets
    folder = root / name
    settings = folder / SETTINGS
    if not settings.is_file():
        known = sorted(path.parent.name for path in root.glob(f"*/{SETTINGS}"))
        raise SandboxError(
            f"there is no requirement set named {name!r}",
            why=f"porter has: {', '.join(known) or 'none'}",
            next_step="use a clone of a release that one of them fits",
        )
    table = _toml(settings)
    try:
        return RequirementSet(
            name=name,
            title=table.get("title", name),
            folder=str(folder),
            pythons=tuple(table["pythons"]),
            gigabytes=float(table["gigabytes"]),
            minutes=int(table["minutes"]),
            python_path=tuple(str(folder / part) for part in table.get("python_path", ())),
            files=tuple(
                part for part in (WITH_DEPENDENCIES, WITHOUT_DEPENDENCIES) if (folder / part).is_file()
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SandboxError(f"the requirement set {name} is broken", why=f"{settings}: {error!r}") from error


def pins(of: RequirementSet, python: str) -> dict[str, str]:
    """Return the pinned version by canonical distribution name for one Python minor version.

    Raises:
        SandboxError: a line is no exact pin, or two lines pin one distribution.
    """
    return {name: version for step in _steps(of, python).values() for name, version in step.items()}


def key(of: RequirementSet, python: str, machine: str) -> str:
    """Return the digest (12 hex digits) of what decides the contents of a build.

    Comments, stand-ins and pins for other interpreters are no part of it: they change nothing that is
    installed, and a build takes gigabytes.

    Raises:
        SandboxError: as :func:`pins` does.
    """
    steps = {file: sorted(step.items()) for file, step in _steps(of, python).items()}
    return digest({"format": _FORMAT, "python": python, "machine": machine, "steps": steps})[:12]


def _steps(of: RequirementSet, python: str) -> dict[str, dict[str, str]]:
    from packaging.markers import default_environment
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    markers: dict[str, str] = {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    steps: dict[str, dict[str, str]] = {file: {} for file in of.files}
    for file in of.files:
        for line in of.path(file).read_text(encoding="utf-8").splitlines():
            text = line.split("#", 1)[0].strip()
            if not text:
                continue
            try:
                requirement = Requirement(text)
            except InvalidRequirement as error:
                raise _broken(of, f"{file}: {text}: {error}") from error
            if requirement.marker is not None and not requirement.marker.evaluate(markers):
                continue
            exact = [part.version for part in requirement.specifier if part.operator == "=="]
            name = canonicalize_name(requirement.name)
            if len(exact) != 1:
                raise _broken(of, f"{file}: {text} is not pinned to one version")
            if any(name in step for step in steps.values()):
                raise _broken(of, f"{file}: {name} is pinned twice")
            steps[file][name] = exact[0]
    return steps


def stand_ins_digest(of: RequirementSet) -> str:
    """Return the digest of every file on the set's PYTHONPATH."""
    contents: dict[str, str] = {}
    for root in of.python_path:
        for path in sorted(Path(root).rglob("*.py")):
            contents[str(path.relative_to(of.folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digest(contents)


def _broken(of: RequirementSet, why: str) -> SandboxError:
    return SandboxError(f"the requirement set {of.name} is broken", why=why)


def _toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SandboxError("a requirement set does not parse", why=f"{path}: {error}") from error
    return table
