"""One port for the whole table; every mutation is undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.records.reference import Reference
from porter.records.sandbox import Environment
from tests.conftest import REAL_CACHE
from tests.gates.consistency.port import Port


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


@pytest.fixture(autouse=True)
def _cache_of_the_module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "kit_port" in request.fixturenames:
        monkeypatch.setenv("PORTER_CACHE", str(request.getfixturevalue("shared_cache")))
