"""The container sandbox: one class for Docker and Podman."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import select
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from porter.errors import SandboxError
from porter.records.sandbox import (
    Container,
    Engine,
    Environment,
    Limits,
    LimitSettings,
    Mount,
    Profile,
    RunResult,
    RunSpec,
)
from porter.sandbox import engines
from porter.sandbox.argv import NOBODY, check, common_variables
from porter.sandbox.base import COMMAND, LOG, Sandbox, new_run_folder, tail
from porter.sandbox.container_argv import (
    covers,
    exec_argv,
    merged,
    once_argv,
    shell_argv,
    start_argv,
    variables,
)
from porter.sandbox.facts import check_open, check_there
from porter.sandbox.process import Ended, execute
from porter.sandbox.shown import lent, with_real_paths, write_script

WORKSPACE_LABEL = "porter.workspace"
"""Label whose value says which workspace a container belongs to."""

_USUAL = LimitSettings()
_START_SECONDS = 90
_IDLE_SECONDS = 3600
"""How long a container outlives the last sign of porter between two runs."""
_GRACE_SECONDS = 30
"""How much longer than a run's own limit its container lives where porter was ended."""
_END_SECONDS = 10
_ENGINE_WORDS = (
    "Error: ",
    "Error response from daemon",
    "OCI runtime exec failed",
    "Cannot connect to the Docker",
)
_ENDING = ("container state improper", "is not running", "o such container")
_CLIENTS_OWN = (1, 125, 126, 127)
"""Exit codes with which the clients tell failures of their own."""
_KILLED = (137, 143)
_OOM = "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for every container of a sandbox.

    Attributes:
        engine: docker or podman.
        profile: what its containers may do.
        name: of its containers, one at a time.
        labels: of its containers; the workspace's label is among them.
        desk: folder of the host for what a probe is given and what it answers.
        shown: what every container sees beside what its runs ask for.
        cwd: working folder of the container itself.
    """

    engine: Engine
    profile: Profile
    name: str
    labels: dict[str, str]
    desk: Path
    shown: tuple[Mount, ...] = ()
    cwd: str = "/"


class ContainerSandbox(Sandbox):
    """Runs commands in a container that is started when it is first needed and lives until :meth:`close`.

    Under the *inspect* profile a run never finds more than it asked for: where another run asks for other
    mounts, another container takes over. Under the *gate* profile the container is kept, and what it is shown
    grows. After a run that did not end by itself the container is not used again.

    Args:
        environment: the Python environment of every run; its image is the container's.
        runs: folder that gets one numbered folder per run.
        place: what is the same for every container.
        limits: what the user sets instead of the usual bounds.
    """

    def __init__(
        self, environment: Environment, runs: Path, place: Place, limits: LimitSettings = _USUAL
    ) -> None:
        super().__init__(environment, runs, limits)
        self.place = place
        self.uid = os.getuid() or NOBODY
        self._container: Container | None = None
        self._client: subprocess.Popen[bytes] | None = None
        self._identities: dict[str, tuple[int, int]] = {}
        self._oom_kills = 0

    @property
    def isolation(self) -> Literal["isolated", "limited"]:
        """Containers always separate."""
        return "isolated"

    @property
    def notice(self) -> str:
        """Nothing: containers always separate."""
        return ""

    def desk(self, folder: Path) -> Path:
        """Return the one folder that the container sees for every probe, empty."""
        for name in ("in", "out"):
            (self.place.desk / name).mkdir(parents=True, exist_ok=True)
        # What a killed porter left there belongs to no run.
        self.put_away(new_run_folder(self.runs, "left-over") if self._has_left_overs() else folder)
        return self.place.desk

    def put_away(self, folder: Path) -> None:
        """Move what lies on the desk into the folder of the run."""
        for name in ("in", "out"):
            (folder / name).mkdir(exist_ok=True)
            for path in sorted((self.place.desk / name).iterdir()):
                path.rename(folder / name / path.name)

    def interactive(self, spec: RunSpec) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the command, and its environment, that gives a person a terminal where runs take place."""
        spec = with_real_paths(self.bounded(spec))
        check(spec, self.environment)
        container = msgspec.structs.replace(
            self._wanted(spec), name=f"{self.place.name}-{os.getpid()}", labels=self.place.labels
        )
        given = variables(spec, self.environment, self._common(spec.limits))
        argv = shell_argv(self.place.engine, container, given, spec.argv)
        return argv, engines.client_variables(os.environ)

    def run(
        self, spec: RunSpec, on_line: Callable[[str], None] | None = None, *, folder: Path | None = None
    ) -> RunResult:
        """Run one command and wait for its end.

        Writable mounts belong to the run's user for as long as it runs, and to the caller again afterwards.

        Args:
            spec: what to run and what it may see.
            on_line: told each line of its output.
            folder: where log and command are kept; None makes a new folder under :attr:`runs`.

        Raises:
            SandboxError: the engine failed, or the container ended under the run. A command that fails is no
                error.
        """
        kept = new_run_folder(self.runs, spec.name) if folder is None else folder
        spec = with_real_paths(self.bounded(spec))
        check(spec, self.environment)
        check_there(spec)
        if os.getuid() == 0:
            check_open([mount.path for mount in spec.mounts if not mount.writable])
        wanted = self._wanted(spec)
        given = variables(spec, self.environment, self._common(spec.limits))
        command = self._repeat(wanted, spec, given, kept)
        write_script(kept / COMMAND, command)
        client = self._ensure(wanted)
        self._live(client, spec.limits.seconds + _GRACE_SECONDS)
        argv = exec_argv(self.place.engine, self.place.name, spec, given)
        try:
            writable = [mount.path for mount in spec.mounts if mount.writable]
            with lent(writable, self.uid):
                ended = execute(
                    argv,
                    kept / LOG,
                    spec.limits,
                    on_line,
                    variables=engines.client_variables(os.environ),
                    beside=self.discard,
                    folders=writable,
                    # Podman's monitor leaves a note there when memory runs out.
                    cwd=str(self.place.desk),
                )
        except BaseException:
            # ^C, say: the run's processes are in the container, not below its client.
            self.discard()
            raise
        code, how, reason = self._judge(ended, client, spec, kept / LOG)
        if self._client is not None:
            self._live(client, _IDLE_SECONDS)
        return RunResult(
            exit_code=code,
            ended=how,
            reason=reason,
            seconds=round(ended.seconds, 3),
            command=command,
            log=str(kept / LOG),
        )

    def close(self) -> None:
        """End the container; it is removed when this returns."""
        client, self._client, self._container = self._client, None, None
        if client is None:
            return
        atexit.unregister(self.close)
        with contextlib.suppress(OSError):
            assert client.stdin is not None
            client.stdin.close()
        try:
            client.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            remove(self.place.engine, [self.place.name])
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(_END_SECONDS)
        if client.poll() is None:
            client.kill()
            client.wait()
        if client.stdout is not None:
            client.stdout.close()

    def discard(self) -> None:
        """End the container with everything that runs in it, at once."""
        if self._client is not None:
            remove(self.place.engine, [self.place.name])
        self.close()

    def _has_left_overs(self) -> bool:
        return any(any((self.place.desk / name).iterdir()) for name in ("in", "out"))

    def _common(self, limits: Limits) -> dict[str, str]:
        threads = limits.cpus or len(os.sched_getaffinity(0))
        return {**common_variables(threads), "HOME": "/tmp"}  # noqa: S108 - inside, of the container's own

    def _wanted(self, spec: RunSpec) -> Container:
        environment = self.environment
        own = [*environment.read_only]
        if environment.prefix and not environment.baked:
            own.append(environment.prefix)
        asked = [*(Mount(path=path) for path in dict.fromkeys([*own, *map(os.path.realpath, own)]))]
        current = self._container
        kept = [*self.place.shown]
        if current is not None and self.place.profile == "gate":
            kept += current.mounts
        # Some folders live no longer than the run that asked for them.
        asked += [*(mount for mount in kept if Path(mount.path).exists()), *spec.mounts]
        limits = msgspec.structs.replace(spec.limits, seconds=0)
        wanted = Container(
            name=self.place.name,
            image=environment.image,
            python=environment.python,
            profile=self.place.profile,
            mounts=merged(asked),
            limits=limits,
            uid=self.uid,
            labels=self.place.labels,
            cwd=self.place.cwd,
            gpu=environment.gpu,
        )
        if current is None or self.place.profile == "inspect" or current.limits != limits:
            return wanted
        whole = all(Path(mount.path).exists() for mount in current.mounts)
        return current if whole and covers(current, spec.mounts) else wanted

    def _ensure(self, wanted: Container) -> subprocess.Popen[bytes]:
        """Return the client of a container that is as wanted and alive."""
        alive = self._client is not None and self._client.poll() is None
        # A container goes on seeing a folder that was replaced since; the run means the new one.
        shown = {mount.path: _identity(mount.path) for mount in wanted.mounts}
        if alive and self._client is not None and self._container == wanted and self._identities == shown:
            return self._client
        self.close()
        self._client = self._start(wanted)
        self._container, self._identities, self._oom_kills = wanted, shown, 0
        atexit.register(self.close)
        return self._client

    def _start(self, container: Container) -> subprocess.Popen[bytes]:
        argv = start_argv(self.place.engine, container, _IDLE_SECONDS)
        self.place.desk.mkdir(parents=True, exist_ok=True)
        errors = self.place.desk / "engine.txt"
        with errors.open("wb") as sink:
            client = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                env=engines.client_variables(os.environ),
                cwd=self.place.desk,
                start_new_session=True,
            )
        assert client.stdout is not None
        try:
            if _says_ready(client):
                return client
        except BaseException:
            client.kill()
            client.wait()
            remove(self.place.engine, [container.name])
            raise
        client.kill()
        code = client.wait()
        remove(self.place.engine, [container.name])
        raise SandboxError(
            f"{self.place.engine.name} could not start a container of {container.image}",
            why=tail(errors) or f"exit code {code}",
            next_step="see `porter doctor`; then repeat the command",
        )

    @staticmethod
    def _live(client: subprocess.Popen[bytes], seconds: int) -> None:
        """Have the container live for so long, whatever becomes of porter."""
        assert client.stdin is not None
        with contextlib.suppress(OSError):
            client.stdin.write(f"{seconds}\n".encode())
            client.stdin.flush()

    def _judge(
        self, ended: Ended, client: subprocess.Popen[bytes], spec: RunSpec, log: Path
    ) -> tuple[int, Literal["exited", "timeout", "killed"], str]:
        """Tell apart what ended a run: exit code (negative is a signal), how, and porter's reason."""
        if ended.how != "exited":
            return -9, ended.how, ended.reason
        code = ended.code
        if code == 0:
            return 0, "exited", ""
        if code == 137 and self._out_of_memory():
            self.discard()
            gib = spec.limits.memory_bytes / 2**30
            return -9, "killed", f"it ran out of memory: its container has {gib:.1f} GiB"
        words = _engine_failure(tail(log, 1)) if code in _CLIENTS_OWN else ""
        # A program may end with any of these codes too; the container tells.
        over = code < 0 or client.poll() is not None or ((words or code in _KILLED) and _gone(client))
        if not over and words and not self._serves():
            over = any(word in words for word in _ENDING)
            if not over:
                self.discard()
                raise SandboxError(
                    f"{self.place.engine.name} could not start {spec.name}",
                    why=words,
                    next_step="see `porter doctor`; then: porter resume",
                )
        if over:
            last = tail(log, 2)
            self.discard()
            raise SandboxError(
                f"the container ended while {spec.name} ran in it",
                why=last or f"{self.place.engine.name}, its client or the container was ended from outside",
                next_step="see that the engine runs (porter doctor), then: porter resume",
            )
        if code == 127 and "not found" in tail(log, 1):
            return 127, "exited", f"the command {spec.argv[0]} was not found in {self.environment.image}"
        return (128 - code if 128 < code <= 128 + 64 else code), "exited", ""

    def _serves(self) -> bool:
        """Return whether the container serves runs: a program may print what an engine would say."""
        try:
            done = engines.call(self.place.engine, ["exec", self.place.name, "/bin/sh", "-c", ":"])
        except SandboxError:
            return False
        return done.returncode == 0

    def _out_of_memory(self) -> bool:
        """Return whether the kernel ended something for want of memory since this was last asked."""
        try:
            done = engines.call(self.place.engine, ["exec", self.place.name, "/bin/sh", "-c", _OOM])
        except SandboxError:
            return False
        found = re.search(rb"^oom_kill (\d+)", done.stdout, re.MULTILINE)
        kills = int(found[1]) if found else 0
        grown, self._oom_kills = kills > self._oom_kills, kills
        return grown

    def _repeat(self, wanted: Container, spec: RunSpec, given: Mapping[str, str], kept: Path) -> str:
        """Return the command that repeats a run in a container of its own, with what it was given then."""
        mounts = []
        for mount in wanted.mounts:
            desk = os.path.relpath(mount.path, self.place.desk)
            if desk in ("in", "out"):
                mount = Mount(path=str(kept / desk), writable=mount.writable, at=mount.inside)
            mounts.append(mount)
        container = msgspec.structs.replace(wanted, mounts=tuple(mounts))
        parts = [shlex.join(once_argv(self.place.engine, container, spec, given))]
        folders = [mount.path for mount in mounts if mount.writable]
        if folders and self.uid != os.getuid():
            parts.insert(0, shlex.join(["chown", "-hR", f"{self.uid}:{self.uid}", "--", *folders]))
        return " && ".join(parts)


