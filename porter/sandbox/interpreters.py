"""Finding the Python that an environment is built with."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator

import msgspec

from porter.errors import SandboxError
from porter.records.base import Record

_QUESTIONS = """
import json, os, platform, sys
try:
    import ensurepip, venv
    complete = True
except ImportError:
    complete = False
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    "executable": os.path.realpath(base),
    "version": platform.python_version(),
    "minor": "%d.%d" % sys.version_info[:2],
    "machine": platform.machine(),
    "base_prefix": os.path.realpath(sys.base_prefix),
    "complete": complete,
}))
"""


class Interpreter(Record, frozen=True, kw_only=True):
    """A Python on this machine.

    Attributes:
        executable: the base interpreter, never one of a virtual environment.
        minor: such as ``3.11``.
        base_prefix: folder that holds its standard library.
        complete: whether it can make virtual environments.
    """

    executable: str
    version: str
    minor: str
    machine: str
    base_prefix: str
    complete: bool


def this() -> Interpreter:
    """Return the facts of the interpreter that porter runs with, without starting it again."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Interpreter(
        executable=os.path.realpath(base),
        version=platform.python_version(),
        minor="{}.{}".format(*sys.version_info),
        machine=platform.machine(),
        base_prefix=os.path.realpath(sys.base_prefix),
        complete=all(importlib.util.find_spec(name) for name in ("ensurepip", "venv")),
    )


def ask(executable: str) -> Interpreter | None:
    """Return the facts of another interpreter, or None where it does not run."""
    try:
        done = subprocess.run(
            [executable, "-I", "-c", _QUESTIONS], capture_output=True, timeout=30, check=False
        )
        return msgspec.json.decode(done.stdout, type=Interpreter) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError):
        return None


def choose(pythons: tuple[str, ...], *, purpose: str) -> Interpreter:
    """Return the interpreter to build with: porter's own where it fits, else the first on PATH that does.

    Args:
        pythons: minor versions that fit, preferred ones first.
        purpose: name of the requirement set, for the error.

    Raises:
        SandboxError: none fits; the text names the versions and what was found instead.
    """
    passed_over: list[str] = []
    for found in _candidates(pythons):
        if found.minor not in pythons:
            passed_over.append(f"{found.executable} is {found.version}")
        elif not found.complete:
            passed_over.append(f"{found.executable} cannot make virtual environments (no ensurepip)")
        else:
            return found
    wanted = ", ".join(sorted(pythons, key=lambda text: tuple(map(int, text.split(".")))))
    raise SandboxError(
        f"no Python on this machine fits the environment {purpose}",
        why="; ".join([f"it needs one of {wanted}", *dict.fromkeys(passed_over)]),
        next_step=f"install one of them with its venv module (Debian, Ubuntu: apt-get install "
        f"python{pythons[0]}-venv) so that python{pythons[0]} is on PATH",
    )


def _candidates(pythons: tuple[str, ...]) -> Iterator[Interpreter]:
    yield this()
    for minor in pythons:
        path = shutil.which(f"python{minor}")
        found = ask(path) if path else None
        if found is not None:
            yield found
