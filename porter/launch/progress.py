"""What TAO writes to ``status.json`` while a job runs: one JSON object a line.

What is reported once stays in every line that follows, until the next report takes its place: a value is
counted where it first appears. Validation is reported before the line that ends its epoch, training after it.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from porter import secrets
from porter.errors import UsageError
from porter.records.catalog import Metric
from porter.records.progress import Best, Points, Progress, Status

_REPORT = "metrics generated"
_OF_TRAINING = "train"
_BEGINS = "starting training loop"
_ENDS = ("training loop complete", "finished successfully")
_LONGEST = 300
_SHOWN_PROBLEMS = 3
_SPAN = re.compile(r"(?:(-?\d+) days?, )?(\d+):(\d+):(\d+(?:\.\d+)?)")


def read_progress(
    data: bytes | None, *, spec: Mapping[str, Any] | None = None, metric: Metric | None = None
) -> Progress:
    """Return what a ``status.json`` says; whatever its content is, this raises nothing.

    Args:
        data: content of the file; None where there is none.
        spec: of the job: has the number of epochs where the file does not say it yet.
        metric: of the network, for the best value.
    """
    found = _Reader()
    for line in _lines(data, found.notes):
        found.take(line)
    found.close()
    epochs = found.epochs or _epochs_of(spec or {})
    series: dict[str, Points] = {
        name: tuple(sorted(values.items())) for name, values in found.series.items() if values
    }
    key = _key(series, metric) if metric else ""
    return Progress(
        state=found.state,
        message=_first_line(found.message),
        epoch=found.done,
        epochs=epochs,
        eta=found.eta(epochs),
        by="epoch" if found.ended else "report",
        series=series,
        last=found.last,
        metric=key,
        direction=metric.direction if metric else "",
        best=best_of(series.get(key, ()), metric.direction) if metric else None,
        dropped=found.dropped,
        notes=tuple(found.notes),
    )


def metric_of(progress: Progress, metric: Metric, name: str = "") -> float | None:
    """Return what a finished job is measured by: the value that was reported last.

    It is not the best over all epochs: the checkpoint that a job leaves behind is that of its last epoch, and
    NVIDIA's search, too, takes the value nearest to the end of the file. Other than there, a training whose
    last value is no number has none: an earlier one would speak for weights that are gone.

    Args:
        progress: of a training, or of the action evaluate, which may have another name for it.
        metric: of the network.
        name: another metric than the network's own.

    Raises:
        UsageError: the name is one that tells nothing; says why.
    """
    key = name or _key(progress.last, metric)
    if key in metric.refused:
        raise UsageError(
            f"{key} is no metric.",
            why=metric.refused[key],
            next_step=f"one of {', '.join((metric.key, *metric.others))}",
        )
    return progress.last.get(key)


def best_of(points: Points, direction: Literal["maximize", "minimize"]) -> Best | None:
    """Return the best of some values, the first of equal ones; None where there is none."""
    if not points:
        return None
    sign = 1 if direction == "maximize" else -1
    at, value = max(points, key=lambda point: sign * point[1])
    return Best(value=value, at=at)


def number(value: Any) -> float | None:
    """Return a reported value, which may be text, as a number; None where it is no finite one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


