"""The command of a run, with nothing running."""

from __future__ import annotations

import re

import msgspec
import pytest

from porter.errors import SandboxError
from porter.records.sandbox import Environment, HostFacts, Limits, Mount, RunSpec
from porter.sandbox.argv import host_argv, isolation, preparation, run_user

ENVIRONMENT = Environment(
    name="set",
    prefix="/root/.cache/porter/envs/set-1",
    python="/root/.cache/porter/envs/set-1/bin/python",
    digest="d",
    read_only=("/root/.pyenv/versions/3.11.7", "/usr"),
    python_path=("/share/stand-ins",),
)
TOOLS = {name: f"/usr/bin/{name}" for name in ("env", "bwrap", "prlimit", "setpriv", "unshare", "choom")}
ROOT = HostFacts(
    uid=0,
    cpus=4,
    memory_bytes=64 * 2**30,
    tools=TOOLS,
    bwrap=("--bind", "--perms", "--size", "--disable-userns"),
    folders=("/usr",),
    links={"/bin": "usr/bin", "/lib64": "usr/lib64"},
    etc={"/etc/passwd": "/share/passwd"},
)
USER = msgspec.structs.replace(ROOT, uid=1000)
SPEC = RunSpec(
    name="probe",
    argv=(ENVIRONMENT.python, "in/probe.py"),
    cwd="/ws/runs/001/out",
    mounts=(
        Mount(path="/ws/runs/001/out", writable=True),
        Mount(path="/ws/runs/001/in"),
        Mount(path="/models/vit"),
        Mount(path="/ws"),
    ),
    variables={"PYTHONPATH": "/ws/runs/001/in/lib", "TAO_VISIBLE_DEVICES": "0"},
    limits=Limits(seconds=100, memory_bytes=8 * 2**30, file_bytes=2**30, processes=64),
)


def without_bubblewrap(host: HostFacts, *unshare: str) -> HostFacts:
    return msgspec.structs.replace(host, bwrap=(), unshare=unshare, problem="it is not installed")


def pairs(argv: tuple[str, ...], option: str) -> list[tuple[str, str]]:
    return [(argv[i + 1], argv[i + 2]) for i, word in enumerate(argv) if word == option]


def between(argv: tuple[str, ...], first: str, last: str) -> tuple[str, ...]:
    start = argv.index(first)
    return argv[start : argv.index(last, start) + 1]


def test_the_environment_is_emptied_before_anything_else_starts() -> None:
    for host in (ROOT, USER, without_bubblewrap(ROOT)):
        argv = host_argv(SPEC, ENVIRONMENT, host)
        assert argv[:2] == ("/usr/bin/env", "-i")
        given = dict(
            word.split("=", 1) for word in between(argv, "-i", "/usr/bin/choom")[1:-1] if word[0] != "-"
        )
        assert set(given) == {
            "DO_NOT_TRACK",
            "HF_HUB_DISABLE_TELEMETRY",
            "HF_HUB_OFFLINE",
            "HOME",
            "LANG",
            "LOGNAME",
            "MKL_NUM_THREADS",
            "MPLBACKEND",
            "NO_ALBUMENTATIONS_UPDATE",
            "OMP_NUM_THREADS",
            "PATH",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONNOUSERSITE",
            "PYTHONPATH",
            "PYTHONUNBUFFERED",
            "TAO_VISIBLE_DEVICES",
            "TELEMETRY_OPT_OUT",
            "TOKENIZERS_PARALLELISM",
            "TRANSFORMERS_OFFLINE",
            "TZ",
            "USER",
            "WANDB_MODE",
        }
        assert given["PYTHONPATH"] == "/ws/runs/001/in/lib:/share/stand-ins"
        assert given["PATH"] == "/root/.cache/porter/envs/set-1/bin:/usr/bin:/bin"
        assert given["OMP_NUM_THREADS"] == "4"


