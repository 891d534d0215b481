"""The commands of the container engines: pure functions of what is asked for.

One container serves many runs: it is started with everything that it may ever see and use, and a run is an
``exec`` in it. The command that repeats a run by hand is one ``run --rm`` with the same flags.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from porter.records.sandbox import Container, Engine, Environment, Mount, RunSpec
from porter.resources import tree

HOSTNAME = "sandbox"
SHARED_MEMORY = {"inspect": "1g", "gate": "16g"}
"""Size of /dev/shm; that of a gate is what TAO's data loaders ask for."""

# Both outputs leave as one stream: an engine carries two of them without keeping their order. Ends what a run
# left behind: every process but the container's first, and what lies in its memory. Folders of the host may
# be mounted below /tmp; -xdev keeps out of them.
WRAPPER = (
    'exec 2>&1; "$@"; code=$?; kill -KILL -1 2>/dev/null; '
    'find /tmp /dev/shm -xdev -mindepth 1 -delete 2>/dev/null; exit "$code"'
)


def start_argv(engine: Engine, container: Container, seconds: int) -> tuple[str, ...]:
    """Return the command that starts a container and keeps it alive for as long as it is asked to.

    Args:
        engine: docker or podman.
        container: what it is.
        seconds: how long it lives when nothing more is heard of porter.
    """
    keeper = (tree("containers") / "keeper.py").read_text(encoding="utf-8")
    return (
        engine.executable,
        "run",
        "--interactive",
        "--rm",
        f"--name={container.name}",
        *(f"--label={name}={value}" for name, value in sorted(container.labels.items())),
        *_boundaries(engine, container),
        f"--workdir={container.cwd}",
        f"--entrypoint={container.python}",
        container.image,
        *("-I", "-c", keeper, str(seconds)),
    )


def exec_argv(
    engine: Engine, name: str, spec: RunSpec, variables: Mapping[str, str], shell: str = "/bin/sh"
) -> tuple[str, ...]:
    """Return the command of one run in a container that lives.

    Args:
        engine: docker or podman.
        name: of the container.
        spec: the run; its working folder lies in a mount.
        variables: environment variables beside those of the image.
        shell: what ends the run's leftovers.
    """
    return (
        engine.executable,
        "exec",
        f"--workdir={spec.cwd}",
        *_variables(variables),
        name,
        *(shell, "-c", WRAPPER, "run"),
        *spec.argv,
    )


