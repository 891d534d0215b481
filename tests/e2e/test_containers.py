"""The whole port in Podman's containers, with secrets about; and what goes wrong between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from porter.gates.catalogue import GATES
from porter.records.sandbox import Engine, Environment
from porter.sandbox import base_image, engines
from tests.e2e.conftest import Done, Port, run_porter

TOKEN, KEY = "hf_c4naryOfTheHubToken", "c4naryOfTheRegistryKey"


class Watch:
    """Samples every command line of the machine while it is entered."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue
            time.sleep(0.1)


@pytest.fixture(scope="module")
def ported(
    e2e_cache: Path,
    mini_kit: Path,
    mini_model: Path,
    deploy_clone: Path,
    deploy_environment: Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Done, Watch]:
    engines.find.cache_clear()
    if not isinstance(found := engines.find("podman"), Engine):
        pytest.skip(found)
    workspace = tmp_path_factory.mktemp("in-containers") / "port"
    watch = Watch()
    with watch:
        done = run_porter(
            e2e_cache,
            *("port", mini_model, "--tao-pytorch", mini_kit, "--tao-deploy", deploy_clone),
            # Another test of this worker may have ported the model into the same clone.
            *("--name", "mini_vit", "--branch", "feature/in-containers", "--workspace", workspace),
            *("--engine", "podman", "--yes", "--json"),
            env={"HF_TOKEN": TOKEN, "NGC_KEY": KEY},
        )
    return workspace, done, watch


def containers(engine: Engine) -> list[str]:
    listed = engines.output(engine, ["ps", "-a", "--format", "{{.Names}}"])
    return [name for name in listed.splitlines() if name.startswith(("tao-hf-inspect", "tao-port"))]


def test_every_gate_ends_as_on_the_host(ported: tuple[Path, Done, Watch]) -> None:
    _, done, _ = ported
    assert done.code == 0, done.err
    gates = done.gates()
    assert "podman" in gates["prerequisites-isolation"]["summary"]
    wrong = {
        gate.id: gates[gate.id]["summary"]
        for gate in GATES
        if gate.id in gates
        and gates[gate.id]["state"] != ("rehearsed" if gate.stand_in else "passed")
        and gate.cpu
    }
    assert wrong == {}


def test_no_secret_is_anywhere(ported: tuple[Path, Done, Watch], podman: Engine, e2e_cache: Path) -> None:
    workspace, done, watch = ported
    assert any(b"podman" in line for line in watch.seen)
    for secret in (TOKEN, KEY):
        assert secret not in done.out + done.err
        assert not [line for line in watch.seen if secret.encode() in line]
        for root in (workspace, e2e_cache):
            for folder, _, names in os.walk(root):
                for path in (Path(folder, name) for name in names):
                    if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**28:
                        assert secret.encode() not in path.read_bytes(), path
        images = engines.output(podman, ["images", "--format", "{{.ID}}", base_image.REPOSITORY]).split()
        assert images
        for image in images:
            for question in (["history", "--no-trunc", image], ["image", "inspect", image]):
                assert secret not in engines.output(podman, question)


def test_no_container_is_left_and_everything_is_the_callers(
    ported: tuple[Path, Done, Watch], podman: Engine
) -> None:
    workspace, _, _ = ported
    assert containers(podman) == []
    strangers = [path for path in workspace.rglob("*") if path.lstat().st_uid != os.getuid()]
    assert strangers == []


def test_a_run_can_be_repeated_by_hand_in_a_container_of_its_own(ported: tuple[Path, Done, Watch]) -> None:
    workspace, _, _ = ported
    folder = next(iter(sorted((workspace / ".porter" / "runs").glob("*-inspect-model"))))
    (folder / "out" / "answer.json").unlink()
    script = (folder / "command.sh").read_text()
    assert "podman run --rm" in script
    assert "--network=none" in script
    subprocess.run(["sh", folder / "command.sh"], check=True, capture_output=True)
    assert (folder / "out" / "answer.json").stat().st_size > 100