def test_the_spec_may_set_any_variable() -> None:
    spec = msgspec.structs.replace(SPEC, variables={"OMP_NUM_THREADS": "1"})
    argv = host_argv(spec, ENVIRONMENT, ROOT)
    assert "OMP_NUM_THREADS=1" in argv
    assert "OMP_NUM_THREADS=4" not in argv
    assert "PYTHONPATH=/share/stand-ins" in argv


def test_every_namespace_but_the_users_is_new_for_root() -> None:
    argv = host_argv(SPEC, ENVIRONMENT, ROOT)
    for option in ("net", "pid", "ipc", "uts", "cgroup-try"):
        assert f"--unshare-{option}" in argv
    assert "--unshare-user" not in argv
    assert "--die-with-parent" in argv
    assert "--new-session" in argv
    assert "--share-net" not in argv


def test_root_gives_up_user_groups_and_capabilities_inside_bubblewrap() -> None:
    argv = host_argv(SPEC, ENVIRONMENT, ROOT)
    inside = argv[argv.index("--chdir") :]
    assert between(inside, "/usr/bin/setpriv", ENVIRONMENT.python) == (
        "/usr/bin/setpriv",
        "--no-new-privs",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "--bounding-set=-all",
        "--",
        ENVIRONMENT.python,
    )
    assert run_user(ROOT) == 65534


def test_a_user_keeps_its_own_user_in_a_namespace_without_further_ones() -> None:
    argv = host_argv(SPEC, ENVIRONMENT, USER)
    assert between(argv, "--unshare-user", "--disable-userns") == (
        "--unshare-user",
        "--uid",
        "65534",
        "--gid",
        "65534",
        "--disable-userns",
    )
    assert between(argv, "/usr/bin/setpriv", "--")[1:-1] == ("--no-new-privs",)
    assert run_user(USER) == 1000


def test_only_what_is_named_is_visible() -> None:
    argv = host_argv(SPEC, ENVIRONMENT, ROOT)
    assert pairs(argv, "--bind") == [("/ws/runs/001/out", "/ws/runs/001/out")]
    assert pairs(argv, "--ro-bind") == [
        ("/usr", "/usr"),
        ("/share/passwd", "/etc/passwd"),
        ("/models/vit", "/models/vit"),
        ("/root/.cache/porter/envs/set-1", "/root/.cache/porter/envs/set-1"),
        ("/root/.pyenv/versions/3.11.7", "/root/.pyenv/versions/3.11.7"),
        ("/ws", "/ws"),
        ("/ws/runs/001/in", "/ws/runs/001/in"),
    ]
    # A folder that is mounted after one that lies in it would hide it.
    assert (
        argv.index("/ws") < argv.index("/ws/runs/001/in") < argv.index("/ws/runs/001/out", argv.index("/ws"))
    )


def test_folders_above_mounts_can_be_entered_by_the_user_of_the_run() -> None:
    argv = host_argv(SPEC, ENVIRONMENT, ROOT)
    for folder in ("/root", "/root/.cache", "/models", "/ws/runs", "/etc"):
        place = argv.index(folder)
        assert argv[place - 3 : place + 1] == ("--perms", "0755", "--dir", folder)


def test_writable_wins_where_one_path_is_named_twice() -> None:
    both = (Mount(path="/ws", writable=True), Mount(path="/ws"))
    for mounts in (both, both[::-1]):
        argv = host_argv(msgspec.structs.replace(SPEC, mounts=mounts, cwd="/ws"), ENVIRONMENT, ROOT)
        assert ("/ws", "/ws") in pairs(argv, "--bind")
        assert ("/ws", "/ws") not in pairs(argv, "--ro-bind")


