"""Containers that serve runs: how they begin and end, with real engines."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from porter.errors import SandboxError
from porter.records.sandbox import Engine, Environment, Limits, Mount, RunResult, RunSpec
from porter.sandbox import engines
from porter.sandbox.container import WORKSPACE_LABEL, ContainerSandbox, remove, sweep
from tests.sandbox.conftest import container_sandbox

BEAT = (
    "import pathlib, time\n"
    "while True:\n    pathlib.Path('beat').write_text(str(time.time()))\n    time.sleep(0.02)\n"
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def box(engine: Engine, environment: Environment, tmp_path: Path) -> Iterator[ContainerSandbox]:
    with container_sandbox(engine, environment, tmp_path, "gate") as made:
        yield made


def run(box: ContainerSandbox, out: Path, source: str, **limits: int) -> RunResult:
    spec = RunSpec(
        name="code",
        argv=(box.environment.python, "-c", source),
        cwd=str(out),
        mounts=(Mount(path=str(out), writable=True),),
        limits=Limits(**limits),
    )
    return box.run(spec)


def said(result: RunResult) -> str:
    return Path(result.log).read_text()


def there(box: ContainerSandbox) -> list[str]:
    label = f"label={WORKSPACE_LABEL}={box.place.labels[WORKSPACE_LABEL]}"
    return engines.output(box.place.engine, ["ps", "-aq", "--filter", label]).split()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_still(file: Path) -> bool:
    before = file.read_text()
    time.sleep(0.3)
    return file.read_text() == before


def test_one_container_serves_many_runs_and_is_gone_when_it_is_closed(
    box: ContainerSandbox, out: Path
) -> None:
    assert said(run(box, out, "print(1)")) == "1\n"
    first = there(box)
    assert len(first) == 1
    result = run(box, out, "import sys; print(2); sys.exit(5)")
    assert (said(result), result.exit_code, result.ended) == ("2\n", 5, "exited")
    assert there(box) == first
    box.close()
    assert there(box) == []
    assert said(run(box, out, "print(3)")) == "3\n"


def test_both_outputs_are_kept_in_the_order_they_were_written_in(box: ContainerSandbox, out: Path) -> None:
    both = "import sys\nfor n in range(300): print(n, file=(sys.stdout, sys.stderr)[n % 2], flush=True)"
    assert said(run(box, out, both)).split() == [str(n) for n in range(300)]


def test_ends_are_told_apart(box: ContainerSandbox, out: Path) -> None:
    crashed = run(box, out, "import os; os.abort()")
    assert (crashed.exit_code, crashed.ended, crashed.reason) == (-signal.SIGABRT, "exited", "")
    late = run(box, out, BEAT, seconds=1)
    assert (late.exit_code, late.ended) == (-signal.SIGKILL, "timeout")
    assert "longer than 1 s" in late.reason
    assert is_still(out / "beat")
    big = run(box, out, "x = bytearray(600 * 2**20)", memory_bytes=200 * 2**20)
    if "memory" in box.place.engine.bounds:
        assert (big.exit_code, big.ended) == (-signal.SIGKILL, "killed")
        assert big.reason == "it ran out of memory: its container has 0.2 GiB"
    else:
        assert (big.exit_code, big.ended, "MemoryError" in said(big)) == (1, "exited", True)
    itself = run(box, out, "import os; os.kill(os.getpid(), 9)")
    assert (itself.exit_code, itself.ended, itself.reason) == (-signal.SIGKILL, "exited", "")
    unknown = box.run(
        RunSpec(name="x", argv=("/no/such",), cwd=str(out), mounts=(Mount(path=str(out), writable=True),))
    )
    assert unknown.exit_code == 127
    assert "/no/such was not found" in unknown.reason
    for code in (1, 125, 126, 127, 137):
        assert run(box, out, f"import sys; sys.exit({code})").exit_code in (code, 128 - code)
    lies = run(box, out, "import sys; print('Error: of its own'); sys.exit(125)")
    assert lies.exit_code == 125


def test_nothing_is_left_of_a_run_for_the_next(box: ContainerSandbox, out: Path) -> None:
    run(
        box,
        out,
        "import os, pathlib, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {BEAT!r}], start_new_session=True)\n"
        "while not pathlib.Path('beat').exists(): pass\n"
        "for folder in ('/tmp', '/dev/shm'):\n"
        "    (pathlib.Path(folder) / '.left' / 'deep').mkdir(parents=True)\n",
    )
    assert is_still(out / "beat")
    left = "import pathlib; print([*pathlib.Path('/tmp').glob('.l*'), *pathlib.Path('/dev/shm').iterdir()])"
    assert said(run(box, out, left)) == "[]\n"


def test_a_folder_that_was_replaced_is_the_new_one(box: ContainerSandbox, out: Path) -> None:
    run(box, out, "open('old', 'w')")
    out.rename(out.with_name("before"))
    out.mkdir()
    run(box, out, "open('new', 'w')")
    assert [path.name for path in out.iterdir()] == ["new"]


def test_processes_and_file_sizes_are_bounded(box: ContainerSandbox, out: Path) -> None:
    bomb = "import os\ntry:\n    while True: os.fork()\nexcept OSError: raise SystemExit(7)\n"
    result = run(box, out, bomb, processes=40, seconds=20)
    assert result.exit_code == 7 or result.ended == "timeout"
    assert run(box, out, "print('again')", processes=40).exit_code == 0
    written = run(box, out, "open('file', 'wb').write(b'x' * 2**21)", file_bytes=2**20)
    assert written.exit_code != 0
    assert (out / "file").stat().st_size <= 2**20


def test_only_this_workspaces_containers_are_swept(
    engine: Engine, environment: Environment, tmp_path: Path, out: Path
) -> None:
    other_root = tmp_path / "other"
    with (
        container_sandbox(engine, environment, tmp_path) as mine,
        container_sandbox(engine, environment, other_root) as other,
    ):
        run(mine, out, "print(1)")
        run(other, out, "print(2)")
        kept = there(other)
        assert sweep(engine, mine.place.labels[WORKSPACE_LABEL]) == 1
        assert there(mine) == []
        assert there(other) == kept
        assert said(run(mine, out, "print(3)")) == "3\n"


KILLED = """
import sys
from pathlib import Path
import msgspec
from porter.records.sandbox import Environment, Limits, Mount, RunSpec
from porter.sandbox.container import ContainerSandbox, Place
environment, place, root, source = sys.argv[1:]
place = msgspec.json.decode(place, type=Place, dec_hook=lambda kind, value: kind(value))
box = ContainerSandbox(msgspec.json.decode(environment, type=Environment), Path(root) / "runs", place)
out = str(Path(root) / "out")
box.run(RunSpec(name="code", argv=(box.environment.python, "-c", source), cwd=out,
                mounts=(Mount(path=out, writable=True),), limits=Limits(seconds=60)))
