"""Which driver a platform gets, and what every container platform refuses before anything is made."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from porter.errors import PorterError
from porter.launch.drivers import base
from porter.launch.drivers.choose import driver
from porter.records.jobs import Interpreter, JobRequest
from porter.records.training import Mount, Platform

REQUEST = JobRequest(
    name="train",
    network="dino",
    action="train",
    command="dino train -e {config_path}",
    spec={},
    image="localhost/tao:1",
)
CONTAINERS: tuple[Platform, ...] = ("docker", "kubernetes", "slurm", "brev")


def test_a_virtual_environment_is_a_platform_too(tmp_path: Path) -> None:
    made = driver("virtualenv", tmp_path, interpreter=Interpreter(prefix=sys.prefix))
    assert type(made).__name__ == "VirtualEnvDriver"


@pytest.mark.parametrize("platform", CONTAINERS)
def test_making_a_driver_asks_the_platform_nothing(tmp_path: Path, platform: Platform) -> None:
    made = driver(platform, tmp_path)
    assert made.files(str(tmp_path / "none")) == ()


@pytest.mark.parametrize("platform", CONTAINERS)
def test_a_container_needs_an_image(tmp_path: Path, platform: Platform) -> None:
    with pytest.raises(PorterError, match="has no image") as caught:
        driver(platform, tmp_path).start(msgspec.structs.replace(REQUEST, image=""))
    assert "--image" in caught.value.next_step


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("unix:///nowhere/docker.sock", "Docker cannot be reached"),
        ("tcp://127.0.0.1:9", "Docker of another machine"),
        ("ssh://somewhere", "Docker of another machine"),
    ],
)
def test_an_engine_that_cannot_be_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, said: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(PorterError, match=said) as caught:
        driver("docker", tmp_path).start(REQUEST)
    assert "DOCKER_HOST" in str(caught.value)
    assert not (tmp_path / "specs").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nodes": 2}, "gives a job one node"),
        ({"inputs": ("train.weights",)}, "brings no data"),
        ({"mounts": (Mount(source="/no/such/folder", target="/data"),)}, "/no/such/folder is no folder"),
        ({"mounts": (Mount(source="/sets/a:b", target="/data"),)}, "cannot mount /sets/a:b"),
    ],
)
def test_docker_refuses_what_it_cannot_give(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(PorterError, match=said) as caught:
        driver("docker", tmp_path).start(msgspec.structs.replace(REQUEST, **changes))
    assert caught.value.next_step


def test_the_sdk_changes_no_logging_of_the_process() -> None:
    # In a process of its own: modules are imported once.
    code = (
        "import logging\n"
        "from porter.launch.drivers import base\n"
        "base.sdk('tao_sdk.script_runner')\n"
        "print(logging.getLogger().handlers, logging.getLogger().level)"
    )
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables
    )
    assert done.stdout == f"[] {logging.WARNING}\n"


def test_an_sdk_that_is_not_installed_is_told() -> None:
    with pytest.raises(PorterError, match="no_such_sdk is not installed") as caught:
        base.sdk("no_such_sdk.platforms")
    assert caught.value.next_step == base.EXTRA
