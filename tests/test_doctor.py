"""The prerequisites, on this machine and on poorer ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter import doctor
from porter.records.gates import GateResult
from porter.sandbox import facts

IDS = [
    "prerequisites-python",
    "prerequisites-git",
    "prerequisites-isolation",
    "prerequisites-environment",
    "prerequisites-disk",
    "prerequisites-gpu",
    "prerequisites-containers",
]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder on PATH; empty at first."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    yield folder
    facts.machine.cache_clear()


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_every_prerequisite_is_told_in_order_and_nothing_is_built() -> None:
    results = {result.gate: result for result in doctor.checks()}
    assert list(results) == IDS
    assert all(result.summary for result in results.values())
    assert results["prerequisites-python"].state == "passed"
    assert results["prerequisites-git"].state == "passed"
    isolation = results["prerequisites-isolation"]
    assert isolation.state == ("passed" if facts.machine().bwrap else "blocked")
    environment = results["prerequisites-environment"]
    assert environment.state == "blocked"
    assert "the first port builds it: 7 GB, about" in environment.summary
    assert not Path(os.environ["PORTER_CACHE"]).exists()


def test_a_gate_that_cannot_run_is_never_passed() -> None:
    results = {result.gate: result.state for result in doctor.checks()}
    assert results["prerequisites-gpu"] == "blocked"
    assert results["prerequisites-containers"] == "blocked"


def test_a_missing_git_fails_and_an_old_one_too(tools: Path) -> None:
    missing = doctor.check_git()
    assert (missing.state, missing.fix) == ("failed", "install git 2.34 or newer")
    for version, state in (("2.17.1", "failed"), ("2.34.0", "passed"), ("2.40.1 (Apple)", "passed")):
        script(tools, "git", f"echo git version {version!r}")
        assert doctor.check_git().state == state


def test_a_machine_without_bubblewrap_is_blocked_with_the_command_that_changes_it(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, path in facts.machine().tools.items():
        if name != "bwrap":
            (tools / name).symlink_to(path)
    monkeypatch.setattr(facts, "SYSTEM_PATH", str(tools))
    facts.machine.cache_clear()
    result = doctor.check_isolation()
    assert result.state == "blocked"
    assert "apt-get install bubblewrap" in result.summary
    assert "NOT ISOLATED" in result.cause

    script(
        tools,
        "bwrap",
        'case "$1" in --help) echo --perms --size;; *) echo "no namespaces" >&2; exit 1;; esac',
    )
    facts.machine.cache_clear()
    broken = doctor.check_isolation()
    assert broken.state == "blocked"
    assert "no namespaces" in broken.summary


def test_gpu_and_engines_are_told_where_they_are(tools: Path) -> None:
    def told() -> tuple[GateResult, GateResult]:
        return doctor.check_gpu(), doctor.check_containers()

    gpu, containers = told()
    assert "no NVIDIA GPU" in gpu.summary
    assert "neither docker nor podman" in containers.summary
    script(tools, "nvidia-smi", "echo 'NVIDIA H100, 580.1'")
    script(tools, "podman", "")
    gpu, containers = told()
    assert gpu.evidence == {"gpus": ["NVIDIA H100, 580.1"]}
    assert "NVIDIA H100" in gpu.summary
    assert containers.summary.startswith("podman found")


def test_no_python_that_fits_is_a_failure_with_the_versions(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from porter.sandbox import interpreters

    monkeypatch.setattr(
        interpreters,
        "this",
        lambda: interpreters.Interpreter(
            executable=sys.executable,
            version="3.99.0",
            minor="3.99",
            machine="x",
            base_prefix="/",
            complete=True,
        ),
    )
    result = doctor.check_environment("tao-pytorch-7.0.1")
    assert result.state == "failed"
    assert "3.10, 3.11, 3.12" in result.cause
    assert "python3.11-venv" in result.fix


def test_a_full_disk_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_disk("no such set").evidence["needed_gigabytes"] == doctor.WORKING_GIGABYTES
    monkeypatch.setattr(doctor, "WORKING_GIGABYTES", 1e9)
    result = doctor.check_disk("no such set")
    assert result.state == "failed"
    assert "PORTER_CACHE" in result.fix
