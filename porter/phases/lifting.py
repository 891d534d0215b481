"""Phase 2's look at the model's source: lifted into one file, and tried where transformers is not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from porter.errors import PorterError
from porter.records.inspection import Inspection, ModelProbe
from porter.records.transplant import (
    LiftFacts,
    Lifting,
    LiftRequest,
    Trial,
    TrialRequest,
    TweakName,
)
from porter.session import PortSession

_TOLERANCE = 1e-5
_EXPORTED = 1e-4
"""The bound of the gate parity-onnx."""


def lifting(session: PortSession, inspection: Inspection) -> Lifting:
    """Return the model as one file that computes what transformers computes, or why there is none."""
    from porter.reference.hold import exported_attention
    from porter.transplant.lift import lift
    from porter.transplant.tweaks import ALL, ALWAYS

    assert inspection.probe is not None
    attention = exported_attention(inspection.probe)
    # Only where the original does not export, or not well enough, is more rewritten than tracing needs.
    exports = bool(attention) and exports_well(inspection.probe)
    tweaks: Sequence[TweakName] = ALWAYS if exports else ALL
    facts = _facts(session, inspection)
    if isinstance(facts, str):
        return Lifting(reasons=(facts,))
    lifted = session.journal.step(
        "lifted", {"facts": facts, "tweaks": tweaks}, Lifting, lambda: lift(facts, tweaks=tweaks)
    )
    if lifted.lifted is None:
        return lifted
    request = TrialRequest(
        folder=inspection.source.folder,
        architecture=inspection.architecture,
        text=lifted.lifted.text,
        config=lifted.lifted.config,
        attention=attention or "eager",
        image_size=inspection.image_size or (224, 224),
        channels=inspection.channels,
        export=not exports,
    )
    problems = verdict(_trial(session, request), exact=lifted.lifted.exact)
    if problems:
        return Lifting(reasons=problems)
    return msgspec.structs.replace(lifted, attention=request.attention)


def exports_well(probe: ModelProbe) -> bool:
    """Return whether ONNX Runtime computes the exported original as closely as the port will have to."""
    return probe.max_relative_error is not None and probe.max_relative_error <= _EXPORTED


def verdict(trial: Trial, *, exact: bool) -> tuple[str, ...]:
    """Return what speaks against a lifted file; pure.

    Args:
        trial: what came of running it.
        exact: whether it has to compute the same numbers bit for bit.
    """
    if trial.missing or trial.unexpected:
        name = (*trial.missing, *trial.unexpected)[0]
        count = len({*trial.missing, *trial.unexpected})
        return (f"the lifted file has other tensors than transformers: {count}, such as {name}",)
    if trial.error:
        return (f"the lifted file does not run: {trial.error}",)
    if trial.relative is None or not trial.relative <= (0.0 if exact else _TOLERANCE):
        return (f"the lifted file differs from transformers by {trial.relative}",)
    return ()


def _facts(session: PortSession, inspection: Inspection) -> LiftFacts | str:
    """Return the model's source, or why it cannot be read."""
    from porter.transplant.reach import SKIP

    folder = inspection.source.folder
    request = LiftRequest(folder=folder, architecture=inspection.architecture, skip=SKIP)
    probe = session.journal.made("model-probe", ModelProbe)
    try:
        return session.journal.step(
            "lift-facts",
            {
                "request": request,
                "config": inspection.config,
                "transformers": probe.transformers,
                "environment": session.runtimes.environment().digest,
            },
            LiftFacts,
            lambda: session.probe("lift_facts", request, LiftFacts, read=[folder]),
        )
    except PorterError as error:
        return f"its source cannot be read: {error.what}"


def _trial(session: PortSession, request: TrialRequest) -> Trial:
    """Return what came of running the lifted file; a run that died is no record, so it is tried again."""
    try:
        return session.journal.step(
            "lift-trial",
            {
                "request": request,
                "source": session.source,
                "environment": session.runtimes.environment().digest,
            },
            Trial,
            lambda: session.probe("lift_trial", request, Trial, read=[request.folder]),
        )
    except PorterError as error:
        return Trial(error=error.what)
