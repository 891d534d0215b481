"""Running one command to its end: log, lines, time and memory, and no process left behind."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from porter.records.base import Record
from porter.records.sandbox import Limits

_POLL = 0.1
_MEMORY_POLL = 0.5
_DISK_POLL = 0.2
_LOG_BYTES = 64 * 2**20
_LINE_CHARACTERS = 2000

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Ended(Record, frozen=True, kw_only=True):
    """How a process ended; a negative *code* is the signal that ended it."""

    code: int
    how: Literal["exited", "timeout", "killed"]
    reason: str
    seconds: float


def execute(
    argv: Sequence[str],
    log: Path,
    limits: Limits,
    on_line: Callable[[str], None] | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    beside: Callable[[], None] = lambda: None,
    folders: Sequence[str] = (),
    cwd: str = "/",
) -> Ended:
    """Run a command, with nothing of the caller's environment, until it ends or a limit ends it.

    When this returns or raises, nothing is left of the process group, and where the command made a process
    namespace, nothing of that.

    Args:
        argv: the command; its first word is absolute.
        log: file that gets standard output and error, up to 64 MiB.
        limits: of these the time and the memory of the whole tree of processes are watched here.
        on_line: told each line, without control characters.
        variables: its whole environment; nothing where None.
        beside: called where a limit ends the run, to end what is not below the command.
        folders: what the run may write to; what they grow by is watched here too.
        cwd: working folder of the command.
    """
    started = time.monotonic()
    lines = _Lines(on_line)
    growth = _Growth(folders)
    with log.open("wb") as sink, _group(argv, variables or {}, cwd) as process:
        assert process.stdout is not None
        how, reason = _follow(process, _Capped(sink), lines, limits, started, growth)
        if reason:
            beside()
            sink.write(f"\nporter ended this run: {reason}\n".encode())
    lines.close()
    return Ended(code=process.returncode, how=how, reason=reason, seconds=time.monotonic() - started)


def printable(text: str) -> str:
    """Return *text* without anything that a terminal would act on."""
    return _CONTROL.sub("", _ESCAPES.sub("", text))


def tree_memory(root: int) -> int:
    """Return the memory in bytes of a process and all its descendants; shared pages count once."""
    return sum(_memory(pid) for pid in _tree(root))


def private_memory(root: int) -> int:
    """Return the memory in bytes of a process and all its descendants, without pages of files.

    Cheap enough to be asked for often; the kernel can take pages of files back, and processes share them.
    """
    return sum(_fields(pid, "status", ("RssAnon:", "RssShmem:")) or 0 for pid in _tree(root))


def end_tree(root: int) -> None:
    """Kill a process that was not waited for yet, and all its descendants."""
    for pid in _tree(root):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _resident(pid: int) -> int:
    """Return the resident memory of a process in bytes, shared pages in full; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


