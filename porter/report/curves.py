"""Drawings of a training and of a search: SVG that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from porter.atomic import write_atomic
from porter.records.progress import Best, Points, Progress
from porter.records.trials import Trials
from porter.report.axes import Scale, Tick, around, fitted, thinned, width_of
from porter.report.page import environment
from porter.report.plot import shown
from porter.report.text import in_line

CURVES = "curves.svg"
TRIALS = "trials.svg"

_PANEL_WIDTH, _PANEL_HEIGHT = 380.0, 230.0
_SEARCH_WIDTH, _SEARCH_HEIGHT = 760.0, 340.0
_MARGIN = 20.0
_HEAD = 52.0
_ABOVE, _BELOW, _BESIDE = 44.0, 46.0, 16.0
_MOST_POINTS = 400
_DOTS = 40


@dataclass(frozen=True)
class Mark:
    """A value in a drawing: its pixels, and what it says when it is pointed at."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Frame:
    """A panel: where it lies, and its axes in pixels of its own."""

    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


@dataclass(frozen=True)
class Panel:
    """One metric over the epochs."""

    frame: Frame
    name: str
    short: str
    said: str
    line: str
    dots: tuple[Mark, ...]
    best: Mark | None


def curves_svg(progress: Progress, title: str) -> bytes:
    """Return a panel for every metric, the network's own first; its best value is marked."""
    names = sorted(progress.series, key=lambda name: (name != progress.metric, name))
    columns = 2 if len(names) > 1 else 1
    panels = [
        _panel(
            _one_line(name),
            progress.series[name],
            progress.best if name == progress.metric else None,
            _MARGIN + place % columns * _PANEL_WIDTH,
            _HEAD + place // columns * _PANEL_HEIGHT,
        )
        for place, name in enumerate(names)
    ]
    rows = max(1, -(-len(names) // columns))
    return _render(
        "curves.svg.jinja",
        title,
        width=2 * _MARGIN + columns * _PANEL_WIDTH,
        height=_HEAD + rows * _PANEL_HEIGHT,
        panels=panels,
        axis=progress.by,
    )


def trials_svg(found: Trials, title: str) -> bytes:
    """Return the metric of every trial, with the best until then; failed ones are crosses on the axis."""
    measured: Points = tuple(
        (trial.number, trial.metric) for trial in found.trials if trial.metric is not None
    )
    failed = [
        trial for trial in found.trials if trial.metric is None and trial.state in ("error", "canceled")
    ]
    numbers = [at for at, _ in measured] + [trial.number for trial in failed]
    frame, across, up = _frame(
        [value for _, value in measured], numbers, _MARGIN, _HEAD, _SEARCH_WIDTH - _MARGIN, _SEARCH_HEIGHT
    )
    marks = [Mark(across.place(at), up.place(value), f"trial {at}: {shown(value)}") for at, value in measured]
    best = next((mark for mark, (at, _) in zip(marks, measured, strict=True) if at == found.best), None)
    crosses = [
        Mark(across.place(trial.number), frame.bottom, f"trial {trial.number}: {trial.state}")
        for trial in failed
    ]
    return _render(
        "trials.svg.jinja",
        title,
        width=_SEARCH_WIDTH,
        height=_HEAD + _SEARCH_HEIGHT,
        frame=frame,
        marks=marks,
        best=best,
        crosses=crosses,
        line=_so_far(measured, found.direction == "maximize", across, up),
        metric=fitted(_one_line(found.metric), _SEARCH_WIDTH / 3, 13),
        direction=found.direction,
        said=f"{len(marks)} trials with a metric, {len(crosses)} without",
    )


def write_curves(folder: Path, progress: Progress, title: str) -> Path | None:
    """Write :data:`CURVES`; None where there is nothing to draw yet."""
    if not progress.series:
        return None
    write_atomic(folder / CURVES, curves_svg(progress, title))
    return folder / CURVES


def _panel(name: str, points: Points, best: Best | None, x: float, y: float) -> Panel:
    values, places = [value for _, value in points], [at for at, _ in points]
    frame, across, up = _frame(values, places, x, y, _PANEL_WIDTH, _PANEL_HEIGHT)
    kept = thinned(points, _MOST_POINTS)
    pixels = [(across.place(at), up.place(value)) for at, value in kept]
    dots = [
        Mark(px, py, f"{at}: {shown(value)}")
        for (px, py), (at, value) in zip(pixels, kept, strict=True)
        if len(kept) <= _DOTS
    ]
    mark = (
        Mark(across.place(best.at), up.place(best.value), f"best {shown(best.value)} at {best.at}")
        if best
        else None
    )
    return Panel(
        frame=frame,
        name=name,
        short=fitted(name, _PANEL_WIDTH - _BESIDE, 13),
        said=mark.text if mark else f"last {shown(values[-1])}",
        line=_path(pixels),
        dots=tuple(dots),
        best=mark,
    )


def _frame(
    values: Sequence[float], places: Sequence[int], x: float, y: float, width: float, height: float
) -> tuple[Frame, Scale, Scale]:
    bottom = height - _BELOW
    up = Scale(*around(values), bottom, _ABOVE)
    ticks = up.ticks() if values else ()
    left = max(30.0, round(width_of([tick.label for tick in ticks]) + 14))
    right = width - _BESIDE
    first, last = min(places, default=1), max(places, default=1)
    # One epoch lies in the middle, and the marks of the ends not on the frame.
    room = max(0.5, (last - first) * 0.02)
    across = Scale(first - room, last + room, left, right)
    below = tuple(tick for tick in across.ticks(whole=True, most=6) if first <= int(tick.label) <= last)
    frame = Frame(x, y, left, right, _ABOVE, bottom, below, ticks)
    return frame, across, up


def _so_far(points: Points, most: bool, across: Scale, up: Scale) -> str:
    """Return the path of the best value until each trial, in steps."""
    pixels: list[tuple[float, float]] = []
    best: float | None = None
    for at, value in points:
        if best is not None:
            pixels.append((across.place(at), up.place(best)))
        best = value if best is None else max(best, value) if most else min(best, value)
        pixels.append((across.place(at), up.place(best)))
    return _path(pixels)


def _path(pixels: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{'L' if place else 'M'}{x:g} {y:g}" for place, (x, y) in enumerate(pixels))


def _one_line(name: str) -> str:
    """Return a name, which may hold anything, as what XML can hold in one line."""
    return in_line(name).replace("\ufffe", "").replace("\uffff", "")


def _render(template: str, title: str, *, width: float, **values: Any) -> bytes:
    whole = _one_line(title)
    short = fitted(whole, width - 2 * _MARGIN, 16)
    text: str = (
        environment()
        .get_template(template)
        .render(title=whole, short_title=short, width=width, head=_HEAD, margin=_MARGIN, **values)
    )
    return text.encode("utf-8")
