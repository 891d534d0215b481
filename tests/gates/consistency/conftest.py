"""One port for the whole table; every mutation is undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.records.reference import Reference
from porter.records.sandbox import Environment
from porter.runtimes import REHEARSAL
from porter.sandbox import environments
from tests.conftest import REAL_CACHE
from tests.e2e.conftest import deploy_clone
from tests.gates.consistency.port import Port

__all__ = ["cache_of_the_module", "deploy_clone", "kit_port", "rehearsal", "shared_cache", "whole_port"]


@pytest.fixture(scope="module")
def shared_cache(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of its own that shares only the managed environments."""
    cache = tmp_path_factory.mktemp("cache") / "porter"
    cache.mkdir()
    (cache / "envs").symlink_to(REAL_CACHE / "envs")
    return cache


@pytest.fixture(scope="module")
def kit_port(
    shared_cache: Path, reference: Reference, kit: Path, tmp_path_factory: pytest.TempPathFactory
) -> Port:
    """A port to the embedded kit without tao-deploy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(shared_cache))
        port = Port(tmp_path_factory.mktemp("port") / "port", reference, kit)
        port.export()
        port.write_results()
        return port


@pytest.fixture(scope="session")
def rehearsal() -> None:
    """Skip where the environment that runs tao-deploy is not built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        if environments.find(REHEARSAL) is None:
            pytest.skip(f"the environment {REHEARSAL} is not built; any port builds it")


@pytest.fixture(scope="module")
def whole_port(
    rehearsal: None,
    shared_cache: Path,
    reference: Reference,
    kit: Path,
    deploy_clone: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Port:
    """A port to the embedded kit and to the released tao-deploy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(shared_cache))
        port = Port(tmp_path_factory.mktemp("whole") / "port", reference, kit, deploy_clone)
        port.export()
        port.write_results()
        return port


@pytest.fixture
def cache_of_the_module(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache that the test's ports look for their environments in."""
    monkeypatch.setenv("PORTER_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture(autouse=True)
def _use_the_cache(request: pytest.FixtureRequest) -> None:
    if {"kit_port", "whole_port"} & set(request.fixturenames):
        request.getfixturevalue("cache_of_the_module")
