"""Compares two ``result.csv`` files of the same images: columns, order, names, probabilities, labels."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FP32_TOLERANCE = 1e-3
FP16_TOLERANCE = 1e-2
"""Bounds of ONNX -> engine on the relative difference (L2) of an image's probabilities."""

_AFTER_CLASSES = ("pred_label", "pred_score", "gt_label")


@dataclass(frozen=True)
class Comparison:
    """What the two files have in common.

    Attributes:
        rows: images compared.
        relative: largest relative difference (L2) of the probabilities of one image.
        max_abs: largest difference of a probability.
        top_1: share of images with the same label; one where the two best are within *max_abs* counts.
        per_image: relative difference by image name.
        problems: what differs beyond numbers; empty where nothing does.
    """

    rows: int
    relative: float
    max_abs: float
    top_1: float
    per_image: dict[str, float]
    problems: tuple[str, ...]

    def within(self, tolerance: float) -> bool:
        """Return whether nothing but rounding differs."""
        return bool(self.rows) and not self.problems and self.relative <= tolerance and self.top_1 == 1


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows; both empty where there is no file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.reader(file) if line]
    except OSError:
        return [], []
    return (lines[0], lines[1:]) if lines else ([], [])


def compare_rows(native: Path, engine: Path) -> Comparison:
    """Compare the trainer's file with the deploy script's, row by row in the order of the trainer's."""
    heading, ours = read_rows(native)
    other_heading, theirs = read_rows(engine)
    problems = []
    if not heading or not other_heading:
        problems.append(f"{(engine if heading else native).name} is missing or empty")
    elif heading != other_heading:
        problems.append(f"columns {_shown(other_heading)} are not the trainer's {_shown(heading)}")
    names, other_names = [row[0] for row in ours], [row[0] for row in theirs]
    if not problems and names != other_names:
        missing, extra = sorted({*names} - {*other_names}), sorted({*other_names} - {*names})
        problems.append(
            f"{len(missing)} images have no row, {len(extra)} rows have no image"
            if missing or extra
            else "the rows are in another order"
        )
    if problems:
        return Comparison(0, math.inf, math.inf, 0.0, {}, tuple(problems))
    classes = heading[1 : min(heading.index(name) for name in _AFTER_CLASSES if name in heading)]
    for row in (*ours, *theirs):
        problem = _malformed(row, heading, len(classes))
        if problem:
            return Comparison(0, math.inf, math.inf, 0.0, {}, (problem,))
    relative, largest, equal = {}, 0.0, 0
    for mine, other in zip(ours, theirs, strict=True):
        wanted, found = _numbers(mine, len(classes)), _numbers(other, len(classes))
        apart = [abs(a - b) for a, b in zip(wanted, found, strict=True)]
        norm = math.sqrt(sum(value**2 for value in wanted)) or math.nan
        relative[Path(mine[0]).name] = math.sqrt(sum(value**2 for value in apart)) / norm
        largest = max(largest, *apart)
        equal += _same_label(dict(zip(heading, mine, strict=True)), dict(zip(heading, other, strict=True)))
        problems += _contradictions(other_heading, other, classes, found)
    return Comparison(
        rows=len(ours),
        relative=max(relative.values(), default=math.inf),
        max_abs=largest,
        top_1=equal / len(ours) if ours else 0.0,
        per_image=relative,
        problems=tuple(problems[:5]),
    )


def _malformed(row: Sequence[str], heading: Sequence[str], classes: int) -> str:
    """Return why a row cannot be compared; empty where it can."""
    if len(row) != len(heading):
        return f"{row[0]}: {len(row)} cells under {len(heading)} columns"
    cells = [*row[1 : 1 + classes], row[heading.index("pred_score")]]
    wrong = [cell for cell in cells if not _is_number(cell)]
    if wrong:
        return f"{row[0]}: {wrong[0]!r} is no number"
    if row[heading.index("pred_label")] not in heading[1 : 1 + classes]:
        return f"{row[0]}: label {row[heading.index('pred_label')]!r} is no class"
    return ""


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _numbers(row: Sequence[str], count: int) -> list[float]:
    return [float(cell) for cell in row[1 : 1 + count]]


def _same_label(mine: dict[str, str], other: dict[str, str]) -> bool:
    if mine.get("gt_label") != other.get("gt_label"):
        return False
    if mine["pred_label"] == other["pred_label"]:
        return True
    # A tie may fall either way.
    return abs(float(other[mine["pred_label"]]) - float(other["pred_score"])) <= 1e-6


def _contradictions(
    heading: Sequence[str], row: Sequence[str], classes: Sequence[str], found: Sequence[float]
) -> list[str]:
    """Say where a row contradicts itself: its label and score are those of its largest probability."""
    said = dict(zip(heading, row, strict=True))
    best = max(range(len(found)), key=found.__getitem__)
    problems = []
    if said["pred_label"] != classes[best]:
        problems.append(f"{row[0]}: label {said['pred_label']}, largest probability {classes[best]}")
    if abs(float(said["pred_score"]) - found[best]) > 1e-6:
        problems.append(f"{row[0]}: score {said['pred_score']}, largest probability {found[best]}")
    if abs(sum(found) - 1) > 1e-3:
        problems.append(f"{row[0]}: probabilities sum to {sum(found):.4f}")
    return problems


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 9 else f"{', '.join(names[:4])} ... {', '.join(names[-4:])}"
