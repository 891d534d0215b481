"""Which engine is taken, with programs in place of the real clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from porter.errors import SandboxError, UsageError
from porter.sandbox import engines

Client = Callable[[str, str, int], None]
DOCKER_SAYS = json.dumps({"Client": {"Version": "28.2.2"}, "Server": {"Version": "20.10.24"}})
PODMAN_SAYS = json.dumps(
    {
        "host": {"security": {"rootless": True}, "cgroupControllers": ["cpuset", "memory", "pids"]},
        "version": {"Version": "4.3.1"},
    }
)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Make a client that prints a text and ends with a code; no other is on PATH."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("PORTER_ENGINE")
    engines.find.cache_clear()

    def make(name: str, text: str, code: int) -> None:
        program = tools / name
        program.write_text(f"#!/bin/sh\n/bin/cat << 'END'\n{text}\nEND\nexit {code}\n")
        program.chmod(0o755)

    yield make
    engines.find.cache_clear()


def test_docker_comes_before_podman_and_both_before_the_host(client: Client) -> None:
    assert engines.choose("auto") is None
    assert engines.why("auto") == "docker is not installed; podman is not installed"
    client("podman", PODMAN_SAYS, 0)
    engines.find.cache_clear()
    found = engines.choose("auto")
    assert found is not None
    assert (found.name, found.version, found.rootless) == ("podman", "4.3.1", True)
    assert found.bounds == ("memory", "pids")
    assert engines.why("auto") == "the first that answers; docker is not installed"
    client("docker", DOCKER_SAYS, 0)
    engines.find.cache_clear()
    found = engines.choose("auto")
    assert found is not None
    assert (found.name, found.version, found.rootless) == ("docker", "20.10.24", False)
    assert engines.choose("host") is None


def test_auto_is_what_the_environment_says(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client("podman", PODMAN_SAYS, 0)
    monkeypatch.setenv("PORTER_ENGINE", "host")
    assert engines.choose("auto") is None
    assert engines.why("auto") == "PORTER_ENGINE says so"
    found = engines.choose("podman")
    assert found is not None
    assert found.name == "podman"
    monkeypatch.setenv("PORTER_ENGINE", "lxc")
    with pytest.raises(UsageError, match="lxc is not an engine") as refused:
        engines.choose("auto")
    assert "PORTER_ENGINE takes one of: auto, docker, podman, host" in refused.value.why


def test_an_engine_that_does_not_answer_is_passed_over_and_refused_by_name(client: Client) -> None:
    client("docker", "Cannot connect to the Docker daemon", 1)
    client("podman", PODMAN_SAYS, 0)
    found = engines.choose("auto")
    assert found is not None
    assert found.name == "podman"
    assert "docker does not answer: Cannot connect to the Docker daemon" in engines.why("auto")
    with pytest.raises(SandboxError) as caught:
        engines.choose("docker")
    assert "Cannot connect" in caught.value.why
    assert "--engine auto|docker|podman|host" in caught.value.next_step


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"Server": null}'])
def test_an_answer_of_another_shape_is_no_engine(client: Client, text: str) -> None:
    client("docker", text, 0)
    found = engines.find("docker")
    assert isinstance(found, str)
    assert found.startswith("docker answered something else")


def test_an_engine_that_is_not_there_is_refused_with_the_way_out(client: Client) -> None:
    with pytest.raises(SandboxError) as caught:
        engines.choose("podman")
    assert caught.value.why == "podman is not installed"
