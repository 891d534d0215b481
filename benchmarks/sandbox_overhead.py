"""Prints what porter's sandbox costs over the engine's own client. Goal: 30 ms a run, and a start.

Needs Podman or Docker; every pair is measured in turn, so that both see the same machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from porter.records.sandbox import Engine, Environment, Mount, RunSpec
from porter.sandbox import base_image, engines, interpreters
from porter.sandbox.container import WORKSPACE_LABEL, ContainerSandbox, Place
from porter.sandbox.container_argv import exec_argv, start_argv

ROUNDS = 15
GOAL_MS = 30.0


def milliseconds(call: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def bare(argv: tuple[str, ...]) -> Callable[[], object]:
    """Return a call of the client that porter would start, and nothing else."""
    variables = engines.client_variables(os.environ)
    return lambda: subprocess.run(
        argv, env=variables, check=True, capture_output=True, stdin=subprocess.DEVNULL
    )


def compare(title: str, client: Callable[[], object], porter: Callable[[], object]) -> None:
    """Alternate the two and print medians, difference and ratio."""
    pairs = [(milliseconds(client), milliseconds(porter)) for _ in range(ROUNDS + 2)][2:]
    base, full = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{title:<14} bare {base:7.1f} ms   porter {full:7.1f} ms   {full / base:.2f} times   "
        f"over {full - base:6.1f} ms, {(full - base) / GOAL_MS:.2f} of the goal of {GOAL_MS:.0f} ms"
    )


def measure(engine: Engine, root: Path) -> None:
    """Compare runs in a container that lives, and runs that each start one."""
    out = root / "out"
    out.mkdir()
    out.chmod(0o777)
    image = base_image.ensure(engine, interpreters.this())
    environment = Environment(
        name="benchmark",
        prefix=sys.prefix,
        python=sys.executable,
        digest="",
        read_only=(sys.base_prefix,),
        image=image,
    )
    name = f"porter-benchmark-{os.getpid()}"
    place = Place(
        engine=engine, profile="inspect", name=name, labels={WORKSPACE_LABEL: name}, desk=root / "desk"
    )
    spec = RunSpec(
        name="true", argv=("/bin/true",), cwd=str(out), mounts=(Mount(path=str(out), writable=True),)
    )
    box = ContainerSandbox(environment, root / "runs", place)
    container = box._wanted(spec)

    def start_and_end() -> None:
        box._ensure(container)
        box.close()

    try:
        box.run(spec)
        compare(f"{engine.name} exec", bare(exec_argv(engine, name, spec, {})), lambda: box.run(spec))
        box.close()
        alone = msgspec.structs.replace(container, name=f"{name}-alone")
        compare(f"{engine.name} run", bare(start_argv(engine, alone, 60)), start_and_end)
    finally:
        box.close()


def main() -> None:
    """Measure every engine that answers."""
    for name in engines.ENGINES:
        found = engines.find(name)
        if not isinstance(found, Engine):
            print(f"{name}: {found}")
            continue
        print(f"{name} {found.version}, median of {ROUNDS}")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            measure(found, Path(folder))


if __name__ == "__main__":
    main()