def test_a_finished_port_starts_no_container(ported: tuple[Path, Done, Watch], e2e_cache: Path) -> None:
    workspace, _, _ = ported
    runs = {path.name for path in (workspace / ".porter" / "runs").iterdir()}
    again = run_porter(e2e_cache, "resume", workspace, "--yes", "--json")
    assert again.code == 0
    assert {path.name for path in (workspace / ".porter" / "runs").iterdir()} == runs


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def started(
    e2e_cache: Path, mini_kit: Path, mini_model: Path, deploy_clone: Path, podman: Engine, tmp_path: Path
) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A port that has just begun to inspect its model in a container."""
    workspace = tmp_path / "port"
    words: list[str | Path] = ["port", mini_model, "--tao-pytorch", mini_kit, "--tao-deploy", deploy_clone]
    words += ["--name", "mini_vit", "--branch", f"feature/{tmp_path.name}", "--workspace", workspace]
    words += ["--engine", "podman", "--yes", "--until", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "porter", *map(str, words)],
        env={**os.environ, "PORTER_CACHE": str(e2e_cache)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            runs = workspace / ".porter" / "runs"
            # The log is begun when the run's own container lives, and no longer that of the run before.
            wait_for(lambda: list(runs.glob("*-inspect-model/log.txt")) or process.poll() is not None)
            assert process.poll() is None, process.stderr and process.stderr.read()
            yield workspace, process
        finally:
            process.kill()


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=90)
    return process.returncode, said


def test_whatever_ends_an_inspection_resume_finishes_it(
    started: tuple[Path, subprocess.Popen[str]], podman: Engine, porter: Port
) -> None:
    workspace, process = started
    inspecting = [name for name in containers(podman) if name.startswith("tao-hf-inspect")]
    assert inspecting
    engines.call(podman, ["rm", "-f", "-t", "0", *inspecting])
    code, said = ends(process)
    assert code == 6
    assert "the container ended while inspect-model ran in it" in said
    assert "porter resume" in said
    locked = porter("status", workspace)
    assert locked.code == 0
    done = porter("resume", workspace, "--yes", "--until", "1", "--json")
    assert done.code == 0, done.err
    assert done.gates()["onnx-sanity"]["state"] == "passed"
    assert containers(podman) == []


def test_an_interrupted_inspection_leaves_no_container(
    started: tuple[Path, subprocess.Popen[str]], podman: Engine, porter: Port
) -> None:
    workspace, process = started
    second = porter("resume", workspace, "--yes")
    assert second.code == 8
    assert str(process.pid) in second.err
    process.send_signal(signal.SIGINT)
    code, said = ends(process)
    assert code == 130
    assert "porter resume" in said
    assert containers(podman) == []
    assert not [path for path in workspace.rglob("*") if path.lstat().st_uid != os.getuid()]


def test_a_killed_porter_leaves_no_container_and_loses_nothing(
    started: tuple[Path, subprocess.Popen[str]], podman: Engine, porter: Port
) -> None:
    workspace, process = started
    os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: not containers(podman))
    done = porter("resume", workspace, "--yes", "--until", "1", "--json")
    assert done.code == 0, done.err
    assert done.gates()["source-state"]["state"] == "passed"


def test_an_engine_that_is_not_there_stops_the_port_before_its_first_phase_ends(
    porter: Port, mini_model: Path, mini_kit: Path, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "sh", "env"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    done = porter(
        *("port", mini_model, "--tao-pytorch", mini_kit, "--engine", "docker", "--yes"),
        *("--workspace", tmp_path / "port"),
        env={"PATH": str(tools)},
    )
    assert done.code == 6
    assert "The engine docker was asked for and cannot be used" in done.err
    assert "--engine auto|docker|podman|host" in done.err
    assert not (tmp_path / "port" / "tao-pytorch").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=False)


def test_a_full_disk_ends_in_an_error_and_room_lets_it_go_on(
    small_disk: Path,
    e2e_cache: Path,
    mini_kit: Path,
    mini_model: Path,
    deploy_clone: Path,
    podman: Engine,
    porter: Port,
) -> None:
    workspace = small_disk / "port"
    words: list[str | Path] = ["port", mini_model, "--tao-pytorch", mini_kit, "--tao-deploy", deploy_clone]
    words += ["--name", "mini_vit", "--branch", "feature/full-disk", "--workspace", workspace]
    words += ["--engine", "podman", "--yes", "--until", "1", "--json"]
    full = porter(*words)
    assert full.code in (4, 6), full.err
    assert "No space left on device" in full.err
    assert "next:" in full.err
    assert "Traceback" not in full.err
    assert containers(podman) == []
    subprocess.run(["mount", "-o", "remount,size=4g", small_disk], check=True)
    done = porter("resume", workspace, "--yes", "--until", "1", "--json")
    assert done.code == 0, done.err
    assert done.gates()["onnx-sanity"]["state"] == "passed"


def test_a_worktree_that_is_removed_while_porter_runs_is_named_and_made_again(
    started: tuple[Path, subprocess.Popen[str]], mini_kit: Path, porter: Port
) -> None:
    workspace, process = started
    shutil.rmtree(workspace / "tao-pytorch")
    code, said = ends(process)
    assert code in (0, 4, 6), said
    assert "bug in porter" not in said
    assert "Traceback" not in said
    done = porter("resume", workspace, "--yes", "--until", "2", "--json")
    assert done.code == 0, done.err
    assert "the worktree of tao-pytorch is gone; it is made again" in done.err
    assert (workspace / "tao-pytorch" / "nvidia_tao_pytorch").is_dir()
