"""The image made of this machine's own files, for a Python of its own folder and for the system's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from porter.records.base import from_json
from porter.records.sandbox import Engine, Environment, Mount, RunSpec
from porter.sandbox import base_image, engines, interpreters
from porter.sandbox.interpreters import Interpreter
from tests.sandbox.conftest import container_sandbox

SYSTEM = Path("/usr/bin/python3")


def system_python() -> Interpreter:
    if not SYSTEM.exists():
        pytest.skip("this machine has no Python of the system")
    asked = subprocess.run([SYSTEM, "-c", interpreters._QUESTIONS], capture_output=True, check=True)
    found = from_json(asked.stdout, Interpreter)
    if not found.complete:
        pytest.skip("the system's Python cannot make virtual environments")
    return found


@pytest.fixture(params=["own", "system"])
def interpreter(request: pytest.FixtureRequest) -> Interpreter:
    return system_python() if request.param == "system" else interpreters.this()


def test_an_environment_of_this_machine_runs_on_it(
    interpreter: Interpreter, podman: Engine, tmp_path: Path, out: Path
) -> None:
    prefix = tmp_path / "environment"
    subprocess.run([interpreter.executable, "-I", "-m", "venv", "--without-pip", prefix], check=True)
    environment = Environment(
        name="made",
        prefix=str(prefix),
        python=str(prefix / "bin" / "python"),
        digest="",
        read_only=(interpreter.base_prefix,),
    )
    with container_sandbox(podman, environment, tmp_path) as box:
        box.environment = msgspec.structs.replace(
            box.environment, image=base_image.ensure(podman, interpreter)
        )
        spec = RunSpec(
            name="look",
            argv=(environment.python, "-c", "import ctypes, sqlite3, ssl, sys; print(sys.prefix)"),
            cwd=str(out),
            mounts=(Mount(path=str(out), writable=True),),
        )
        result = box.run(spec)
    assert Path(result.log).read_text() == f"{prefix}\n"


def test_with_python_it_makes_environments_and_holds_none_of_this_machine(
    interpreter: Interpreter, podman: Engine
) -> None:
    name = base_image.with_python(podman, interpreter)
    inside = [
        "python3 -I -m venv /tmp/made && /tmp/made/bin/python -m pip --version",
        "find / -xdev -path '*-packages/*' -not -path '/tmp/*' | head -3",
    ]
    asked = engines.output(
        podman, ["run", "--rm", "--pull=never", "--network=none", name, "sh", "-ec", "\n".join(inside)]
    )
    (line,) = asked.splitlines()
    assert line.startswith("pip ")
    assert line.endswith(f"(python {interpreter.minor})")
