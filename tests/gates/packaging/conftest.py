"""Ports in real worktrees, on the kit and on the real clones; every mutation is undone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from porter.records.sandbox import Environment
from tests.e2e.clones import private_clone
from tests.e2e.conftest import deploy_clone, e2e_cache
from tests.gates.packaging.port import Packaged
from tests.real_clones import real_clone

__all__ = ["deploy_clone", "e2e_cache", "kit_port", "lone_port", "real_port", "released_port"]


@pytest.fixture
def shared_cache(e2e_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that shares only the managed environments."""
    monkeypatch.setenv("PORTER_CACHE", str(e2e_cache))
    return e2e_cache


@pytest.fixture(autouse=True)
def _use_the_cache(request: pytest.FixtureRequest) -> None:
    if {"kit_port", "lone_port", "real_port", "released_port"} & set(request.fixturenames):
        request.getfixturevalue("shared_cache")


def _port(cache: Path, root: Path, trained: Path, deployed: Path | None = None) -> Packaged:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(cache))
        return Packaged(root, trained, deployed)


@pytest.fixture(scope="module")
def kit_port(
    e2e_cache: Path,
    kit: Path,
    deploy_environment: Environment,
    deploy_clone: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Packaged:
    """A port to the embedded kit and to the wheel of tao-deploy."""
    return _port(e2e_cache, tmp_path_factory.mktemp("kit-port"), kit, deploy_clone)


@pytest.fixture(scope="module")
def lone_port(e2e_cache: Path, kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    """A port to the embedded kit alone."""
    return _port(e2e_cache, tmp_path_factory.mktemp("lone-port"), kit)


@pytest.fixture(scope="module")
def real_port(
    e2e_cache: Path, deploy_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> Packaged:
    """A port to the real clones: tao-pytorch 7.0.1, and tao-deploy's main branch."""
    trained, deployed = real_clone("tao-pytorch"), real_clone("tao-deploy")
    return _port(e2e_cache, tmp_path_factory.mktemp("real-port"), trained, deployed)


@pytest.fixture(scope="module")
def released_port(
    e2e_cache: Path, deploy_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> Packaged:
    """A port to the real clones at the release: tao-deploy 7.0.1 has no lint of its own."""
    folder = tmp_path_factory.mktemp("released-port")
    deployed = private_clone(real_clone("tao-deploy"), folder / "tao-deploy")
    subprocess.run(["git", "-C", deployed, "fetch", "-q", "--tags", "origin"], check=True)
    subprocess.run(["git", "-C", deployed, "checkout", "-q", "-B", "main", "7.0.1"], check=True)
    return _port(e2e_cache, folder, real_clone("tao-pytorch"), deployed)
