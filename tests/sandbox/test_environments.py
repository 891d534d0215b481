"""Managed environments, built for real from small requirement sets and a local wheel."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from porter.errors import SandboxError
from porter.sandbox import environments, interpreters
from porter.sandbox.environments import ensure, find, locate
from tests.sandbox.conftest import MINOR
from tests.sandbox.test_limits import is_still, wait_for

ROOT = Path(__file__).resolve().parents[2]


def python(environment_python: str, source: str, **variables: str) -> str:
    done = subprocess.run(
        [environment_python, "-c", source], capture_output=True, text=True, check=True, env=variables
    )
    return done.stdout.strip()


def test_an_environment_is_built_once_and_holds_what_is_pinned(
    sets: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("PIP_TARGET", "PIP_PREFIX", "PYTHONPATH"):
        monkeypatch.setenv(name, str(elsewhere))
    monkeypatch.setenv("PIP_USER", "1")
    metadata = "Metadata-Version: 2.1\nName: big\nVersion: 5.0\nRequires-Dist: tiny\n"
    with zipfile.ZipFile(wheels / "big-5.0-py3-none-any.whl", "w") as file:
        file.writestr("big.py", "import tiny\n")
        file.writestr("big-5.0.dist-info/METADATA", metadata)
        file.writestr("big-5.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("big-5.0.dist-info/RECORD", "")
    (sets / "small" / "requirements-torch.txt").write_text("big==5.0\n")
    lines: list[str] = []
    assert find("small", sets=sets) is None

    built = ensure("small", sets=sets, progress=lines.append)
    assert lines[0] == "making the virtual environment"
    assert "installing torch (1/2)" in lines
    assert "installing packages (2/2)" in lines
    assert lines[-1].startswith("built small-")
    assert python(built.python, "import big; print(big.tiny.VERSION)") == "1.0"
    assert built.versions == {"big": "5.0", "tiny": "1.0"}
    assert not elsewhere.exists()
    # The second step's pin holds in the first one, so nothing is installed twice.
    assert "tiny-2.0" not in Path(f"{built.prefix}.log").read_text()
    assert Path(built.prefix).parent == Path(os.environ["PORTER_CACHE"]) / "envs"
    # An import in the sandbox cannot write bytecode, so the build must have.
    assert list(Path(built.prefix).glob("lib/python*/site-packages/__pycache__/tiny.*.pyc"))

    lines.clear()
    assert ensure("small", sets=sets, progress=lines.append) == built
    assert find("small", sets=sets) == built
    assert lines == []

    path = ":".join(built.python_path)
    assert python(built.python, "import absent; print(absent.REAL)", PYTHONPATH=path) == "False"
    (sets / "small" / "stand-ins" / "absent.py").write_text("REAL = None\n")
    changed = ensure("small", sets=sets, progress=lines.append)
    assert changed.prefix == built.prefix
    assert changed.digest != built.digest
    assert lines == []

    link = Path(built.python)
    link.unlink()
    link.symlink_to("/no/such/python")
    assert find("small", sets=sets) is None


def test_comments_and_stand_ins_build_nothing_again_but_a_pin_does(sets: Path) -> None:
    before = locate("small", sets=sets)
    requirements = sets / "small" / "requirements.txt"
    requirements.write_text("\n# another comment\ntiny == 1.0  # for a reason\n")
    assert locate("small", sets=sets).key == before.key
    requirements.write_text('tiny==1.0\nother==5.0 ; python_version < "3.0"\n')
    assert locate("small", sets=sets).key == before.key
    requirements.write_text("tiny==2.0\n")
    assert locate("small", sets=sets).key != before.key


DRIVER = """
import sys
from pathlib import Path
from porter.sandbox.environments import ensure
ensure("small", sets=Path(sys.argv[1]), progress=lambda line: print(line, flush=True))
"""


def start(sets: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(sets)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_build_that_was_killed_is_made_again(sets: Path) -> None:
    with start(sets) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("installing packages"):
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert find("small", sets=sets) is None
    prefix = Path(locate("small", sets=sets).prefix)
    assert prefix.is_dir()
    (prefix / "left over").write_text("")
    lines: list[str] = []
    built = ensure("small", sets=sets, progress=lines.append)
    assert any("unfinished build" in line for line in lines)
    assert not (prefix / "left over").exists()
    assert python(built.python, "import tiny; print(tiny.VERSION)") == "1.0"


STEP = """
import sys
from pathlib import Path
from porter.sandbox.installer import Installer
beat = "import pathlib, time\\nwhile True: pathlib.Path('beat').write_text(str(time.time()))"
Installer(Path("log"), print).run("installing", [sys.executable, "-c", beat])
"""


def test_a_step_does_not_outlive_a_porter_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STEP], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        wait_for((tmp_path / "beat").exists)
        process.kill()
    time.sleep(0.3)
    assert is_still(tmp_path / "beat")


def test_of_two_at_the_same_time_one_builds(sets: Path) -> None:
    with start(sets) as first, start(sets) as second:
        said = [first.communicate()[0], second.communicate()[0]]
    assert first.returncode == second.returncode == 0
    assert sorted("built small-" in text for text in said) == [False, True]
    assert any("waiting for another porter" in text for text in said)


def test_a_pin_that_cannot_be_had_is_told_with_pips_own_words_and_no_secret(
    sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sets / "small" / "requirements.txt").write_text("tiny==3.0\n")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:s3cret@127.0.0.1:9/simple?token=also-s3cret")
    monkeypatch.setenv("PIP_RETRIES", "0")
    lines: list[str] = []
    with pytest.raises(SandboxError) as caught:
        ensure("small", sets=sets, progress=lines.append)
    error = caught.value
    assert "No matching distribution found for tiny==3.0" in error.why
    log = Path(f"{locate('small', sets=sets).prefix}.log")
    assert str(log) in error.next_step
    told = str(error) + "\n".join(lines) + log.read_text()
    assert "127.0.0.1" in told
    assert "s3cret" not in told
    assert find("small", sets=sets) is None


def test_a_disk_that_is_too_small_is_told_before_anything_is_installed(sets: Path) -> None:
    settings = sets / "small" / "set.toml"
    settings.write_text(settings.read_text().replace("gigabytes = 0.05", "gigabytes = 1e9"))
    with pytest.raises(SandboxError, match="not enough disk space") as caught:
        ensure("small", sets=sets)
    assert "PORTER_CACHE" in caught.value.next_step
    assert not Path(locate("small", sets=sets).prefix).exists()


def test_a_python_that_does_not_fit_is_replaced_by_one_on_the_path(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    mine = interpreters.this()
    (tools / f"python{MINOR}").symlink_to(mine.executable)
    other = interpreters.Interpreter(
        executable="/opt/python3.99",
        version="3.99.1",
        minor="3.99",
        machine=platform.machine(),
        base_prefix="/opt",
        complete=True,
    )
    monkeypatch.setattr(interpreters, "this", lambda: other)
    monkeypatch.setenv("PATH", str(tools))
    assert locate("small", sets=sets).interpreter == mine

    (tools / f"python{MINOR}").unlink()
    with pytest.raises(SandboxError) as caught:
        locate("small", sets=sets)
    assert MINOR in caught.value.why
    assert "/opt/python3.99 is 3.99.1" in caught.value.why
    assert f"python{MINOR}" in caught.value.next_step


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("tiny>=1.0", "not pinned to one version"),
        ("tiny==1.0\nTiny==2.0", "pinned twice"),
        ("not a requirement!", "not a requirement!"),
    ],
)
def test_a_set_that_is_not_exact_is_refused(sets: Path, line: str, text: str) -> None:
    (sets / "small" / "requirements.txt").write_text(line + "\n")
    with pytest.raises(SandboxError, match="is broken") as caught:
        locate("small", sets=sets)
    assert text in caught.value.why


def test_an_unknown_set_names_those_there_are(sets: Path) -> None:
    with pytest.raises(SandboxError) as caught:
        ensure("tao-pytorch-1.0", sets=sets)
    assert caught.value.why == "porter has: small"


def test_credentials_and_queries_of_urls_are_never_shown() -> None:
    from porter.sandbox.installer import redact

    text = "Looking in indexes: https://user:pa@ss@host/simple, http://token@other/x?key=1 and http://plain/y"
    assert redact(text) == (
        "Looking in indexes: https://***@host/simple, http://***@other/x?*** and http://plain/y"
    )


def test_a_build_reports_while_a_silent_step_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from porter.sandbox import installer

    monkeypatch.setattr(installer, "_HEARTBEAT", 0.2)
    lines: list[str] = []
    quiet = textwrap.dedent(
        """
        import time
        print("Downloading torch-2.whl (500 MB)", flush=True)
        time.sleep(1)
        """
    )
    installer.Installer(tmp_path / "log", lines.append).run("installing", [sys.executable, "-c", quiet])
    assert lines[:2] == ["installing", "installing: Downloading torch-2.whl (500 MB)"]
    assert lines[2].endswith("so far, Downloading torch-2.whl (500 MB)")


SHIPPED = {
    "tao-pytorch-7.0.1": {"torch": "2.11.0", "nvidia-tao-core": "7.0.1", "transformers": "4.57.6"},
    "tao-deploy-7.0.1": {"onnx": "1.21.0", "hydra-core": "1.3.2", "tensorrt-rtx-cu13-libs": "1.7.1.116"},
}


def test_every_python_of_every_shipped_set_has_its_pins() -> None:
    from porter.resources import tree
    from porter.sandbox.requirements import pins, read_set

    assert {path.parent.name for path in tree("containers").glob("*/set.toml")} == set(SHIPPED)
    for name, some in SHIPPED.items():
        wanted = read_set(name)
        for minor in wanted.pythons:
            assert some.items() <= pins(wanted, minor).items()
        assert environments.room_needed(wanted) < 12.5
        for folder in wanted.python_path:
            assert Path(folder).is_dir()


def test_what_rehearses_deploying_has_no_torch() -> None:
    from porter.sandbox.requirements import pins, read_set

    wanted = read_set("tao-deploy-7.0.1")
    for minor in wanted.pythons:
        assert not {"torch", "transformers", "nvidia-tao-deploy"} & set(pins(wanted, minor))
