"""Holds what a deploy script wrote for some images against what the trainer wrote for them, by task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from porter.gates.rows import compare_rows
from porter.records.base import Task
from porter.records.engines import DepthsAnswer, DepthsRequest, MaskPair, MasksAnswer, MasksRequest
from porter.session import PortSession

_EQUAL_PIXELS = {"fp32": 0.9999, "fp16": 0.99}
"""Least share of pixels with the same class: where two classes are equally likely, rounding decides."""

METRIC_TOLERANCE: dict[Task, float] = {
    "image-classification": 1e-6,
    "semantic-segmentation": 1e-4,
    "depth-estimation": 1e-4,
}
"""Bounds on the difference of two metrics. Of a pixel between two classes, or at a threshold of depth,
rounding decides; an image of another class is a larger step than any bound."""


@dataclass(frozen=True)
class Compared:
    """How far two runs over the same images are apart.

    Attributes:
        images: images compared.
        relative: largest relative difference (L2) of one image's numbers; None where there are only labels.
        max_abs: largest difference of a number.
        equal: share of labels that are the same: of images, or of pixels.
        per_image: *relative*, or the share of pixels that differ, by image name.
        problem: why they are not equal; empty where nothing but rounding differs.
        said: the numbers in words.
    """

    images: int
    relative: float | None = None
    max_abs: float | None = None
    equal: float = 1.0
    per_image: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    said: str = ""


def compare_outputs(
    session: PortSession, mode: str, native: Path, engine: Path, *, precision: str, tolerance: float
) -> Compared:
    """Compare the files of one script.

    Args:
        session: its task says what is compared.
        mode: ``inference`` or ``evaluate``.
        native: the trainer's results of that script.
        engine: the deploy script's.
        precision: of the engine, ``fp32`` or ``fp16``.
        tolerance: bound on the relative difference of numbers.
    """
    return _COMPARE[session.family.task](session, mode, native, engine, precision, tolerance)


def _rows(
    session: PortSession, mode: str, native: Path, engine: Path, precision: str, tolerance: float
) -> Compared:
    found = compare_rows(native / "result.csv", engine / "result.csv")
    problem = ""
    if not found.within(tolerance):
        why = found.problems or (f"relative {found.relative:.1e}, bound {tolerance:.0e}",)
        problem = f"{'; '.join(why)}, top-1 equal on {found.top_1:.0%}"
    return Compared(
        images=found.rows,
        relative=found.relative,
        max_abs=found.max_abs,
        equal=found.top_1,
        per_image=found.per_image,
        problem=problem,
        said=f"{found.rows} rows within {found.max_abs:.1e}, top-1 equal on {found.top_1:.0%}",
    )


def _masks(
    session: PortSession, mode: str, native: Path, engine: Path, precision: str, tolerance: float
) -> Compared:
    if mode == "evaluate":
        # An evaluation leaves metrics only, which are compared beside this.
        return Compared(images=0, said="metrics")
    request = MasksRequest(pair=MaskPair(native=str(native), engine=str(engine)))
    answer = session.probe("compare_masks", request, MasksAnswer, read=[native, engine])
    bound = _EQUAL_PIXELS[precision]
    problem = "; ".join(answer.problems[:3])
    if not problem and (not answer.images or answer.equal < bound):
        problem = f"{answer.equal:.4%} of the pixels have the same class, bound {bound:.2%}"
    return Compared(
        images=answer.images,
        equal=answer.equal,
        per_image=answer.different,
        problem=problem,
        said=f"{answer.images} masks, {answer.equal:.4%} of the pixels equal",
    )


def _depths(
    session: PortSession, mode: str, native: Path, engine: Path, precision: str, tolerance: float
) -> Compared:
    if mode == "evaluate":
        return Compared(images=0, said="metrics")
    request = DepthsRequest(native=str(native), engine=str(engine))
    answer = session.probe("compare_depths", request, DepthsAnswer, read=[native, engine])
    relative = max(answer.relative.values(), default=0.0)
    problem = "; ".join(answer.problems[:3])
    if not problem and (not answer.relative or not relative <= tolerance):
        problem = f"depth maps are relative {relative:.1e} apart, bound {tolerance:.0e}"
    return Compared(
        images=len(answer.relative),
        relative=relative,
        max_abs=answer.max_abs,
        per_image=answer.relative,
        problem=problem,
        said=f"{len(answer.relative)} depth maps relative {relative:.1e} apart",
    )


_COMPARE: dict[Task, Callable[[PortSession, str, Path, Path, str, float], Compared]] = {
    "image-classification": _rows,
    "semantic-segmentation": _masks,
    "depth-estimation": _depths,
}