class _Reader:
    """Goes through the lines from the first to the last."""

    def __init__(self) -> None:
        self.state: Status = ""
        self.message = ""
        self.series: dict[str, dict[int, float]] = {}
        self.last: dict[str, float | None] = {}
        self.dropped: dict[str, int] = {}
        self.notes: list[str] = []
        self.done = 0
        self.epochs = 0
        self.ended: list[tuple[int, datetime.datetime | None]] = []
        self._finished = False
        self._said_eta: float | None = None
        self._reports = 0
        self._before: Any = None
        # A validation belongs to the epoch that ends next, whose number is not known before it has ended.
        self._waiting: list[dict[str, Any]] = []

    def take(self, line: dict[str, Any]) -> None:
        """Take one line."""
        said = str(line.get("status", "")).lower()
        self.state = next((word for word in get_args(Status) if word and word == said), "unknown")
        self.message = str(line.get("message", ""))
        lowered = self.message.lower()
        if lowered.startswith(_BEGINS):
            self._finished = False
        epoch = _whole(line.get("epoch"))
        if epoch is not None:
            self._end_epoch(epoch + 1, line)
        values = _values(line)
        if values and (_REPORT in lowered or values != self._before):
            self._report(values, lowered, epoch)
        self._before = values
        if any(words in lowered for words in _ENDS):
            self._place_waiting(self.done or None)
            self._finished = True

    def close(self) -> None:
        """Place what is left when the file is at its end."""
        self._place_waiting(self.done + 1 if self.ended else None)

    def eta(self, epochs: int) -> float | None:
        """Return how many seconds are left: what the file says, or what the pace of the epochs comes to."""
        if self._finished or (epochs and self.done >= epochs):
            return 0.0
        if self._said_eta is not None:
            return self._said_eta
        stamps = [(number, stamp) for number, stamp in self.ended if stamp is not None]
        if not epochs or len(stamps) < 2:
            return None
        (first, begun), (latest, now) = stamps[0], stamps[-1]
        passed = (now - begun).total_seconds()
        if latest <= first or passed <= 0:
            return None
        return passed / (latest - first) * (epochs - self.done)

    def _end_epoch(self, number_: int, line: dict[str, Any]) -> None:
        if number_ <= self.done:
            self._forget(number_)
        self._place_waiting(number_)
        self.done = number_
        self.ended.append((number_, _stamp(line)))
        most = _whole(line.get("max_epoch"))
        if most is not None:
            self.epochs = most + 1
        self._said_eta = _seconds(line.get("eta"))

    def _forget(self, number_: int) -> None:
        """Drop what a training that was started anew writes once more."""
        for name, values in self.series.items():
            self.series[name] = {at: value for at, value in values.items() if at < number_}
        self.ended = [(at, stamp) for at, stamp in self.ended if at < number_]

    def _report(self, values: dict[str, Any], message: str, epoch: int | None) -> None:
        self._reports += 1
        if self.ended and (self._finished or epoch is not None or message.startswith(_OF_TRAINING)):
            self._place(values, self.done)
        else:
            self._waiting.append(values)
        for name, value in values.items():
            self.last[name] = number(value)
            if self.last[name] is None:
                self.dropped[name] = self.dropped.get(name, 0) + 1

    def _place_waiting(self, at: int | None) -> None:
        waiting, self._waiting = self._waiting, []
        first = self._reports - len(waiting) + 1
        for place, values in enumerate(waiting, first):
            self._place(values, at if at is not None else place)

    def _place(self, values: dict[str, Any], at: int) -> None:
        for name, value in values.items():
            found = number(value)
            points = self.series.setdefault(name, {})
            if found is None:
                points.pop(at, None)
            else:
                points[at] = found


def _lines(data: bytes | None, notes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file, and note what is none."""
    if data is None:
        notes.append("there is no status.json yet")
        return
    if not data.strip():
        notes.append("status.json is still empty")
        return
    lines = data.decode("utf-8", "replace").split("\n")
    problems = []
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            yield found
        elif place == len(lines):
            notes.append("the last line of status.json is still being written")
        else:
            problems.append(place)
    if problems:
        shown = ", ".join(map(str, problems[:_SHOWN_PROBLEMS]))
        more = f" and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        notes.append(f"status.json: line {shown}{more} is no JSON object")


def _values(line: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for part in ("graphical", "kpi"):
        found = line.get(part)
        if isinstance(found, dict):
            values.update(found)
    return values


def _key(known: Mapping[str, Any], metric: Metric) -> str:
    """Return the name that the network's metric has in a file."""
    return metric.evaluate if metric.evaluate in known and metric.key not in known else metric.key


def _epochs_of(spec: Mapping[str, Any]) -> int:
    train = spec.get("train")
    found = _whole(train.get("num_epochs")) if isinstance(train, Mapping) else None
    return found or 0


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(value: Any) -> float | None:
    """Return a span as Python writes it, ``1 day, 2:03:04.5``, in seconds."""
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    whole = days * 86400 + hours * 3600 + minutes * 60 + seconds
    return whole if whole >= 0 else None


def _stamp(line: dict[str, Any]) -> datetime.datetime | None:
    try:
        # TAO names no zone, and only differences are taken.
        return datetime.datetime.strptime(f"{line.get('date')} {line.get('time')}", "%m/%d/%Y %H:%M:%S")
    except ValueError:
        return None


def _first_line(message: str) -> str:
    line = secrets.hide(next((line.strip() for line in message.splitlines() if line.strip()), ""))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
