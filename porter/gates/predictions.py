"""The gate of phase 3 that holds the trainer's inference against the Hugging Face model, by task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from porter.gates.results import blocked, failed, passed
from porter.records.base import Task
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts
from porter.records.runs import (
    DepthPredictionsAnswer,
    DepthPredictionsRequest,
    MaskPredictionsAnswer,
    MaskPredictionsRequest,
    PredictionsAnswer,
    PredictionsRequest,
    ScriptOutcome,
)
from porter.records.weights import Conversion, WeightPlan
from porter.session import PortSession
from porter.views import View

_PREDICTION_TOLERANCE = 1e-4
_DEPTH_TOLERANCE = 1e-4
_LEAST_SPREAD = 1e-2
_EQUAL_PIXELS = 0.999
"""Share of equal pixels: where two classes are equally likely, rounding decides."""


def predictions_gate(
    session: PortSession, step: ScriptOutcome, view: View, results: Path, conversion: Conversion
) -> GateResult:
    """Hold what inference with the converted checkpoint wrote against the Hugging Face model.

    Args:
        session: its dataset was used.
        step: how the inference ended.
        view: the gates' dataset root.
        results: its results folder.
        conversion: the checkpoint.
    """
    if not step.ok:
        return failed(
            "predictions",
            "inference with the converted checkpoint failed",
            text=step.error,
            traceback=step.error,
        )
    return _PREDICTIONS[session.family.task](session, view, results, conversion)


def _labels(session: PortSession, view: View, results: Path, conversion: Conversion) -> GateResult:
    labels = session.workspace.state / "labels"
    request = PredictionsRequest(
        folder=session.inspection.source.folder,
        csv=str(results / "inference" / "result.csv"),
        classes=str(labels / "classes.txt"),
        new_head=_new_head(session),
        checkpoint=conversion.checkpoint,
    )
    dataset = session.journal.made("dataset", DatasetFacts)
    answer = session.prove(
        "predictions",
        {"request": request, "csv": session.fingerprint(Path(request.csv))},
        PredictionsAnswer,
        lambda: session.probe(
            "predictions",
            request,
            PredictionsAnswer,
            read=[
                request.folder,
                results,
                labels,
                view.root,
                dataset.root,
                Path(conversion.checkpoint).parent,
            ],
        ),
    )
    evidence: dict[str, Any] = {"rows": answer.rows, "max_abs": answer.max_abs, "top_1": answer.top_1}
    said = (
        f"{answer.rows} images: probabilities within {answer.max_abs:.1e}, top-1 equal on {answer.top_1:.0%}"
    )
    if not answer.rows or not answer.max_abs <= _PREDICTION_TOLERANCE or answer.top_1 < 1:
        return failed("predictions", said, **evidence)
    return passed("predictions", f"{said} (bound {_PREDICTION_TOLERANCE:.0e})", **evidence)


def _new_head(session: PortSession) -> dict[str, str]:
    """Return where the converted checkpoint keeps the tensors of a new head, by their names in the model."""
    plan = session.journal.made("ledger-noted", WeightPlan)
    if plan.head != "re-initialised":
        return {}
    heads = zip((plan.source_head, *plan.source_twins), (plan.target_head, *plan.target_twins), strict=True)
    return {
        f"{source}{step.target.name.removeprefix(target)}": f"{plan.key_prefix}{step.target.name}"
        for source, target in heads
        for step in plan.operations
        if step.target.name.startswith(f"{target}.")
    }


def _masks(session: PortSession, view: View, results: Path, conversion: Conversion) -> GateResult:
    if session.journal.made("ledger-noted", WeightPlan).head == "re-initialised":
        return blocked(
            "predictions",
            "the last layer is new, so the model's own masks say nothing of it; parity holds the rest",
        )
    request = MaskPredictionsRequest(
        folder=session.inspection.source.folder,
        architecture=session.inspection.architecture,
        images=f"{view.root}/images/test",
        results=str(results / "inference"),
    )
    dataset = session.journal.made("dataset", DatasetFacts)
    answer = session.prove(
        "predictions",
        {"request": request, "csv": session.fingerprint(results / "inference" / "result.csv")},
        MaskPredictionsAnswer,
        lambda: session.probe(
            "mask_predictions",
            request,
            MaskPredictionsAnswer,
            read=[request.folder, results, view.root, dataset.root],
        ),
    )
    evidence: dict[str, Any] = {
        "images": answer.images,
        "pixels": answer.pixels,
        "equal": answer.equal,
        "classes": answer.classes,
    }
    said = f"{answer.images} masks: {answer.equal:.4%} of {answer.pixels} pixels have the model's class"
    if answer.problems or not answer.images or answer.equal < _EQUAL_PIXELS:
        return failed("predictions", "; ".join(answer.problems[:3]) or said, **evidence)
    return passed("predictions", f"{said} (bound {_EQUAL_PIXELS:.1%}), {answer.classes} classes", **evidence)


def _depths(session: PortSession, view: View, results: Path, conversion: Conversion) -> GateResult:
    from porter.depth_dataset import images_of

    request = DepthPredictionsRequest(
        folder=session.inspection.source.folder,
        architecture=session.inspection.architecture,
        images=images_of(Path(view.root), "test"),
        results=str(results / "inference"),
    )
    dataset = session.journal.made("dataset", DatasetFacts)
    answer = session.prove(
        "predictions",
        {"request": request, "csv": session.fingerprint(results / "inference" / "result.csv")},
        DepthPredictionsAnswer,
        lambda: session.probe(
            "depth_predictions",
            request,
            DepthPredictionsAnswer,
            read=[request.folder, results, view.root, dataset.root],
        ),
    )
    evidence: dict[str, Any] = {
        name: getattr(answer, name) for name in ("images", "relative", "max_abs", "numbers", "spread")
    }
    said = (
        f"{answer.images} depth maps: relative {answer.relative:.1e} from the model's, their numbers "
        f"{answer.numbers:.1e}"
    )
    if answer.problems or not answer.images or max(answer.relative, answer.numbers) > _DEPTH_TOLERANCE:
        return failed("predictions", "; ".join(answer.problems[:3]) or said, **evidence)
    if answer.spread < _LEAST_SPREAD:
        return failed("predictions", f"{said}; but the model gives one depth everywhere", **evidence)
    return passed("predictions", f"{said} (bound {_DEPTH_TOLERANCE:.0e})", **evidence)


_PREDICTIONS: dict[Task, Callable[[PortSession, View, Path, Conversion], GateResult]] = {
    "image-classification": _labels,
    "semantic-segmentation": _masks,
    "depth-estimation": _depths,
}
