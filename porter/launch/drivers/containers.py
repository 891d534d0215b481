"""What the container platforms of NVIDIA's SDK share: an SDK of the run's own, and what its calls may see."""

from __future__ import annotations

import abc
import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from porter import secrets
from porter.errors import PorterError
from porter.launch.drivers import base
from porter.records.jobs import RESULTS, JobRequest, JobState, Started

_CONFIG = "{config_path}"

_ALIASES = (
    ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    ("NGC_KEY", "NGC_API_KEY"),
    ("ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
    ("SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
)
"""The name that the SDK reads, and the one that a person may have set instead."""

_FORGOTTEN = ("AWS_SESSION_TOKEN",)
"""Secrets that go with others, and that the SDK hands on to no job."""

_LONGEST = 128 * 1024
"""Bytes of one argument, its end included, that Linux starts a program with."""

_ONE_AT_A_TIME = threading.RLock()
"""The environment, and where the SDK writes to, are the whole process's."""


class ContainerDriver(abc.ABC):
    """Runs jobs in containers of one platform.

    The SDK is made when it is first needed: what lies on this machine can be read without the platform.

    Args:
        folder: of the run; the SDK's state and what it says lie in ``sdk`` there.
        secrets: names of the variables that jobs may see, of those that are secret; another name of the same
            secret does as well.
    """

    title: ClassVar[str]
    module: ClassVar[str]
    """Of the SDK; the name of its class is *sdk_class*."""
    sdk_class: ClassVar[str]
    reach: ClassVar[str]
    """What to do where the platform does not answer."""
    start_hint: ClassVar[str]
    """What to do where it takes no job."""

    mounts: ClassVar[bool] = False
    """Whether local folders can be shown to a job; *inputs* and *several* say so of URIs and nodes."""
    inputs: ClassVar[bool] = True
    several: ClassVar[bool] = False

    def __init__(self, folder: Path, secrets: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self._secrets = _both_names(secrets)
        self._made: Any = None
        base.keep_log(self._own / "sdk.log")

    def start(self, request: JobRequest) -> Started:
        """Start a job.

        Raises:
            PorterError: the platform cannot be reached, gives no such job, or did not take it.
        """
        self._refuse(request)
        failed = f"{self.title} did not take the job {request.name}."
        with self._sdk(failed, self.start_hint) as sdk:
            before = {row["job_id"] for row in sdk.list_jobs()}
            try:
                job = sdk.create_job(
                    image=request.image,
                    gpu_count=request.gpus,
                    env_vars=self._variables(),
                    **self._arguments(request),
                )
            except Exception:
                self._note_refused({row["job_id"] for row in sdk.list_jobs()} - before)
                raise
            return Started(id=job.id, results=self._results(sdk.get_job(job.id)))

    def state(self, job: str) -> JobState:
        """Return the state of a job; ``unknown`` where another engine or cluster answers than had it."""
        with self._sdk(f"{self.title} does not say how the job is.", self.reach) as sdk:
            return base.state(sdk.get_job_status(job).status)

    def logs(self, job: str, tail: int | None = None) -> str:
        """Return what a job has printed, without the values of secrets."""
        with self._sdk(f"{self.title} does not give what the job has printed.", self.reach) as sdk:
            text = secrets.hide(sdk.get_job_logs(job, tail=tail))
        if text:
            return text
        kept = self._kept_logs(job)
        if not kept.is_file():
            return ""
        lines = kept.read_text(encoding="utf-8").splitlines(keepends=True)
        return "".join(lines[-tail:] if tail else lines)

    def cancel(self, job: str) -> bool:
        """End a job; what it has printed is kept, as most platforms remove it together with the job."""
        if self.state(job) in ("pending", "running"):
            printed = self.logs(job)
            if printed:
                self._kept_logs(job).parent.mkdir(exist_ok=True)
                self._kept_logs(job).write_text(printed, encoding="utf-8")
        with self._sdk(f"{self.title} did not cancel the job.", self.reach) as sdk:
            return bool(sdk.cancel_job(job))

    def known(self) -> dict[str, Started]:
        """Return every job that was started, the oldest first; those that the platform refused are none."""
        with self._sdk(f"{self.title} does not say which jobs there are.", self.reach) as sdk:
            refused = self._refused.read_text().split() if self._refused.exists() else []
            return {
                row["job_id"]: Started(id=row["job_id"], results=self._results(row))
                for row in reversed(sdk.list_jobs())
                if row["job_id"] not in refused and self._began(sdk, row["job_id"])
            }

    @abc.abstractmethod
    def read(self, results: str, path: str) -> bytes | None:
        """Return a file of the results."""

    @abc.abstractmethod
    def files(self, results: str) -> tuple[str, ...]:
        """Return the files of the results."""

    @abc.abstractmethod
    def _arguments(self, request: JobRequest) -> dict[str, Any]:
        """Return what the SDK is told of a job, but for image, GPUs and variables."""

    @abc.abstractmethod
    def _results(self, row: dict[str, Any]) -> str:
        """Return where the results are of a job, as the SDK has noted it."""

    def _began(self, sdk: Any, job: str) -> bool:
        """Return whether a job that the SDK has noted may exist."""
        return True

    def _prepare(self, sdk: Any) -> None:  # noqa: B027 - most platforms need nothing
        """Set up an SDK that was just made."""

    def _state_of_handler(self) -> Path | None:
        """Return the file that the SDK's handler keeps beside the store; None where it keeps none."""
        return None

    def _environment(self) -> dict[str, str]:
        """Return settings of the SDK, for what the caller's environment does not have."""
        return {}

    @property
    def _own(self) -> Path:
        return self.folder / "sdk"

    @property
    def _refused(self) -> Path:
        return self._own / "refused"

    def _kept_logs(self, job: str) -> Path:
        return self._own / "logs" / f"{job}.txt"

    def _note_refused(self, jobs: set[str]) -> None:
        with self._refused.open("a") as file:
            file.writelines(f"{job}\n" for job in sorted(jobs))

    def _variables(self) -> dict[str, str]:
        given = {name: os.environ[name] for name in _FORGOTTEN if os.environ.get(name)}
        return {**base.SILENT, **given}

    def _refuse(self, request: JobRequest) -> None:
        if not request.image:
            raise PorterError(
                f"The job {request.name} has no image.",
                why=f"{self.title} runs containers",
                next_step="--image NAME",
            )
        if request.nodes > 1 and not self.several:
            raise PorterError(
                f"{self.title} gives a job one node.",
                why=f"{request.nodes} were asked for",
                next_step="--nodes 1, or --platform kubernetes or slurm",
            )
        if request.mounts and not self.mounts:
            raise PorterError(
                f"{self.title} does not see folders of this machine.",
                why=f"the job reads {request.mounts[0].source}",
                next_step="put it into the bucket, and name s3://BUCKET/PATH",
            )
        if request.inputs and not self.inputs:
            raise PorterError(
                f"{self.title} brings no data to a job.",
                why=f"{request.inputs[0]} has a URI, which has to be staged here first",
                next_step="name a local folder",
            )

    def _entrypoint(self, request: JobRequest) -> str:
        """Return NVIDIA's command: it brings the inputs, writes the spec, runs, and takes the results away.

        What it needs for that it installs in the container, from the network. It ends with the job's own exit
        code, and then takes no results away.
        """
        escaped = [part.replace("{", "{{").replace("}", "}}") for part in request.command.split(_CONFIG)]
        made: str = base.sdk("tao_sdk.script_runner").build_entrypoint(
            command=_CONFIG.join(escaped),
            specs=request.spec,
            inputs={key: {} for key in request.inputs},
            outputs={RESULTS: {"type": "folder"}},
            config_format="yaml",
        )["command"]
        return made

    @contextlib.contextmanager
    def _sdk(self, failed: str, hint: str) -> Iterator[Any]:
        """Yield the SDK; what it raises becomes an error of porter's, which begins with *failed*."""
        with _ONE_AT_A_TIME, secrets.hidden(self._secrets), _set(self._settings()):
            if self._made is None:
                self._made = self._new()
            self._direct()
            try:
                yield self._made
            except PorterError:
                raise
            # Nothing is too general here: the SDK lets through whatever its clients raise.
            except Exception as error:
                raise PorterError(failed, why=_said(error), next_step=hint) from error

    def _new(self) -> Any:
        package = base.sdk(f"tao_sdk.platforms.{self.module}")
        self._own.mkdir(parents=True, exist_ok=True)
        # It names jobs, hosts and buckets.
        self._own.chmod(0o700)
        self._direct()
        try:
            made = getattr(package, self.sdk_class)(state_file=str(self._own / "state.json"))
            self._prepare(made)
        except Exception as error:
            raise PorterError(
                f"{self.title} cannot be reached.", why=_said(error), next_step=self.reach
            ) from error
        return made

    def _direct(self) -> None:
        """Have the SDK's handler keep its file in the run's folder: it would be in the home folder."""
        place = self._state_of_handler()
        if place is not None:
            handler: Any = base.sdk(f"tao_sdk.platforms.{self.module}.handler")
            handler.STATE_PATH = place

    def _settings(self) -> dict[str, str]:
        named = {name: os.environ.get(other, "") for name, other in _ALIASES if other in self._secrets}
        return {
            name: value
            for name, value in {**self._environment(), **named}.items()
            if value and not os.environ.get(name)
        }


def refuse_long(command: str, request: JobRequest) -> str:
    """Return a command that a program can be started with.

    Raises:
        PorterError: it is too long.
    """
    length = len(command.encode()) + 1
    if length > _LONGEST:
        raise PorterError(
            f"The spec of {request.name} is too long for a command.",
            why=f"the command that carries it has {length} bytes, and Linux takes {_LONGEST}",
            next_step="leave out settings that have their defaults",
        )
    return command


def _both_names(names: tuple[str, ...]) -> frozenset[str]:
    pairs = [pair for pair in _ALIASES if set(pair) & set(names)]
    return frozenset(names).union(*pairs)


@contextlib.contextmanager
def _set(settings: dict[str, str]) -> Iterator[None]:
    """Add variables to the environment while the block runs."""
    # What is set to nothing is as good as absent, and comes back as it was.
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _said(error: Exception) -> str:
    """Return what went wrong, in the words of the program or the server where it was one; no secrets."""
    for name in ("stderr", "explanation", "body"):
        told = getattr(error, name, None)
        if told:
            text = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
            break
    else:
        text = str(error)
    with contextlib.suppress(ValueError):
        answer = json.loads(text)
        text = str(answer.get("message") or text) if isinstance(answer, dict) else text
    return secrets.hide(text).strip() or type(error).__name__
