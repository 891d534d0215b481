"""The trials of a search as a table: Markdown, JSON, and lines for a terminal."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from porter import secrets
from porter.atomic import write_atomic
from porter.records.base import to_json
from porter.records.jobs import Job
from porter.records.training import SearchRoute
from porter.records.trials import Trial, Trials
from porter.report.curves import TRIALS, trials_svg
from porter.report.plot import shown
from porter.report.text import in_line

MARKDOWN = "trials.md"
JSON = "trials.json"

_NAME = re.compile(r"trial-(\d+)")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def trials_of(jobs: Sequence[Job], route: SearchRoute, best: str = "") -> Trials:
    """Return the trials among the jobs of a run, by number, and which is the best.

    Args:
        jobs: of the run.
        route: of the search.
        best: name of the trial that the search has chosen: of algorithms that give some trials fewer epochs
            it need not be the one with the best metric. Empty where it has chosen none yet.
    """
    found = sorted(
        (_trial(job, int(name[1])) for job in jobs if (name := _NAME.fullmatch(job.name))),
        key=lambda trial: trial.number,
    )
    direction: Literal["maximize", "minimize"] = "minimize" if route.direction == "minimize" else "maximize"
    sign = 1 if direction == "maximize" else -1
    measured = [(sign * trial.metric, -trial.number) for trial in found if trial.metric is not None]
    chosen = next((trial.number for trial in found if trial.name == best), None)
    known = dict.fromkeys([*route.parameters, *(key for trial in found for key in trial.values)])
    return Trials(
        metric=route.metric,
        direction=direction,
        parameters=tuple(known),
        best=chosen if chosen is not None else -max(measured)[1] if measured else None,
        trials=tuple(found),
    )


def write_trials(folder: Path, found: Trials, title: str) -> tuple[Path, ...]:
    """Write :data:`MARKDOWN`, :data:`JSON` and the drawing; returns their paths."""
    files = {
        MARKDOWN: markdown(found, title).encode("utf-8", "replace"),
        JSON: to_json(found),
        TRIALS: trials_svg(found, title),
    }
    for name, data in files.items():
        write_atomic(folder / name, data)
    return tuple(folder / name for name in files)


def markdown(found: Trials, title: str) -> str:
    """Return the trials as a page."""
    head, *rows = table(found)
    lines = [f"# {_cell(title)}", "", f"Metric `{_code(found.metric)}`, {found.direction}.", ""]
    if found.best is not None:
        lines += [f"The best is trial {found.best}: it is marked with a star.", ""]
    lines.append(f"| {' | '.join(map(_cell, head))} |")
    lines.append(f"| {' | '.join('---' for _ in head)} |")
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def table(found: Trials) -> list[list[str]]:
    """Return the head and a row per trial; the best has a star."""
    rows = [["TRIAL", "STATE", found.metric or "METRIC", *found.parameters, "TOOK", "REASON"]]
    for trial in found.trials:
        star = " *" if trial.number == found.best else ""
        rows.append(
            [
                f"{trial.number}{star}",
                trial.state,
                "" if trial.metric is None else exact(trial.metric),
                *(_value(trial.values[key]) if key in trial.values else "" for key in found.parameters),
                "" if trial.seconds is None else span(trial.seconds),
                trial.reason,
            ]
        )
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines for a terminal."""
    cells = [[in_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))] if cells else []
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def best_trial(found: Trials) -> Trial | None:
    """Return the best trial."""
    return next((trial for trial in found.trials if trial.number == found.best), None)


def exact(value: float) -> str:
    """Return a metric as text, with four digits."""
    return shown(value) if value and abs(value) < 1e-3 else f"{value:.4g}"


def span(seconds: float) -> str:
    """Return a time that passes, in the two units that matter."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    if whole < 90 * _MINUTE:
        return f"{round(whole / _MINUTE)} min"
    if whole < 2 * _DAY:
        hours, minutes = divmod(round(whole / _MINUTE), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(whole / _HOUR), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def seconds_of(job: Job) -> float | None:
    """Return how long a job took; None where it has not ended."""
    begun, ended = moment(job.started), moment(job.ended)
    if begun is None or ended is None or (begun.tzinfo is None) != (ended.tzinfo is None):
        return None
    return max(0.0, (ended - begun).total_seconds())


def moment(text: str) -> datetime.datetime | None:
    """Return a time of a record; None where there is none."""
    try:
        # Python 3.10 does not know the Z of ISO 8601.
        return datetime.datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
    except ValueError:
        return None


def _trial(job: Job, number: int) -> Trial:
    return Trial(
        number=number,
        name=job.name,
        state=job.state,
        metric=job.metric,
        values=job.values,
        seconds=seconds_of(job),
        reason=in_line(secrets.hide(job.reason)),
    )


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _cell(text: str) -> str:
    """Return text that Markdown shows as it is."""
    escaped = re.sub(r"([\\`*_\[\]|<>#~])", r"\\\1", in_line(text))
    return escaped.replace("&", "&amp;")


def _code(text: str) -> str:
    return in_line(text).replace("`", "'")
