"""The wheels hold what was generated, and say what was left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from porter.gates import wheels
from porter.gates.wheels import extensions_gate, tool_chain, wheel_gate
from porter.records.reference import Repo
from tests.gates.packaging.port import DEPLOYED, NAME, TRAINER, Packaged

pytestmark = [pytest.mark.torch_env, pytest.mark.deploy_env]

REPOS: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")
SCRIPT = "{name}=nvidia_tao_{repo}.cv.{name}.entrypoint.{name}:main"


SETUP = "tao-pytorch/setup.py"
EXTENSION = "ext_modules=[setuptools.Extension('nvidia_tao_pytorch.fast', ['fast.cpp'])],"
FAST = """
#include <Python.h>
static struct PyModuleDef fast = {PyModuleDef_HEAD_INIT, "fast", 0, -1, 0};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&fast); }
"""


@pytest.mark.parametrize("repo", REPOS)
def test_every_generated_module_is_in_the_wheel(kit_port: Packaged, repo: Repo) -> None:
    gate = wheel_gate(kit_port.session, repo)
    assert gate.state == "passed", gate.summary
    assert f"{NAME} = nvidia_tao_{repo[4:]}.cv.{NAME}.entrypoint.{NAME}:main" in gate.summary
    assert all(path.endswith(".yaml") for path in gate.evidence["specs left out"])
    assert "sh " in gate.command
    assert not (kit_port.session.workspace.clone_path(repo) / "build").exists()


def test_a_wheel_is_built_once_and_again_when_code_changes(kit_port: Packaged) -> None:
    kit_port.forget()
    first = wheel_gate(kit_port.session, "tao-deploy")
    runs = kit_port.runs()
    assert wheel_gate(kit_port.session, "tao-deploy") == first
    assert kit_port.runs() == runs
    with kit_port.changed(f"{DEPLOYED}/utils.py", "import", "import  "):
        assert wheel_gate(kit_port.session, "tao-deploy").state == "passed"
    assert kit_port.runs() == runs + 1


@pytest.mark.parametrize(
    ("repo", "package", "lost"),
    [
        ("tao-pytorch", f"{TRAINER}/scripts", "scripts/train.py"),
        ("tao-deploy", f"{DEPLOYED}/scripts", "scripts/gen_trt_engine.py"),
        ("tao-deploy", DEPLOYED, "inferencer.py"),
        ("tao-deploy", f"tao-deploy/nvidia_tao_deploy/config/{NAME}", "default_config.py"),
    ],
)
def test_a_package_without_its_init(kit_port: Packaged, repo: Repo, package: str, lost: str) -> None:
    with kit_port.changed(f"{package}/__init__.py", "", None):
        gate = wheel_gate(kit_port.session, repo)
    assert gate.state == "failed"
    assert [path for path in gate.evidence["missing"] if path.endswith(lost)]
    assert "__init__.py" in gate.fix


@pytest.mark.parametrize("repo", REPOS)
def test_a_console_script_that_is_not_declared(kit_port: Packaged, repo: Repo) -> None:
    line = SCRIPT.format(name=NAME, repo=repo[4:])
    with kit_port.changed(f"{repo}/setup.py", line, line.replace(f"{NAME}=", "other=")):
        gate = wheel_gate(kit_port.session, repo)
    assert gate.state == "failed"
    assert f"no console script {NAME}" in gate.summary


@pytest.mark.parametrize("crash", ["raise OSError('no room')", "raise SystemExit('no room')"])
def test_a_setup_file_that_fails(kit_port: Packaged, crash: str) -> None:
    with kit_port.changed("tao-deploy/setup.py", "import setuptools\n", f"import setuptools\n{crash}\n"):
        gate = wheel_gate(kit_port.session, "tao-deploy")
    assert gate.state == "failed"
    assert "no room" in gate.summary


def test_extensions_are_left_out_and_counted(lone_port: Packaged) -> None:
    with lone_port.changed(SETUP, "zip_safe=False,", f"{EXTENSION} zip_safe=False,"):
        built = wheel_gate(lone_port.session, "tao-pytorch")
        whole = extensions_gate(lone_port.session)
    assert built.state == "passed", built.summary  # fast.cpp is not even there
    assert "1 extensions left out" in built.summary
    assert whole.state == "blocked"
    assert "unblock" in whole.summary
    assert "pip wheel" in whole.summary


def test_a_setup_file_that_asks_for_cuda_gets_an_answer(lone_port: Packaged) -> None:
    asks = "import os\n\nimport setuptools\n\nassert os.environ['CUDA_HOME']\n"
    with lone_port.changed(SETUP, "import setuptools\n", asks):
        assert wheel_gate(lone_port.session, "tao-pytorch").state == "passed"


def test_a_wheel_without_extensions_is_whole(lone_port: Packaged) -> None:
    wheel_gate(lone_port.session, "tao-pytorch")
    assert extensions_gate(lone_port.session).state == "passed"


def test_extensions_are_not_judged_before_the_wheel(lone_port: Packaged) -> None:
    lone_port.forget()
    gate = extensions_gate(lone_port.session)
    assert gate.state == "blocked"
    assert "porter gate wheel-tao-pytorch" in gate.summary


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH and a CUDA home with nothing but what a test puts there; compilers that do nothing."""
    (tmp_path / "cuda" / "bin").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for tool in ("bin/c++", "cuda/bin/nvcc"):
        script(tmp_path / tool, "exit 0")
    script(tmp_path / "bin" / "nvidia-smi", "echo 9.0; echo 8.6; echo 9.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    monkeypatch.setattr(wheels, "_CUDA", tmp_path / "nowhere")
    return tmp_path


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_whole_tool_chain(machine: Path) -> None:
    found = tool_chain()
    assert found.lacking == ()
    assert found.home == str(machine / "cuda")
    assert found.architectures == "8.6;9.0"


@pytest.mark.parametrize(
    ("tool", "said"), [("cuda/bin/nvcc", "nvcc"), ("bin/c++", "C++"), ("bin/nvidia-smi", "no GPU")]
)
def test_a_tool_that_is_not_there(machine: Path, tool: str, said: str) -> None:
    (machine / tool).unlink()
    (lacking,) = tool_chain().lacking
    assert said in lacking


def test_a_driver_that_does_not_work(machine: Path) -> None:
    script(machine / "bin" / "nvidia-smi", "echo 9.0; exit 9")
    assert len(tool_chain().lacking) == 1


def test_nvcc_on_the_path(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_HOME")
    monkeypatch.setenv("PATH", f"{machine / 'bin'}:{machine / 'cuda' / 'bin'}")
    assert tool_chain().home == str(machine / "cuda")


@pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")
@pytest.mark.parametrize(("source", "state"), [(FAST, "passed"), ("not C++", "blocked")])
def test_where_there_is_a_tool_chain_the_whole_wheel_is_built(
    lone_port: Packaged, machine: Path, monkeypatch: pytest.MonkeyPatch, source: str, state: str
) -> None:
    monkeypatch.setenv("PATH", f"{machine / 'bin'}:{os.defpath}")
    fast = lone_port.file("tao-pytorch/fast.cpp")
    fast.write_text(source)
    try:
        with lone_port.changed(SETUP, "zip_safe=False,", f"{EXTENSION} zip_safe=False,"):
            assert wheel_gate(lone_port.session, "tao-pytorch").state == "passed"
            gate = extensions_gate(lone_port.session)
    finally:
        fast.unlink()
    assert gate.state == state, gate.summary
    if state == "passed":
        assert [path.partition(".")[0] for path in gate.evidence["extensions"]] == ["nvidia_tao_pytorch/fast"]
    else:
        assert "do not build here" in gate.summary
    assert "unblock" in gate.summary or state == "passed"


@pytest.mark.real_tao
@pytest.mark.parametrize("repo", REPOS)
def test_the_wheels_of_the_real_clones(real_port: Packaged, repo: Repo) -> None:
    gate = wheel_gate(real_port.session, repo)
    assert gate.state == "passed", gate.summary
    assert len(gate.evidence["extensions"]) == (12 if repo == "tao-pytorch" else 0)
