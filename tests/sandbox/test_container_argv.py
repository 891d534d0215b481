"""What the engines are told, without any engine."""

from __future__ import annotations

import csv
import io

import msgspec
import pytest

from porter.records.sandbox import Container, Engine, Environment, Limits, Mount, Profile, RunSpec
from porter.sandbox import engines
from porter.sandbox.container_argv import covers, exec_argv, merged, once_argv, start_argv, variables

DOCKER = Engine(name="docker", executable="/usr/bin/docker", version="28.0")
PODMAN = Engine(name="podman", executable="/usr/bin/podman", version="5.0", hard_limits={"nofile": 20000})


def container(profile: Profile = "inspect", **changes: object) -> Container:
    made = Container(
        name="tao-hf-inspect-port-0123",
        image="localhost/porter-base:1",
        python="/env/bin/python",
        profile=profile,
        mounts=(Mount(path="/model"), Mount(path="/out", writable=True)),
        limits=Limits(memory_bytes=2**30, processes=64, file_bytes=2**20),
        uid=65534,
        labels={"porter.workspace": "0123"},
    )
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize("engine", [DOCKER, PODMAN], ids=lambda engine: engine.name)
@pytest.mark.parametrize("profile", ["inspect", "gate"])
def test_every_container_is_shut_in(engine: Engine, profile: Profile) -> None:
    argv = start_argv(engine, container(profile), 60)
    assert argv[:2] == (engine.executable, "run")
    for word in (
        "--rm",
        "--pull=never",
        "--network=none",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--user=65534:65534",
        f"--memory={2**30}",
        f"--memory-swap={2**30}",
        "--pids-limit=64",
        "--ulimit=core=0:0",
        f"--ulimit=fsize={2**20}:{2**20}",
        "--label=porter.workspace=0123",
    ):
        assert word in argv
    assert not any(word.startswith(("--privileged", "--cap-add", "--volume", "-v")) for word in argv)


def test_an_inspection_writes_nowhere_and_runs_nothing_that_it_wrote() -> None:
    for engine in (DOCKER, PODMAN):
        argv = start_argv(engine, container("inspect"), 60)
        assert "--read-only" in argv
        assert f"--tmpfs=/tmp:rw,size={2**28},mode=1777,noexec,nosuid,nodev" in argv
        assert ("--read-only-tmpfs=false" in argv) is (engine is PODMAN)


def test_a_gate_has_a_layer_of_its_own_and_taos_shared_memory() -> None:
    argv = start_argv(DOCKER, container("gate", cwd="/workspace/tao-pytorch"), 60)
    assert "--read-only" not in argv
    assert "--shm-size=16g" in argv
    assert "--workdir=/workspace/tao-pytorch" in argv


def test_gpus_are_asked_for_as_each_engine_wants_and_only_where_asked() -> None:
    assert "--gpus=all" in start_argv(DOCKER, container(gpu=True), 60)
    assert "--device=nvidia.com/gpu=all" in start_argv(PODMAN, container(gpu=True), 60)
    for engine in (DOCKER, PODMAN):
        assert not any("gpu" in word for word in start_argv(engine, container(), 60))


def test_what_only_some_engines_need() -> None:
    rootless = msgspec.structs.replace(PODMAN, rootless=True, selinux=True)
    argv = start_argv(rootless, container(), 60)
    assert {"--userns=keep-id", "--security-opt=label=disable", "--ulimit=nofile=20000:20000"} <= {*argv}
    assert not {"--userns=keep-id", "--security-opt=label=disable"} & {*start_argv(DOCKER, container(), 60)}
    cpus = container(limits=Limits(cpus=2))
    assert "--cpus=2" in start_argv(DOCKER, cpus, 60)
    assert not any(word.startswith("--cpus") for word in start_argv(DOCKER, container(), 60))


@pytest.mark.parametrize("name", ["/a b", "/a,b", '/a"b', "/a:b", "/a'b,\"c"])
def test_a_mount_survives_any_name(name: str) -> None:
    argv = start_argv(
        DOCKER, container(mounts=(Mount(path=name), Mount(path=name, at="/w", writable=True))), 1
    )
    told = [word.removeprefix("--mount=") for word in argv if word.startswith("--mount=")]
    fields = [next(csv.reader(io.StringIO(text))) for text in told]
    assert fields == [
        ["type=bind", f"source={name}", f"target={name}", "readonly"],
        ["type=bind", f"source={name}", "target=/w"],
    ]