def test_memory_that_files_live_in_is_bounded() -> None:
    argv = host_argv(SPEC, ENVIRONMENT, ROOT)
    for folder in ("/tmp", "/dev/shm"):
        place = argv.index(folder)
        assert argv[place - 5 : place] == ("--size", str(2 * 2**30), "--perms", "1777", "--tmpfs")
    assert argv[argv.index("--chdir") - 4 : argv.index("--chdir")] == (
        "--remount-ro",
        "/dev",
        "--remount-ro",
        "/",
    )


def test_limits_count_what_the_user_runs_already_and_stay_under_hard_limits() -> None:
    argv = host_argv(SPEC, ENVIRONMENT, msgspec.structs.replace(ROOT, tasks=10))
    assert between(argv, "/usr/bin/prlimit", "--") == (
        "/usr/bin/prlimit",
        "--core=0",
        "--cpu=460",
        f"--data={8 * 2**30}",
        f"--fsize={2**30}",
        "--nproc=74",
        "--",
    )
    small = msgspec.structs.replace(ROOT, memory_bytes=2**30, hard_limits={"nproc": 32, "fsize": 4096})
    argv = host_argv(SPEC, ENVIRONMENT, small)
    assert f"--data={2**30}" in argv
    assert "--nproc=32" in argv
    assert "--fsize=4096" in argv


def test_without_bubblewrap_namespaces_are_used_as_far_as_they_go() -> None:
    host = without_bubblewrap(ROOT, "--net", "--pid", "--kill-child=KILL")
    argv = host_argv(SPEC, ENVIRONMENT, host)
    assert between(argv, "/usr/bin/unshare", "/usr/bin/prlimit") == (
        "/usr/bin/unshare",
        "--net",
        "--pid",
        "--kill-child=KILL",
        "--",
        "/bin/sh",
        "-c",
        '"$@"; exit "$?"',
        "sh",
        "/usr/bin/prlimit",
    )
    assert f"--chdir={SPEC.cwd}" in argv
    assert "--reuid=65534" in argv
    assert isolation(host) == "limited"
    assert isolation(ROOT) == "isolated"


def test_root_keeps_its_user_but_no_capability_where_another_could_not_reach_the_files() -> None:
    host = msgspec.structs.replace(without_bubblewrap(ROOT), droppable=False)
    argv = host_argv(SPEC, ENVIRONMENT, host)
    assert not [word for word in argv if "reuid" in word]
    assert "--bounding-set=-all" in argv
    assert between(argv, "--pdeathsig", "KILL") == ("--pdeathsig", "KILL")
    assert run_user(host) == 0


def test_a_machine_with_no_tool_still_empties_the_environment() -> None:
    host = msgspec.structs.replace(without_bubblewrap(USER), tools={"env": "/bin/env"})
    argv = host_argv(SPEC, ENVIRONMENT, host)
    assert argv[:3] == ("/bin/env", "-i", f"--chdir={SPEC.cwd}")
    assert argv[-2:] == SPEC.argv
    assert all(re.match(r"[A-Z_]+=", word) for word in argv[3:-2])


@pytest.mark.parametrize("path", ["/", "/etc", "/root", "/home", "/proc", "relative", "/ws/../etc", "/ws/"])
def test_no_run_gets_a_folder_of_the_system(path: str) -> None:
    spec = msgspec.structs.replace(SPEC, mounts=(*SPEC.mounts, Mount(path=path)))
    with pytest.raises(SandboxError, match="does not show"):
        host_argv(spec, ENVIRONMENT, ROOT)


def test_the_working_folder_lies_in_a_mount() -> None:
    with pytest.raises(SandboxError, match="none of its mounts"):
        host_argv(msgspec.structs.replace(SPEC, cwd="/wsx"), ENVIRONMENT, ROOT)


def test_writable_mounts_are_handed_over_only_when_the_user_changes() -> None:
    assert preparation(SPEC, ROOT) == ("chown", "-hR", "65534:65534", "--", "/ws/runs/001/out")
    assert preparation(SPEC, USER) == ()
    assert preparation(msgspec.structs.replace(SPEC, mounts=()), ROOT) == ()