@contextlib.contextmanager
def _group(argv: Sequence[str], variables: Mapping[str, str], cwd: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(variables),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # Not reaped yet, so that neither number can belong to somebody else by now.
        end_tree(process.pid)
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _follow(
    process: subprocess.Popen[bytes],
    sink: _Capped,
    lines: _Lines,
    limits: Limits,
    started: float,
    growth: _Growth,
) -> tuple[Literal["exited", "timeout", "killed"], str]:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    weighed, measure_at = started, started + _DISK_POLL
    with selectors.DefaultSelector() as selector, _end_of(process.pid) as end:
        selector.register(descriptor, selectors.EVENT_READ)
        if end is not None:
            selector.register(end, selectors.EVENT_READ)
        while True:
            over = _exited(process.pid)
            for data in _available(selector, descriptor, wait=0 if over else _POLL):
                sink.write(data)
                lines.feed(data)
            now = time.monotonic()
            if over:
                return "exited", ""
            if now - started > limits.seconds:
                return "timeout", f"it ran longer than {limits.seconds} s"
            if now >= measure_at:
                if growth.bytes() > limits.written_bytes:
                    return "killed", f"it wrote more than {limits.written_bytes / 2**30:.1f} GiB"
                # Where there are many files to look at, they are looked at less often.
                measure_at = time.monotonic() + max(_DISK_POLL, 20 * (time.monotonic() - now))
            if now - weighed >= _MEMORY_POLL:
                weighed = now
                # Counting shared pages once makes the kernel walk over all of them: only when it may matter.
                rough = sum(_resident(pid) for pid in _tree(process.pid))
                used = tree_memory(process.pid) if rough > limits.memory_bytes else rough
                if used > limits.memory_bytes:
                    return "killed", (
                        f"it used {used / 2**30:.1f} GiB of memory; the limit is "
                        f"{limits.memory_bytes / 2**30:.1f} GiB"
                    )


class _Growth:
    """What folders hold more than when the run began; links are not followed."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = tuple(folders)
        self._before = self._held()

    def bytes(self) -> int:
        return self._held() - self._before

    def _held(self) -> int:
        held = 0
        for folder in self._folders:
            for parent, _, files in os.walk(folder):
                for name in files:
                    with contextlib.suppress(OSError):
                        # What takes up room: a file may claim a length that it does not have.
                        held += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118
        return held


@contextlib.contextmanager
def _end_of(pid: int) -> Iterator[int | None]:
    """Open what can be read once a process has ended; None where the kernel has no such thing."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _exited(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _available(selector: selectors.BaseSelector, descriptor: int, *, wait: float) -> Iterator[bytes]:
    """Yield what can be read now, at most 16 MiB, so that a flood cannot hold up the checks."""
    if not selector.get_map():
        time.sleep(wait)
        return
    if descriptor not in (key.fd for key, _ in selector.select(wait)):
        return
    for _ in range(256):
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if not data:
            selector.unregister(descriptor)
            return
        yield data


class _Capped:
    """A log that stops growing, so that a run cannot fill the disk by printing."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._left = _LOG_BYTES

    def write(self, data: bytes) -> None:
        if self._left <= 0:
            return
        self._sink.write(data[: self._left])
        self._sink.flush()
        self._left -= len(data)
        if self._left <= 0:
            self._sink.write(b"\nporter leaves out the rest of this output\n")


class _Lines:
    """Splits output into lines; a carriage return ends one too, as progress bars use it."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        if self._on_line is None:
            return
        *whole, self._rest = re.split(rb"[\r\n]+", self._rest + data)
        # A line without end is cut, or it would be kept in memory.
        if len(self._rest) > 4 * _LINE_CHARACTERS:
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            self._emit(line)

    def close(self) -> None:
        self._emit(self._rest)

    def _emit(self, line: bytes) -> None:
        text = printable(line.decode(errors="replace"))[:_LINE_CHARACTERS].rstrip()
        if text and self._on_line is not None:
            self._on_line(text)


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    # A thread has children of its own.
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError, ValueError):
            for child in task.read_text().split():
                yield from _descendants(int(child))


def _tree(root: int) -> list[int]:
    """Return a process and all its descendants."""
    if Path(f"/proc/{root}/task/{root}/children").exists():
        return list(_descendants(root))
    # A kernel without that file: everything is looked at.
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # The name in the second field may hold spaces and parentheses.
                parent = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def _memory(pid: int) -> int:
    for file, names in (("smaps_rollup", ("Pss:",)), ("status", ("RssAnon:", "RssShmem:"))):
        found = _fields(pid, file, names)
        if found is not None:
            return found
    return 0


def _fields(pid: int, file: str, names: tuple[str, ...]) -> int | None:
    """Return the sum in bytes of fields of a process; None where it is gone or has none of them."""
    try:
        text = Path(f"/proc/{pid}/{file}").read_text(errors="replace")
    except OSError:
        return None
    fields = {
        words[0]: int(words[1])
        for line in text.splitlines()
        if len(words := line.split()) > 1 and words[0] in names
    }
    return 1024 * sum(fields.values()) if fields else None