def once_argv(
    engine: Engine, container: Container, spec: RunSpec, variables: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the command that makes one run in a container of its own: what repeats it by hand."""
    first, *rest = spec.argv
    return (
        engine.executable,
        "run",
        "--rm",
        *_boundaries(engine, container),
        *_variables(variables),
        f"--workdir={spec.cwd}",
        f"--entrypoint={first}",
        container.image,
        *rest,
    )


def shell_argv(
    engine: Engine, container: Container, variables: Mapping[str, str], command: Sequence[str]
) -> tuple[str, ...]:
    """Return the command of an interactive container that has the same environment as a gate."""
    return (
        engine.executable,
        "run",
        "--interactive",
        "--tty",
        "--rm",
        f"--name={container.name}",
        *(f"--label={name}={value}" for name, value in sorted(container.labels.items())),
        *_boundaries(engine, container),
        *_variables(variables),
        f"--workdir={container.cwd}",
        f"--entrypoint={command[0]}",
        container.image,
        *command[1:],
    )


def trial_argv(image: str) -> tuple[str, ...]:
    """Return the arguments of the smallest run that shows whether containers start here."""
    return ("run", "--rm", "--pull=never", "--network=none", "--cap-drop=ALL", image, "/bin/true")


def covers(container: Container, mounts: Sequence[Mount]) -> bool:
    """Return whether a container sees everything that a run asks for, and may write what it may."""
    return all(
        any(_holds(shown, asked) and (shown.writable or not asked.writable) for shown in container.mounts)
        for asked in mounts
    )


def merged(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """Return every place inside once, outer ones before what lies in them; writable wins over read-only.

    What an outer mount shows already, as writable as it is asked for, is no mount of its own: it may come and
    go with the run.
    """
    found: dict[str, Mount] = {}
    for mount in mounts:
        if mount.writable or mount.inside not in found:
            found[mount.inside] = mount
    kept: dict[str, Mount] = {}
    for place in sorted(found, key=lambda place: Path(place).parts):
        mount = found[place]
        outer = next((kept[str(parent)] for parent in Path(place).parents if str(parent) in kept), None)
        if outer is None or not _holds(outer, mount) or outer.writable != mount.writable:
            kept[place] = mount
    return tuple(kept.values())


def _holds(outer: Mount, inner: Mount) -> bool:
    """Return whether one mount shows another's path, at the place that it is asked for."""
    return (inner.path == outer.path or inner.path.startswith(f"{outer.path.rstrip('/')}/")) and (
        inner.inside == outer.inside + inner.path[len(outer.path) :]
    )


def variables(spec: RunSpec, environment: Environment, common: Mapping[str, str]) -> dict[str, str]:
    """Return what a run's environment has beside the image's own variables, sorted by name.

    Args:
        spec: its own variables win.
        environment: an image of NVIDIA's, which has no prefix, keeps its PATH.
        common: what every run gets, on every engine.
    """
    path = [spec.variables.get("PYTHONPATH", ""), *environment.python_path]
    python_path = ":".join(part for part in path if part)
    given = {
        **common,
        **({"PATH": f"{environment.prefix}/bin:/usr/local/bin:/usr/bin:/bin"} if environment.prefix else {}),
        **spec.variables,
        **({"PYTHONPATH": python_path} if python_path else {}),
    }
    return dict(sorted(given.items()))


def _boundaries(engine: Engine, container: Container) -> Iterator[str]:
    limits = container.limits
    yield from ("--pull=never", "--network=none", f"--hostname={HOSTNAME}", "--log-driver=none")
    yield f"--add-host={HOSTNAME}:127.0.0.1"
    yield from ("--cap-drop=ALL", "--security-opt=no-new-privileges")
    if engine.selinux:
        # A label of its own would keep the container from reading what it is shown.
        yield "--security-opt=label=disable"
    if engine.rootless:
        yield "--userns=keep-id"
    yield f"--user={container.uid}:{container.uid}"
    wanted = {**engine.hard_limits, "core": 0, "fsize": limits.file_bytes}
    if "memory" in engine.bounds:
        yield from (f"--memory={limits.memory_bytes}", f"--memory-swap={limits.memory_bytes}")
    else:
        wanted["data"] = limits.memory_bytes
    if "pids" in engine.bounds:
        yield f"--pids-limit={limits.processes}"
    if limits.cpus and "cpu" in engine.bounds:
        yield f"--cpus={limits.cpus}"
    yield from (f"--ulimit={name}={value}:{value}" for name, value in sorted(wanted.items()))
    size = limits.memory_bytes // 4
    execution = "exec"
    if container.profile == "inspect":
        yield "--read-only"
        execution = "noexec"
        if engine.name == "podman":
            # Its own temporary file systems have no bound.
            yield "--read-only-tmpfs=false"
    yield f"--tmpfs=/tmp:rw,size={size},mode=1777,{execution},nosuid,nodev"
    yield f"--shm-size={SHARED_MEMORY[container.profile]}"
    if container.gpu:
        yield "--gpus=all" if engine.name == "docker" else "--device=nvidia.com/gpu=all"
    for mount in container.mounts:
        yield f"--mount={_mount(mount)}"


def _mount(mount: Mount) -> str:
    fields = ["type=bind", f"source={mount.path}", f"target={mount.inside}"]
    if not mount.writable:
        fields.append("readonly")
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def _variables(variables: Mapping[str, str]) -> Iterator[str]:
    yield from (f"--env={name}={value}" for name, value in variables.items())
