"""What gates left for the review: parity in their evidence, pictures, and the runs that they rest on."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from porter.records.base import from_json
from porter.records.gates import GateResult
from porter.records.review import (
    PreprocessingPicture,
    PreprocessingPictures,
    ReviewGate,
    ReviewHop,
    ReviewImage,
    ReviewRun,
    ReviewSeries,
)
from porter.sandbox.process import printable
from porter.workspace import Workspace

_LOG_BYTES = 24_000
_SCRIPT_BYTES = 16_000
_INDEX_BYTES = 1_000_000


def read_hops(gates: Iterable[ReviewGate]) -> tuple[ReviewHop, ...]:
    """Return the hops that the gates measured: those whose evidence has a ``hop``.

    Beside its name the evidence may have ``tolerance`` and ``max_abs`` (numbers), ``relative`` (a number, a
    list or a dict by name), ``per_input`` (a list or a dict by name), ``parities`` (one dict per comparison,
    with ``each`` or ``relative``) and ``controls`` (relative error by what was damaged). What does not fit
    is left out: the gate's evidence shows it as it stands.
    """
    return tuple(_hop(gate) for gate in gates if isinstance(gate.evidence.get("hop"), str))


def _hop(gate: ReviewGate) -> ReviewHop:
    evidence = gate.evidence
    series = [_comparison(item) for item in _list(evidence.get("parities")) if isinstance(item, dict)]
    whole = evidence.get("relative")
    if not series:
        values = evidence.get("per_input") or whole
        names = tuple(str(name) for name in values) if isinstance(values, dict) else ()
        series = [ReviewSeries(label="every input", values=_numbers(values), names=names)]
    if controls := evidence.get("controls"):
        label = "damaged on purpose: must be seen"
        names = tuple(str(name) for name in controls) if isinstance(controls, dict) else ()
        series.append(ReviewSeries(label=label, values=_numbers(controls), control=True, names=names))
    shown = tuple(each for each in series if each.values)
    measured = [value for each in shown if not each.control for value in each.values]
    return ReviewHop(
        gate=gate.gate,
        state=gate.state,
        name=evidence["hop"],
        tolerance=_number(evidence.get("tolerance")),
        relative=max(_numbers(whole) or measured, default=None),
        max_abs=max(_numbers(evidence.get("max_abs")), default=None),
        series=shown,
    )


def _comparison(item: Mapping[str, Any]) -> ReviewSeries:
    batches = [str(size) for size in _list(item.get("batches"))]
    patterns = {"output": "{}", "weights": "{} weights", "way": "by {}", "attention": "attention {}"}
    said = [pattern.format(item[key]) for key, pattern in patterns.items() if item.get(key)]
    said += [f"batch {', '.join(batches)}"] if batches and batches != ["1"] else []
    return ReviewSeries(
        label=", ".join(said) or "all inputs",
        values=_numbers(item.get("each")) or _numbers(item.get("relative")),
        max_abs=_number(item.get("max_abs")),
    )


def _numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, dict):
        value = list(value.values())
    items = value if isinstance(value, (list, tuple)) else [value]
    numbers = [_number(item) for item in items]
    # One that is no number would shift the names of those after it.
    return tuple(number for number in numbers if number is not None) if None not in numbers else ()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def read_images(workspace: Workspace) -> tuple[tuple[ReviewImage, ...], str]:
    """Return the pictures of preprocessing by image, and why they cannot be read (empty where they can)."""
    folder = workspace.state / "evidence" / "preprocessing"
    try:
        pictures = from_json(read_bounded(folder / "index.json", _INDEX_BYTES), PreprocessingPictures)
    except FileNotFoundError:
        return (), ""
    except (OSError, msgspec.MsgspecError) as error:
        return (), printable(f"{folder / 'index.json'}: {error}")
    images: dict[str, list[PreprocessingPicture]] = {}
    for picture in pictures:
        images.setdefault(picture.image, []).append(picture)
    return tuple(
        ReviewImage(image=name, folder=str(folder), pictures=tuple(found)) for name, found in images.items()
    ), ""


def run_of(gate: GateResult) -> str:
    """Return the name of the run in the sandbox that a gate rests on; empty for none."""
    return Path(gate.log).parent.name if gate.log else ""


def read_runs(workspace: Workspace, gates: Iterable[GateResult]) -> tuple[ReviewRun, ...]:
    """Return the runs that gates rest on, with their commands and the ends of their logs."""
    users: dict[str, list[str]] = {}
    for gate in gates:
        if name := run_of(gate):
            users.setdefault(name, []).append(gate.gate)
    runs = []
    for name in sorted(users):
        # The workspace may have moved since the gate noted an absolute path.
        folder = workspace.runs / name
        log, left_out = _tail(folder / "log.txt")
        script, _ = _tail(folder / "command.sh", _SCRIPT_BYTES)
        runs.append(
            ReviewRun(
                name=name,
                folder=str(folder),
                script=script,
                log=log,
                left_out=left_out,
                gates=tuple(users[name]),
            )
        )
    return tuple(runs)


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of a regular file that a sandboxed run may have written.

    Raises:
        OSError: it is a link, no regular file, or larger than *limit* bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as source:
        facts = os.fstat(source.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > limit:
            raise OSError(f"{path} is no plain file of at most {limit} bytes")
        return source.read()


def _tail(path: Path, limit: int = _LOG_BYTES) -> tuple[str, int]:
    """Return the last bytes of a text file as whole lines, and how many bytes come before them."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return "", 0
    with os.fdopen(descriptor, "rb") as source:
        facts = os.fstat(source.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return "", 0
        start = max(0, facts.st_size - limit)
        source.seek(start)
        data = source.read(limit)
    if start:
        first = data.find(b"\n") + 1
        start, data = start + first, data[first:]
    # A progress bar overwrites its line; only what it said last is worth showing.
    lines = [
        line.rpartition("\r")[2] for line in data.decode(errors="replace").replace("\r\n", "\n").split("\n")
    ]
    return printable("\n".join(lines)), start
