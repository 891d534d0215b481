"""Real TensorRT is used where an interpreter has it, and nothing else passes for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter.errors import SandboxError
from porter.records.sandbox import HostFacts, RunSpec
from porter.sandbox import tensorrt
from porter.sandbox.argv import host_argv

ANSWER = {"prefix": "/usr", "tensorrt": "10.9.0.34", "gpu": "NVIDIA H200", "roots": ["/usr", "/usr/lib/none"]}


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    tensorrt.find.cache_clear()
    yield
    tensorrt.find.cache_clear()


def interpreter(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_with_tensorrt_and_a_gpu_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = interpreter(tmp_path / "python", f"echo '{json.dumps(ANSWER)}'")
    monkeypatch.setenv(tensorrt.VARIABLE, python)
    found = tensorrt.find()
    assert found is not None
    assert found.name == "TensorRT 10.9.0.34 on NVIDIA H200"
    assert found.python == python
    assert found.read_only == ("/usr",)
    assert found.python_path == ()


def test_one_that_is_named_and_cannot_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tensorrt.VARIABLE, sys.executable)
    with pytest.raises(SandboxError) as caught:
        tensorrt.find()
    assert "No module named" in caught.value.why
    assert "unset PORTER_TENSORRT_PYTHON" in caught.value.next_step


def test_a_stand_in_does_not_pass_for_it(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    (modules / "pycuda").mkdir(parents=True)
    (modules / "tensorrt.py").write_text("__version__ = '10.0.0'\ndef read_rehearsal(path): return {}\n")
    (modules / "pycuda" / "__init__.py").write_text("")
    (modules / "pycuda" / "driver.py").write_text("")
    python = interpreter(tmp_path / "python", f'PYTHONPATH={modules} exec {sys.executable} "$@"')
    assert tensorrt.ask(python) == "its tensorrt is a stand-in"


def test_packages_in_a_home_are_not_counted_on(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "python", 'test "$PYTHONNOUSERSITE" && exit 3; echo "{}"')
    assert tensorrt.ask(python) == "it gave no reason"


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo nonsense", "something else"), ("exit 3", "no reason"), ("echo '{}'", "prefix")],
)
def test_what_else_an_interpreter_says_is_no_answer(tmp_path: Path, script: str, words: str) -> None:
    answer = tensorrt.ask(interpreter(tmp_path / "python", script))
    assert isinstance(answer, str)
    assert words in answer


def test_without_a_gpu_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt, "gpu_devices", lambda _folder: ())
    monkeypatch.setattr(tensorrt, "ask", lambda _python: pytest.fail("asked"))
    assert tensorrt.find() is None


def test_a_run_gets_the_devices_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "sda"):
        (tmp_path / name).touch()
    devices = tensorrt.gpu_devices(tmp_path)
    assert [Path(device).name for device in devices] == ["nvidia-uvm", "nvidia0", "nvidiactl"]
    monkeypatch.setenv(tensorrt.VARIABLE, interpreter(tmp_path / "python", f"echo '{json.dumps(ANSWER)}'"))
    monkeypatch.setattr(tensorrt, "gpu_devices", lambda _folder: devices)
    found = tensorrt.find()
    assert found is not None
    host = HostFacts(
        uid=1000,
        memory_bytes=2**34,
        tools={"env": "/usr/bin/env", "bwrap": "/usr/bin/bwrap"},
        bwrap=("--perms",),
    )
    argv = host_argv(RunSpec(name="engine", argv=("x",), cwd="/usr"), found, host)
    bound = [argv[index + 1] for index, word in enumerate(argv) if word == "--dev-bind-try"]
    assert tuple(bound) == devices
    assert argv.index("--dev-bind-try") < argv.index("--remount-ro")
