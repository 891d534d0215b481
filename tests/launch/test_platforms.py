"""What is found of each platform, on daemons, clusters and programs that are there or not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from porter.launch import daemon, platforms
from porter.launch.platforms import states
from porter.records.platforms import PlatformCheck, PlatformState
from porter.records.sandbox import Engine
from tests.launch import fake_docker
from tests.launch.fake_docker import Daemon
from tests.launch.test_cli import porter

SECRET = "hunter2-hunter2"
_VARIABLES = (
    *("DOCKER_HOST", "KUBECONFIG", "TAO_K8S_CONTEXT", "KUBERNETES_SERVICE_HOST", "SLURM_USER"),
    *("SLURM_HOSTNAME", "BREV_API_TOKEN", "NGC_KEY", "NGC_API_KEY", "ACCESS_KEY", "SECRET_KEY"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "XDG_RUNTIME_DIR", "S3_BUCKET_NAME"),
    *("SLURM_PARTITION", "SLURM_BASE_RESULTS_DIR"),
)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(daemon, "DEFAULT", tmp_path / "gone.sock")
    monkeypatch.setattr(daemon, "_podman_sockets", lambda: (tmp_path / "podman.sock",))


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with fake_docker.serve(tmp_path / "d.sock") as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.host)
        yield daemon


def of(platform: str) -> PlatformState:
    (state,) = states(platform)
    return state


def check(state: PlatformState, name: str) -> PlatformCheck:
    return next(one for one in state.checks if one.name == name)


def programs(folder: Path, *names: str) -> str:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_docker_that_answers_is_usable(docker: Daemon) -> None:
    state = of("docker")
    assert state.usable
    assert check(state, "engine").found == "Docker answers at DOCKER_HOST"
    gpus = check(state, "gpus")
    assert (gpus.ok, gpus.required) == (False, False)
    assert "nvidia-ctk runtime configure" in gpus.next_step


@pytest.mark.parametrize("how", ["runtime", "device"])
def test_gpus_of_docker_are_seen(docker: Daemon, how: str) -> None:
    if how == "runtime":
        docker.runtimes["nvidia"] = {}
    else:
        docker.devices.append({"Source": "cdi", "ID": "nvidia.com/gpu=all"})
    assert check(of("docker"), "gpus") == PlatformCheck(
        name="gpus", ok=True, required=False, found="it has NVIDIA's runtime, or devices"
    )


def test_the_default_socket_is_taken_without_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_docker.serve(tmp_path / "default.sock") as found:
        monkeypatch.setattr(daemon, "DEFAULT", found.path)
        assert check(of("docker"), "engine").found == f"Docker answers at {found.path}"


def test_podman_answers_in_dockers_place(
    podman: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "real.sock"
    with podman_service(podman, path):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        state = of("docker")
        assert state.usable
        assert check(state, "engine").found == "Podman answers in Docker's place at DOCKER_HOST"


class podman_service:  # noqa: N801 - it is called like a function
    """Podman's own server, on a socket, while the block runs."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._argv = [engine.executable, "system", "service", "--time=0", f"unix://{path}"]
        self._path = path

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while not self._path.exists() and time.monotonic() < until:
            time.sleep(0.05)

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait()


def test_a_socket_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin"))
    engine = check(of("docker"), "engine")
    assert engine.found == f"Docker at {tmp_path / 'gone.sock'} does not answer (there is no such socket)"
    assert "systemctl start docker" in engine.next_step
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "podman"))
    assert (
        f"podman system service --time=0 unix://{tmp_path / 'podman.sock'}"
        in check(of("docker"), "engine").next_step
    )
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(tmp_path / "podman.sock"))
        wanted = f"export DOCKER_HOST=unix://{tmp_path / 'podman.sock'}"
        assert check(of("docker"), "engine").next_step == wanted


def test_a_socket_that_nobody_listens_on_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left.sock"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'left.sock'}")
    assert check(of("docker"), "engine").found == (
        "The engine that DOCKER_HOST names does not answer (nobody listens there)"
    )


def test_a_socket_of_others_is_told(docker: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object, _address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    engine = check(of("docker"), "engine")
    assert "you may not use it" in engine.found
    assert "usermod -aG docker" in engine.next_step


@pytest.mark.parametrize("host", [f"tcp://me:{SECRET}@127.0.0.1:9", f"gopher://{SECRET}", "unix://"])
def test_a_wrong_address_is_told_without_it(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    state = of("docker")
    assert not state.usable
    assert check(state, "engine").next_step
    assert SECRET not in repr(state)


def test_an_engine_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "SECONDS", 0.1)
    monkeypatch.setattr(daemon.connect, "__defaults__", (0.1,))
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s.sock"))
        silent.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 's.sock'}")
        engine = check(of("docker"), "engine")
    assert not engine.ok
    assert engine.next_step


def test_a_call_that_hangs_is_left() -> None:
    ended = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within"):
        platforms.within(0.05, ended.wait)
    ended.set()


@pytest.mark.parametrize(
    ("platform", "missing"), [("docker", "docker"), ("kubernetes", "kubernetes"), ("virtualenv", "tao_sdk")]
)
def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch, platform: str, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    state = of(platform)
    assert not state.usable
    assert check(state, "extra").found == f"{missing} not installed"
    assert "hf-tao-porter[train]" in check(state, "extra").next_step


