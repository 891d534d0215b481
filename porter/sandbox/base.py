"""What every sandbox offers, and how a probe is run in one."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from porter.errors import PorterError, SandboxError
from porter.records.base import Record, from_json, to_json
from porter.records.sandbox import Environment, Limits, LimitSettings, Mount, RunResult, RunSpec
from porter.sandbox.process import printable

T = TypeVar("T")

LOG = "log.txt"
COMMAND = "command.sh"
EXPECTED_FAILURE = 3
"""Exit code of a probe whose answer is an error that it expected."""

_USUAL = LimitSettings()
_PACKAGE = Path(__file__).resolve().parents[1]
_ANSWER_BYTES = 256 * 2**20
_TAIL_LINES = 15


class Told(Record, frozen=True, kw_only=True):
    """An error that a probe expected, in the three parts of a :class:`PorterError`."""

    what: str
    why: str = ""
    next_step: str = ""


class ToldError(Record, frozen=True, kw_only=True):
    """The answer of a probe that ends with :data:`EXPECTED_FAILURE`."""

    error: Told


class Sandbox(ABC):
    """Where probes and gates run; one environment, one place for the folders of its runs.

    Args:
        environment: the Python environment that every run uses.
        runs: folder that gets one numbered folder per run.
        limits: what the user sets instead of the usual bounds.
    """

    def __init__(self, environment: Environment, runs: Path, limits: LimitSettings = _USUAL) -> None:
        self.environment = environment
        self.runs = runs.absolute()
        self._limits = limits

    def bounded(self, spec: RunSpec) -> RunSpec:
        """Return a run with the bounds that the user set."""
        return msgspec.structs.replace(spec, limits=self._limits.applied(spec.limits))

    @property
    @abstractmethod
    def isolation(self) -> Literal["isolated", "limited"]:
        """Whether runs are kept from the network, the user's files and their tokens."""

    @property
    @abstractmethod
    def notice(self) -> str:
        """What a person must know where runs are not isolated; empty where they are."""

    def desk(self, folder: Path) -> Path:
        """Return the folder whose ``in`` and ``out`` a probe sees: the run's own, on the host."""
        return folder

    def put_away(self, folder: Path) -> None:  # noqa: B027 - on the host they lie there already
        """Bring what a probe was given and answered into the folder of its run."""

    def close(self) -> None:  # noqa: B027 - the host keeps nothing
        """End what was kept for further runs."""

    @abstractmethod
    def interactive(self, spec: RunSpec) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the command, and its environment, that gives a person a terminal where runs take place."""

    @abstractmethod
    def run(
        self, spec: RunSpec, on_line: Callable[[str], None] | None = None, *, folder: Path | None = None
    ) -> RunResult:
        """Run one command and wait for its end.

        Args:
            spec: what to run and what it may see.
            on_line: told each line of its output.
            folder: where log and command are kept; None makes a new folder under :attr:`runs`.

        Raises:
            SandboxError: the sandbox itself could not start. A command that fails is no error.
        """


def new_run_folder(runs: Path, name: str) -> Path:
    """Make and return ``<NNN>-<name>``: always a new folder, also where a killed run left one behind."""
    runs.mkdir(parents=True, exist_ok=True)
    while True:
        numbers = [int(path.name.split("-")[0]) for path in runs.iterdir() if path.name[:1].isdigit()]
        number = max(numbers, default=0) + 1
        folder = runs / f"{number:03d}-{name}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


def run_probe(
    sandbox: Sandbox,
    probe: str,
    request: Record,
    answer: type[T],
    *,
    mounts: Sequence[Mount] = (),
    python_path: Sequence[Path] = (),
    variables: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    error: type[PorterError] = SandboxError,
    on_line: Callable[[str], None] | None = None,
) -> T:
    """Run ``porter/probes/<probe>.py`` in a folder of its own and check its answer.

    The probe is started as ``python in/probe.py in/request.json out/answer.json``, with ``out`` as working
    folder, and can import ``porter.weights.kernel``. An expected failure is an answer of the form
    ``{"error": {"what": ..., "why": ..., "next_step": ...}}`` with exit code 3.

    Args:
        sandbox: where it runs.
        probe: name of the module under ``porter/probes``.
        request: becomes ``request.json``.
        answer: schema of the answer.
        mounts: what the probe may see beside its own folder and the environment.
        python_path: further folders on its PYTHONPATH, shown read-only.
        variables: further environment variables.
        limits: bounds of the run.
        error: family that an expected failure is raised as.
        on_line: told each line of its output.

    Raises:
        SandboxError: the probe died, ran into a limit, or answered something that does not fit the schema.
        PorterError: of the family *error*: a failure that the probe expected.
    """
    folder = new_run_folder(sandbox.runs, probe.replace("_", "-"))
    desk = sandbox.desk(folder)
    library = _lay_out(desk, probe, request)
    inside, outside = desk / "in", desk / "out"
    spec = RunSpec(
        name=probe.replace("_", "-"),
        argv=(
            sandbox.environment.python,
            str(inside / "probe.py"),
            str(inside / "request.json"),
            str(outside / "answer.json"),
        ),
        cwd=str(outside),
        mounts=(
            Mount(path=str(inside)),
            Mount(path=str(outside), writable=True),
            *(Mount(path=str(path)) for path in python_path),
            *mounts,
        ),
        variables={
            **(variables or {}),
            "PYTHONPATH": ":".join(str(path) for path in (library, *python_path)),
        },
        limits=limits or Limits(),
    )
    try:
        result = sandbox.run(spec, on_line, folder=folder)
    finally:
        sandbox.put_away(folder)
    told = _read_answer(folder / "out" / "answer.json")
    if result.ended == "exited" and result.exit_code == EXPECTED_FAILURE and told is not None:
        with contextlib.suppress(msgspec.MsgspecError):
            expected = from_json(told, ToldError).error
            raise error(
                printable(expected.what), why=printable(expected.why), next_step=printable(expected.next_step)
            )
    if result.ended != "exited" or result.exit_code != 0 or told is None:
        raise _died(probe, result, folder)
    try:
        return from_json(told, answer)
    except msgspec.MsgspecError as problem:
        raise SandboxError(
            f"the probe {probe} answered something that does not fit",
            why=printable(str(problem)),
            next_step=f"repeat it by hand: sh {folder / COMMAND}",
        ) from problem


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log, without what a terminal would act on."""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - 65536))
        text = source.read().decode(errors="replace")
    kept = [line for line in printable(text.replace("\r", "\n")).splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


def _lay_out(folder: Path, probe: str, request: Record) -> Path:
    """Fill the run's folder and return the folder for PYTHONPATH."""
    inside, library = folder / "in", folder / "in" / "lib"
    kernel = library / "porter" / "weights" / "kernel"
    kernel.mkdir(parents=True)
    (folder / "out").mkdir(exist_ok=True)
    for package in (library / "porter", library / "porter" / "weights"):
        (package / "__init__.py").write_text("", encoding="utf-8")
    for module in sorted((_PACKAGE / "weights" / "kernel").glob("*.py")):
        shutil.copyfile(module, kernel / module.name)
    shutil.copyfile(_PACKAGE / "probes" / f"{probe}.py", inside / "probe.py")
    (inside / "request.json").write_bytes(to_json(request))
    # The run may be another user's, whatever the umask of this one is.
    inside.chmod(0o755)
    for path in inside.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return library


def _read_answer(path: Path) -> bytes | None:
    """Return the answer's bytes; None where there is no regular file of a reasonable size.

    The probe may have put a link there to a file that only the caller can read, or a pipe that never ends.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as source:
        facts = os.fstat(source.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _ANSWER_BYTES:
            return None
        return source.read()


def _died(probe: str, result: RunResult, folder: Path) -> SandboxError:
    if result.reason:
        how = result.reason
    elif result.exit_code < 0:
        how = f"it was ended by signal {-result.exit_code}"
    elif result.exit_code:
        how = f"it ended with exit code {result.exit_code}"
    else:
        how = "it ended without an answer"
    last = tail(folder / LOG)
    return SandboxError(
        f"the probe {probe} failed: {how}",
        why=last or "it printed nothing",
        next_step=f"repeat it by hand: sh {folder / COMMAND}",
    )
