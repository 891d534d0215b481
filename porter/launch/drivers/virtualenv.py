"""Jobs on this machine, in a virtual environment, by NVIDIA's SDK."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from porter import secrets
from porter.errors import PorterError
from porter.launch import interpreter as interpreters
from porter.launch.drivers import base
from porter.records.jobs import RESULTS, Interpreter, JobRequest, JobState, Started

_ROUTED = "results/results_dir"
"""Where the SDK routes a declared output of that name, below a job's folder."""


class VirtualEnvDriver:
    """Runs jobs with the interpreter of a virtual environment; each is a process group of its own.

    Args:
        folder: of the run; jobs lie in ``jobs`` there.
        interpreter: the environment.
        secrets: variables that jobs may see, of those that are secret.
    """

    def __init__(self, folder: Path, interpreter: Interpreter, secrets: tuple[str, ...] = ()) -> None:
        self._interpreter = interpreter
        self._secrets = secrets
        base.keep_log(folder / "sdk" / "sdk.log")
        module = base.sdk("tao_sdk.platforms.virtualenv")
        with _told("The SDK cannot be opened."):
            try:
                self._sdk: Any = module.VirtualEnvSDK(
                    interpreter.prefix, work_dir=folder, state_file=folder / "sdk" / "tao_session.db"
                )
            except ValueError as error:
                raise PorterError(
                    "The virtual environment cannot run jobs.",
                    why=str(error),
                    next_step=f"put {interpreter.prefix} back, or start another run: porter train --venv DIR",
                ) from error

    def start(self, request: JobRequest) -> Started:
        """Start a job; what it prints goes to a file, and it lives on when porter ends."""
        script, arguments = interpreters.call(self._interpreter, request.command)
        try:
            with secrets.hidden(self._secrets):
                job = self._sdk.create_python_job(
                    script,
                    specs=request.spec,
                    config_format="yaml",
                    script_args=arguments,
                    env_vars=self._variables(),
                    outputs={RESULTS: {"type": "folder"}},
                    network_arch=request.network,
                    action=request.action,
                    gpu_count=request.gpus,
                )
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            raise PorterError(
                f"The job {request.name} could not be started.", why=str(error), next_step="porter platforms"
            ) from error
        return Started(id=job.id, results=self._results(job.local_results_dir))

    def state(self, job: str) -> JobState:
        """Return the state of a job; one whose process was killed with all that watched it has failed."""
        with _told("The SDK does not say how the job is."):
            said = base.state(self._sdk.get_job_status(job).status)
            return "error" if said == "running" and self._vanished(job) else said

    def logs(self, job: str, tail: int | None = None) -> str:
        """Return what the job has printed."""
        with _told("The SDK does not give what the job has printed."):
            return str(self._sdk.get_job_logs(job, tail))

    def cancel(self, job: str) -> bool:
        """End the job's process group."""
        with _told("The SDK did not cancel the job."):
            return bool(self._sdk.cancel_job(job))

    def known(self) -> dict[str, Started]:
        """Return every job of this run that the SDK has noted, the oldest first."""
        with _told("The SDK does not say which jobs there are."):
            return {
                entry["job_id"]: Started(
                    id=entry["job_id"], results=self._results(entry["local_results_dir"])
                )
                for entry in reversed(self._sdk.list_jobs())
            }

    def read(self, results: str, path: str) -> bytes | None:
        """Return a file of the results."""
        return base.read_local(Path(results), path)

    def files(self, results: str) -> tuple[str, ...]:
        """Return the files of the results."""
        return base.list_local(Path(results))

    def _variables(self) -> dict[str, str]:
        shown = {**base.SILENT, "PYTHONDONTWRITEBYTECODE": "1"}
        if self._interpreter.python_path:
            # What the caller has there is of another interpreter.
            shown["PYTHONPATH"] = os.pathsep.join(self._interpreter.python_path)
        return shown

    def _vanished(self, job: str) -> bool:
        """Return whether the SDK says of a dead process that it runs.

        It does where the process that starts the job was killed too: that one writes down how a job ended
        before it ends itself, and nobody else does.
        """
        noted = self._sdk.get_job(job) or {}
        number = str(noted.get("backend_job_id") or "")
        if not number.isdigit() or Path(f"/proc/{number}").exists():
            return False
        return not (Path(noted["local_results_dir"]).parent / "exit_status.json").exists()

    @staticmethod
    def _results(folder: str) -> str:
        return str(Path(folder).parent / _ROUTED)


@contextlib.contextmanager
def _told(failed: str) -> Iterator[None]:
    """Have what the SDK raises become an error of porter's, which begins with *failed*."""
    try:
        yield
    except PorterError:
        raise
    # Nothing is too general here: the SDK lets through whatever its database and the disk raise.
    except Exception as error:
        raise PorterError(
            failed,
            why=f"{type(error).__name__}: {error}",
            next_step="see whether the run's folder is whole and can be written: porter jobs",
        ) from error
