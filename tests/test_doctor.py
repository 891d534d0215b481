"""The prerequisites, on this machine and on poorer ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter import doctor, machine
from porter.records.gates import GateResult
from porter.records.sandbox import Engine
from porter.sandbox import engines, facts

IDS = [
    "prerequisites-python",
    "prerequisites-git",
    "prerequisites-isolation",
    "prerequisites-environment",
    "prerequisites-disk",
    "prerequisites-gpu",
    "prerequisites-toolkit",
    "prerequisites-token",
    "prerequisites-registry",
    "prerequisites-images",
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
    results = {result.gate: result for result in doctor.checks("host")}
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
    results = {result.gate: result.state for result in doctor.checks("host")}
    for name in ("gpu", "toolkit", "registry", "images"):
        assert results[f"prerequisites-{name}"] == "blocked"


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


def test_an_engine_that_was_named_and_cannot_be_used_fails(tools: Path) -> None:
    engines.find.cache_clear()
    try:
        results = doctor.checks("podman")
    finally:
        engines.find.cache_clear()
    failed = results[-1]
    assert (failed.gate, failed.state) == ("prerequisites-isolation", "failed")
    assert failed.cause == "podman is not installed"
    assert "--engine" in failed.fix


GPU = "echo 'NVIDIA H100 80GB HBM3, {driver}'"
TABLE = "echo '| NVIDIA-SMI {driver}   Driver Version: {driver}   CUDA Version: {cuda}     |'"


@pytest.mark.parametrize(
    ("driver", "cuda", "state", "words"),
    [
        ("580.65.06", "13.0", "passed", "CUDA 13.0"),
        ("595.10", "13.2", "passed", "CUDA 13.2"),
        ("570.86", "13.0", "blocked", "the driver is 570.86"),
        ("580.65", "12.9", "blocked", "its CUDA is 12.9"),
        ("550.54", "12.4", "blocked", "the driver is 550.54"),
        ("580.65", "N/A", "blocked", "its CUDA is unknown"),
    ],
)
def test_driver_and_cuda_have_to_be_new_enough(
    tools: Path, driver: str, cuda: str, state: str, words: str
) -> None:
    gpu, table = GPU.format(driver=driver), TABLE.format(driver=driver, cuda=cuda)
    script(tools, "nvidia-smi", f'case "$1" in --query*) {gpu};; *) {table};; esac')
    result = machine.check_gpu()
    assert result.state == state
    assert words in result.summary
    if state == "blocked":
        assert "580" in result.fix


@pytest.mark.parametrize("text", ["exit 9", "echo", "echo 'No devices were found' >&2; exit 6"])
def test_a_driver_without_a_gpu_is_no_gpu(tools: Path, text: str) -> None:
    script(tools, "nvidia-smi", text)
    result = machine.check_gpu()
    assert (result.state, result.evidence) == ("blocked", {"gpus": []})


FOUND = GateResult(gate="prerequisites-gpu", state="passed", summary="a GPU")
DOCKER = Engine(name="docker", executable="/usr/bin/docker", version="28.0")


def test_the_toolkit_has_to_be_new_enough_and_show_the_gpu(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = "GPU 0: NVIDIA H100 (UUID: GPU-1)"
    monkeypatch.setattr(machine, "smoke", lambda _engine: shown)
    assert "no NVIDIA Container Toolkit" in machine.check_toolkit(DOCKER, FOUND).summary
    script(tools, "nvidia-ctk", "echo 'NVIDIA Container Toolkit CLI version 1.17.4'")
    old = machine.check_toolkit(DOCKER, FOUND)
    assert (old.state, old.fix) == ("blocked", "install version 1.19 or newer")
    script(tools, "nvidia-ctk", "echo 'NVIDIA Container Toolkit CLI version 1.19.0'")
    assert machine.check_toolkit(DOCKER, FOUND).state == "passed"
    # Podman before 5 starts the container, without a GPU and without a word.
    monkeypatch.setattr(machine, "smoke", lambda _engine: "")
    silent = machine.check_toolkit(DOCKER, FOUND)
    assert silent.state == "blocked"
    assert "sees no GPU" in silent.summary
    assert machine.check_toolkit(None, FOUND).state == "blocked"


def test_tokens_are_told_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_token().evidence == {"set": False}
    assert doctor.check_registry({}).state == "blocked"
    monkeypatch.setenv("HF_TOKEN", "hf_c4nary")
    monkeypatch.setenv("NGC_KEY", "ngc_c4nary")
    images = {"tao-pytorch": "nvcr.io/nvidia/tao/tao-toolkit:7.0.1-pyt"}
    results = (doctor.check_token(), doctor.check_registry(images))
    assert [result.state for result in results] == ["passed", "passed"]
    assert "nvcr.io" in results[1].summary
    assert "c4nary" not in repr(results)


def test_images_that_were_named_need_an_engine() -> None:
    result = doctor.check_images(None, {"tao-pytorch": "x:1"}, Path(), print)
    assert result.state == "failed"
    assert "--engine" in result.fix


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
