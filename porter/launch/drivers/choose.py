"""Which driver runs the jobs of a run."""

from __future__ import annotations

from pathlib import Path

from porter.launch.drivers.base import Driver
from porter.launch.drivers.brev import BrevDriver
from porter.launch.drivers.containers import ContainerDriver
from porter.launch.drivers.docker import DockerDriver
from porter.launch.drivers.kubernetes import KubernetesDriver
from porter.launch.drivers.slurm import SlurmDriver
from porter.launch.drivers.virtualenv import VirtualEnvDriver
from porter.records.jobs import Interpreter
from porter.records.training import Platform

_CONTAINERS: dict[Platform, type[ContainerDriver]] = {
    "docker": DockerDriver,
    "kubernetes": KubernetesDriver,
    "slurm": SlurmDriver,
    "brev": BrevDriver,
}


def driver(
    platform: Platform, folder: Path, secrets: tuple[str, ...] = (), interpreter: Interpreter | None = None
) -> Driver:
    """Return the driver of a platform.

    Args:
        platform: that runs the jobs.
        folder: of the run.
        secrets: names of the variables that jobs may see, of those that are secret.
        interpreter: of the virtual environment, where that is the platform.

    Raises:
        PorterError: NVIDIA's SDK is not installed, or the virtual environment cannot run jobs.
    """
    if interpreter is not None:
        return VirtualEnvDriver(folder, interpreter, secrets)
    return _CONTAINERS[platform](folder, secrets)