class Cluster(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        version = {"major": "1", "minor": "31", "gitVersion": "v1.31.2"}
        more = dict.fromkeys(
            ("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"), ""
        )
        body = json.dumps(version | more).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[tuple[str, type[Cluster]]]:
    handler = type("One", (Cluster,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def kubeconfig(path: Path, server: str, *, current: str = "near") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": SECRET}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("near", "far")],
        "current-context": current,
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_cluster_that_answers_is_usable(
    tmp_path: Path, cluster: tuple[str, type[Cluster]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig(Path(os.environ["HOME"]) / ".kube" / "config", cluster[0])
    state = of("kubernetes")
    # Results would go away with the container.
    assert [one.name for one in state.checks if not one.ok] == ["S3_BUCKET_NAME"]
    monkeypatch.setenv("S3_BUCKET_NAME", "results")
    state = of("kubernetes")
    assert state.usable
    found = [one.found for one in state.checks if one.name in ("kubeconfig", "context", "cluster")]
    assert found == ["~/.kube/config", "near", "Kubernetes v1.31.2 answers"]
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "k", cluster[0])))
    monkeypatch.setenv("TAO_K8S_CONTEXT", "far")
    state = of("kubernetes")
    assert [check(state, name).found for name in ("kubeconfig", "context")] == ["KUBECONFIG", "far"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_cluster_that_refuses_is_told(
    tmp_path: Path, cluster: tuple[str, type[Cluster]], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    cluster[1].status = status
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "k", cluster[0])))
    state = of("kubernetes")
    assert not state.usable
    assert check(state, "cluster").found == f"The cluster refuses to answer (status {status})"
    assert SECRET not in repr(state)


def test_a_cluster_that_does_not_answer_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "k", "http://127.0.0.1:9")))
    state = of("kubernetes")
    assert not state.usable
    assert check(state, "cluster").next_step == "see what it says: kubectl cluster-info"
    # What is not configured goes to the terminal: its client would tell of every attempt.
    assert caplog.text == ""


def test_what_kubectls_file_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(of("kubernetes"), "kubeconfig").found == "no ~/.kube/config"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / SECRET))
    state = of("kubernetes")
    assert check(state, "kubeconfig").found == "KUBECONFIG names no file that is there"
    assert SECRET not in repr(state)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "k", "http://127.0.0.1:9", current="")))
    context = check(of("kubernetes"), "context")
    assert (context.found, context.next_step[-9:]) == ("none is chosen", "near, far")
    monkeypatch.setenv("TAO_K8S_CONTEXT", "far")
    assert check(of("kubernetes"), "context").ok
    monkeypatch.setenv("TAO_K8S_CONTEXT", "nowhere")
    context = check(of("kubernetes"), "context")
    assert context.found == "TAO_K8S_CONTEXT names none that is there"
    assert context.next_step.endswith("near, far")
    (tmp_path / "k").write_text("{")
    assert not check(of("kubernetes"), "kubeconfig").ok


def test_slurm_needs_names_and_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin"))
    state = of("slurm")
    assert [one.name for one in state.checks if not one.ok] == [
        *("ssh", "SLURM_USER", "SLURM_HOSTNAME", "SLURM_PARTITION", "SLURM_BASE_RESULTS_DIR")
    ]
    assert all(one.next_step for one in state.checks if not one.ok)
    for name in ("SLURM_USER", "SLURM_HOSTNAME", "SLURM_PARTITION", "SLURM_BASE_RESULTS_DIR"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "ssh"))
    state = of("slurm")
    assert state.usable
    assert SECRET not in repr(state)


def test_brev_needs_its_program_and_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin"))
    assert [one.name for one in of("brev").checks if not one.ok] == [
        *("brev", "BREV_API_TOKEN", "S3_BUCKET_NAME")
    ]
    monkeypatch.setenv("BREV_API_TOKEN", SECRET)
    monkeypatch.setenv("S3_BUCKET_NAME", "results")
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "brev"))
    assert of("brev").usable


def test_this_machine_is_always_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    state = of("virtualenv")
    assert state.usable
    assert check(state, "environment").found == "none built yet"
    monkeypatch.setattr("porter.sandbox.environments.find", lambda name: name)
    assert check(of("virtualenv"), "environment").found.startswith("tao-pytorch-7.0.1 in ")


def test_people_and_machines_are_shown_the_same_and_no_value(
    tmp_path: Path, docker: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NGC_KEY", "AWS_ACCESS_KEY_ID", "BREV_API_TOKEN", "SLURM_USER", "SLURM_HOSTNAME"):
        monkeypatch.setenv(name, SECRET)
    text, shown = porter(tmp_path, "platforms"), porter(tmp_path, "platforms", "--format", "json")
    assert (text.code, shown.code) == (0, 0), text.err + shown.err
    assert SECRET not in text.out + text.err + shown.out + shown.err
    names = ["docker", "kubernetes", "slurm", "brev", "virtualenv"]
    assert [state["platform"] for state in shown.json] == names
    heads = [line for line in text.out.splitlines() if line and not line.startswith(" ")]
    assert heads == [
        f"{state['platform']}: {'usable' if state['usable'] else 'not usable'}" for state in shown.json
    ]
    assert "NGC_KEY or NGC_API_KEY: set, for NVIDIA's images and checkpoints" in text.out
    assert "ACCESS_KEY or AWS_ACCESS_KEY_ID: set, for data of S3" in text.out
    assert "SECRET_KEY or AWS_SECRET_ACCESS_KEY: not set" in text.out
    assert "  note     gpus" in text.out
    one = porter(tmp_path, "platforms", "--platform", "docker", "--format", "json").json
    assert [state["platform"] for state in one] == ["docker"]
    assert one[0]["usable"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--platform", "lepton"], "expected one of docker, kubernetes, slurm, brev, virtualenv"),
        (["--format", "xml"], "formats: text, json"),
    ],
)
def test_usage_errors_say_what_to_do(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = porter(tmp_path, "platforms", *arguments)
    assert (done.code, "Traceback" in done.err, done.out) == (2, False, "")
    assert said in done.err