def test_a_run_is_an_exec_with_its_variables_and_words() -> None:
    spec = RunSpec(name="x", argv=("/env/bin/python", "-c", "print('$HOME')"), cwd="/out")
    argv = exec_argv(DOCKER, "name", spec, {"A": "b c"})
    assert argv[:5] == ("/usr/bin/docker", "exec", "--workdir=/out", "--env=A=b c", "name")
    assert argv[-3:] == spec.argv


def test_the_command_that_repeats_a_run_needs_no_container_that_lives() -> None:
    spec = RunSpec(name="x", argv=("/env/bin/python", "-c", "1"), cwd="/out")
    argv = once_argv(PODMAN, container(), spec, {"A": "b"})
    assert argv[:3] == ("/usr/bin/podman", "run", "--rm")
    assert "--network=none" in argv
    assert "--entrypoint=/env/bin/python" in argv
    assert argv[-3:] == ("localhost/porter-base:1", "-c", "1")
    assert not any(word.startswith("--name") for word in argv)


def test_what_a_container_covers() -> None:
    there = container(
        mounts=(
            Mount(path="/tree"),
            Mount(path="/tree", at="/workspace/tree"),
            Mount(path="/w", writable=True),
        )
    )
    assert covers(there, [Mount(path="/tree"), Mount(path="/tree/sub"), Mount(path="/w/x", writable=True)])
    assert covers(there, [Mount(path="/w/read")])
    assert covers(there, [Mount(path="/tree/a", at="/workspace/tree/a")])
    assert not covers(there, [Mount(path="/tree/sub", writable=True)])
    assert not covers(there, [Mount(path="/treehouse")])
    assert not covers(there, [Mount(path="/w", at="/elsewhere")])


def test_every_place_is_shown_once_and_outer_ones_first() -> None:
    found = merged(
        [Mount(path="/a/b/c"), Mount(path="/a"), Mount(path="/a/b/c", writable=True), Mount(path="/a")]
    )
    assert found == (Mount(path="/a"), Mount(path="/a/b/c", writable=True))


def test_what_an_outer_mount_shows_as_well_is_no_mount_of_its_own() -> None:
    outer, elsewhere = Mount(path="/a", writable=True), Mount(path="/z", at="/a/d")
    kept = [Mount(path="/a/b"), Mount(path="/a/b/c", writable=True)]
    gone = [Mount(path="/a/x", writable=True), Mount(path="/a/b/e")]
    assert merged([*gone, *kept, outer, elsewhere]) == (outer, *kept, elsewhere)


def test_an_engine_without_control_groups_gets_the_limits_that_it_can_keep() -> None:
    bare = msgspec.structs.replace(PODMAN, rootless=True, bounds=())
    limited = msgspec.structs.replace(container().limits, cpus=2)
    argv = start_argv(bare, container(limits=limited), 60)
    assert f"--ulimit=data={2**30}:{2**30}" in argv
    assert not [word for word in argv if word.startswith(("--memory", "--pids-limit", "--cpus"))]
    whole = start_argv(PODMAN, container(limits=limited), 60)
    assert {f"--memory={2**30}", "--pids-limit=64", "--cpus=2"} <= set(whole)
    assert not [word for word in whole if "data=" in word]


def test_an_image_of_nvidia_keeps_its_own_path() -> None:
    spec = RunSpec(name="x", argv=("x",), cwd="/", variables={"PYTHONPATH": "/tree", "A": "1"})
    managed = Environment(name="m", prefix="/env", python="p", digest="", python_path=("/stand-ins",))
    given = variables(spec, managed, {"A": "0", "TZ": "UTC"})
    assert given == {
        "A": "1",
        "PATH": "/env/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": "/tree:/stand-ins",
        "TZ": "UTC",
    }
    vendor = Environment(
        name="v", prefix="", python="p", digest="", image="tao-pytorch-base:latest", baked=True
    )
    assert "PATH" not in variables(spec, vendor, {})


def test_a_client_gets_no_token() -> None:
    caller = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "DOCKER_HOST": "unix:///x",
        "CONTAINERS_CONF": "/conf",
        "CONTAINER_SSHKEY": "/home/me/.ssh/key",
        "REGISTRY_AUTH_FILE": "/auth.json",
        "HF_TOKEN": "hf_x",
        "NGC_KEY": "x",
        "DOCKER_AUTH_TOKEN": "x",
        "DOCKER_PASSWORD": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PYTHONPATH": "/evil",
    }
    assert sorted(engines.client_variables(caller)) == [
        "CONTAINERS_CONF",
        "CONTAINER_SSHKEY",
        "DOCKER_HOST",
        "HOME",
        "PATH",
        "REGISTRY_AUTH_FILE",
    ]