def sweep(engine: Engine, workspace: str) -> int:
    """Remove the containers that an ended porter left of a workspace; return how many there were.

    Only under the lock of the workspace: then every container with its label is left over.
    """
    listed = engines.output(engine, ["ps", "-aq", "--filter", f"label={WORKSPACE_LABEL}={workspace}"])
    found = listed.split()
    remove(engine, found)
    return len(found)


def remove(engine: Engine, names: Sequence[str]) -> None:
    """Remove containers, running or not; those that are not there are no error."""
    if not names:
        return
    at_once = ["-t", "0"] if engine.name == "podman" else []
    with contextlib.suppress(SandboxError):
        engines.call(engine, ["rm", "-f", *at_once, *names])


def _says_ready(client: subprocess.Popen[bytes]) -> bool:
    assert client.stdout is not None
    said, until = b"", time.monotonic() + _START_SECONDS
    while b"ready\n" not in said and (left := until - time.monotonic()) > 0:
        readable, _, _ = select.select([client.stdout], [], [], left)
        data = os.read(client.stdout.fileno(), 4096) if readable else b""
        if not data:
            return False
        said += data
    return b"ready\n" in said


def _identity(path: str) -> tuple[int, int]:
    try:
        facts = Path(path).stat()
    except OSError:
        return (0, 0)
    return (facts.st_dev, facts.st_ino)


def _gone(client: subprocess.Popen[bytes]) -> bool:
    """Return whether a container has ended; its client needs a moment to say so."""
    until = time.monotonic() + 1
    while client.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    return client.poll() is not None


def _engine_failure(line: str) -> str:
    return line if line.startswith(_ENGINE_WORDS) else ""
