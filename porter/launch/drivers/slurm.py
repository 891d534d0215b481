"""Jobs of a Slurm cluster, whose login node is reached by ``ssh``."""

from __future__ import annotations

import base64
import os
import shlex
from pathlib import Path
from typing import Any

from porter.errors import PorterError
from porter.launch.drivers.containers import ContainerDriver
from porter.records.jobs import RESULTS, JobRequest
from porter.secrets import hide

_BASE, _PARTITION, _MOUNTS = "SLURM_BASE_RESULTS_DIR", "SLURM_PARTITION", "SLURM_CONTAINER_MOUNTS"
_SCHEME = "lustre://"
_SECONDS = 120
_NO_ANSWER = 255
"""What ``ssh`` ends with by itself; everything else is the command's."""

_OWN_FOLDER = f"""\
porter_results="$TAO_RESULTS_ROOT/$TAO_JOB_ID/{RESULTS}"
export TAO_RESULTS_ROOT="$TAO_RESULTS_ROOT/$TAO_JOB_ID/nodes/$NODE_RANK"
mkdir -p "$porter_results" "$TAO_RESULTS_ROOT/$TAO_JOB_ID"
ln -sfn "$porter_results" "$TAO_RESULTS_ROOT/$TAO_JOB_ID/{RESULTS}"
"""
"""Gives every node a folder of its own below the job's, in which the results are the job's.

All nodes have the job's folder in common: they would write one spec, which TAO's launcher changes, and take
an input that another is still bringing for one that is there.
"""


class SlurmDriver(ContainerDriver):
    """Runs each job by ``sbatch``, in containers of the image; results stay on the cluster's file system.

    The SDK knows the host's key of no login node, and accepts any. It writes a job's secrets into files below
    ``SLURM_BASE_RESULTS_DIR``: who may read that folder reads them.
    """

    title = "Slurm"
    module = "slurm"
    sdk_class = "SlurmSDK"
    reach = "ssh $SLURM_USER@$SLURM_HOSTNAME true has to work without a password; SSH_KEY_PATH names a key"
    start_hint = "ssh $SLURM_USER@$SLURM_HOSTNAME sinfo shows the partitions"
    mounts = True
    several = True

    def read(self, results: str, path: str) -> bytes | None:
        """Return a file of the results.

        Raises:
            PorterError: no login node answers.
        """
        # The SDK takes what comes for text.
        printed = self._remote(f"base64 -- {shlex.quote(f'{results}/{path}')}")
        return None if printed is None else base64.b64decode(printed)

    def files(self, results: str) -> tuple[str, ...]:
        """Return the files of the results."""
        try:
            printed = self._remote(f"cd {shlex.quote(results)} && find . -type f") or ""
        except PorterError:
            return ()
        return tuple(sorted(line.removeprefix("./") for line in printed.splitlines()))

    def _refuse(self, request: JobRequest) -> None:
        super()._refuse(request)
        for name, why, hint in (
            (_BASE, "results would go to a folder of NVIDIA's own cluster", f"{_BASE}=/FOLDER"),
            (_PARTITION, "jobs would ask for partitions of NVIDIA's own cluster", f"{_PARTITION}=NAME"),
        ):
            if not os.environ.get(name):
                raise PorterError(f"{name} is not set.", why=why, next_step=f"export {hint}")

    def _arguments(self, request: JobRequest) -> dict[str, Any]:
        command = self._entrypoint(request)
        return {
            "command": _OWN_FOLDER + command if request.nodes > 1 else command,
            "num_nodes": request.nodes,
            "mounts": _mounts(request),
        }

    def _results(self, row: dict[str, Any]) -> str:
        return f"{row['results_dir'].removeprefix(_SCHEME)}/{RESULTS}"

    def _state_of_handler(self) -> Path:
        return self._own / "slurm.json"

    def _remote(self, command: str) -> str | None:
        """Return what a command prints on the login node; None where it fails.

        Raises:
            PorterError: no node answers.
        """
        with self._sdk(f"{self.title} does not answer.", self.reach) as sdk:
            # There is no public way; this one takes the next login node where one is down.
            done = sdk._handler._ssh(command, check=False, timeout=_SECONDS)
        if done.returncode == _NO_ANSWER:
            raise PorterError(
                f"{self.title} does not answer.", why=hide(str(done.stderr)).strip(), next_step=self.reach
            )
        return None if done.returncode else str(done.stdout)


def _mounts(request: JobRequest) -> str:
    """Return what the containers see of the cluster: what is named, the results, and what the job reads."""
    folder = os.environ[_BASE].rstrip("/")
    named = [mount for mount in os.environ.get(_MOUNTS, "").split(",") if mount]
    targets = [(mount.split(":") * 2)[1].rstrip("/") for mount in named]
    if not any(f"{folder}/".startswith(f"{target}/") for target in targets):
        named.append(f"{folder}:{folder}")
    return ",".join([*named, *(f"{mount.source}:{mount.target}:ro" for mount in request.mounts)])
