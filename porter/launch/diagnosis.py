"""Why a job failed: its log held against what the catalog knows of the network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from porter import secrets
from porter.records.catalog import ErrorPattern
from porter.records.progress import Diagnosis

STALLED_AFTER = 30
"""Minutes after which a job that says nothing is worth a warning."""

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_RANK = re.compile(r"^\[?(?:rank\s?)?\d+\]?:\s?")
_TRACEBACK = "Traceback (most recent call last):"
# What a launcher says of a process that has failed: the process itself has said why.
_LAUNCHER = ("torch.distributed.elastic", "subprocess.CalledProcessError")
_EMPTY_WORDS = (
    "Set the environment variable HYDRA_FULL_ERROR",
    "Execution status:",
    "Sending telemetry data",
    "Telemetry data",
    "[Error]:",
)
_DETAILS = 3
_TAIL = 3
_LONGEST = 500


def diagnose(log: str, patterns: Sequence[ErrorPattern]) -> Diagnosis:
    """Return why a job failed, as its log shows it.

    The last line that a pattern is found in decides: what ends a job comes after its warnings, and after
    failures that it got over. Where several patterns are found in that line, the first of the catalog does:
    there the more telling ones come first. Without any, the exception of the last traceback is shown, or
    else the last lines.

    Args:
        log: what the job printed, or the end of it.
        patterns: of the network.
    """
    lines = list(_lines(log))
    compiled = [(re.compile(known.pattern), known) for known in patterns]
    found = [
        (place, known)
        for place, line in enumerate(lines)
        if (known := next((one for form, one in compiled if form.search(line)), None))
    ]
    if not found:
        return Diagnosis(lines=_shown(_exception(lines) or _last(lines)))
    place, decided = found[-1]
    others = dict.fromkeys(known.cause for _, known in found if known.cause != decided.cause)
    return Diagnosis(
        cause=decided.cause,
        fix=decided.fix,
        lines=_shown([lines[place], *_details(lines, place)]),
        others=tuple(others),
    )


def stalled(job: str, quiet: float, *, minutes: float = STALLED_AFTER) -> str:
    """Return a warning of a job that says nothing; empty where it is not quiet for long.

    Args:
        job: its name.
        quiet: seconds since its log or its ``status.json`` has last grown.
        minutes: how long a job may be quiet.
    """
    if quiet < minutes * 60:
        return ""
    return (
        f"{job} has said nothing for {int(quiet // 60)} minutes, neither in its log nor in status.json: "
        "it may hang, or one epoch takes that long; porter logs shows the last lines, porter cancel ends it"
    )


def _lines(log: str) -> Iterator[str]:
    for line in re.split(r"[\r\n]+", _COLOUR.sub("", log)):
        yield _RANK.sub("", line.rstrip())


def _details(lines: Sequence[str], place: int) -> Iterator[str]:
    """Yield the indented lines below one: OmegaConf names the key of the spec there."""
    for line in lines[place + 1 : place + 1 + _DETAILS]:
        if not line.startswith(" ") or line.strip() in lines[place]:
            return
        yield line


def _exception(lines: Sequence[str]) -> list[str]:
    """Return what the last traceback ends with, other than those of launchers."""
    said: list[str] = []
    for place, line in enumerate(lines):
        if line.strip() != _TRACEBACK:
            continue
        indent = len(line) - len(line.lstrip())
        for number, after in enumerate(lines[place + 1 :], place + 1):
            if after.strip() and len(after) - len(after.lstrip()) <= indent:
                if not after.strip().startswith(_LAUNCHER):
                    said = [after, *_details(lines, number)]
                break
    return said


def _last(lines: Sequence[str]) -> list[str]:
    telling = [line for line in lines if line.strip() and not any(words in line for words in _EMPTY_WORDS)]
    return telling[-_TAIL:]


def _shown(lines: Sequence[str]) -> tuple[str, ...]:
    hidden = (secrets.hide(line.strip()) for line in lines)
    return tuple(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..." for line in hidden)