"""


@contextlib.contextmanager
def porter_at_work(box: ContainerSandbox, root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A porter of its own that is in the middle of a run."""
    words = [
        msgspec.json.encode(box.environment).decode(),
        msgspec.json.encode(box.place, enc_hook=str).decode(),
        str(root),
        BEAT,
    ]
    project = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *words], env={**os.environ, "PYTHONPATH": project}, cwd=root
    ) as process:
        try:
            wait_for((root / "out" / "beat").exists)
            yield process
        finally:
            process.kill()


def clients_of(process: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


@pytest.mark.parametrize("victims", ["porter", "clients", "all"])
def test_whoever_is_killed_no_container_and_no_process_is_left(
    box: ContainerSandbox, tmp_path: Path, out: Path, victims: str
) -> None:
    with porter_at_work(box, tmp_path) as process:
        assert len(there(box)) == 1
        clients = clients_of(process)
        assert len(clients) == 2
        for pid in {"porter": [process.pid], "clients": clients, "all": [process.pid, *clients]}[victims]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not there(box))
        assert is_still(out / "beat")
        # What the run wrote is not lost to the next one.
        assert run(box, out, "import os; os.remove('beat')").exit_code == 0


def test_a_container_outlives_its_deadline_by_nothing(box: ContainerSandbox, out: Path) -> None:
    run(box, out, "print(1)")
    client = box._client
    assert client is not None
    box._live(client, 1)
    wait_for(lambda: not there(box))


def test_a_container_that_is_removed_under_a_run_is_an_error_and_the_next_run_goes_on(
    box: ContainerSandbox, out: Path
) -> None:
    def removed() -> None:
        wait_for((out / "beat").exists)
        remove(box.place.engine, [box.place.name])

    thread = threading.Thread(target=removed)
    thread.start()
    with pytest.raises(SandboxError) as caught:
        run(box, out, BEAT)
    thread.join()
    assert "the container ended while code ran in it" in caught.value.what
    assert "porter resume" in caught.value.next_step
    assert said(run(box, out, "print('on')")) == "on\n"


def test_an_interrupt_ends_the_run_inside(box: ContainerSandbox, out: Path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    spec = RunSpec(
        name="code",
        argv=(box.environment.python, "-c", f"print('started')\n{BEAT}"),
        cwd=str(out),
        mounts=(Mount(path=str(out), writable=True),),
    )
    with pytest.raises(KeyboardInterrupt):
        box.run(spec, interrupt)
    assert there(box) == []
    assert not (out / "beat").exists() or is_still(out / "beat")
    for path in (out, *out.iterdir()):
        assert path.stat().st_uid == os.getuid()


def test_an_image_that_is_not_there_is_named_and_nothing_is_pulled(
    engine: Engine, environment: Environment, tmp_path: Path, out: Path
) -> None:
    with container_sandbox(engine, environment, tmp_path) as box:
        box.environment = msgspec.structs.replace(environment, image="localhost/porter-no-such:1")
        with pytest.raises(SandboxError) as caught:
            run(box, out, "print(1)")
    assert "localhost/porter-no-such:1" in caught.value.what
    assert caught.value.why


def test_an_inspection_sees_what_its_run_asked_for_and_no_more(
    engine: Engine, environment: Environment, tmp_path: Path, out: Path
) -> None:
    secret, model = tmp_path / "first", tmp_path / "second"
    for folder in (secret, model):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    look = f"import os; print(os.path.exists({str(secret)!r}), os.path.exists({str(model)!r}))"
    with container_sandbox(engine, environment, tmp_path) as box:
        for shown, seen in ((secret, "True False\n"), (model, "False True\n")):
            spec = RunSpec(
                name="look",
                argv=(environment.python, "-c", look),
                cwd=str(out),
                mounts=(Mount(path=str(out), writable=True), Mount(path=str(shown))),
            )
            assert said(box.run(spec)) == seen
