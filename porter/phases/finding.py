"""Phase 2's search for rules to a model of timm, for a family that has none."""

from __future__ import annotations

import shutil
from pathlib import Path

from porter.errors import PorterError
from porter.records.finder import Finding, FindRulesAnswer
from porter.records.inspection import Inspection, ModelProbe
from porter.session import PortSession


def finding(session: PortSession, inspection: Inspection) -> Finding:
    """Return what the rule finder makes of the model; a search that fails is a refusal, not the end.

    The whole of it is written for a person to ``evidence/rule-finder.txt`` of the workspace.
    """
    from porter.reference.timm_candidates import candidates
    from porter.weights.finder import describe, find

    tried = candidates(inspection.model_type, inspection.config)
    work = session.workspace.state / "work" / "finder"

    def search() -> Finding:
        work.mkdir(parents=True, exist_ok=True)
        try:
            return find(
                session.probe,
                Path(inspection.source.folder),
                work=work,
                image_size=inspection.image_size or (224, 224),
                channels=inspection.channels,
                candidates=tried,
            )
        except PorterError as error:
            nothing = FindRulesAnswer(source=inspection.architecture, parameters=0)
            return Finding(answer=nothing, refusal=f"the rule finder did not get through: {error.what}")
        finally:
            shutil.rmtree(work, ignore_errors=True)

    found = session.journal.step(
        "rule-finder",
        {
            "config": inspection.config,
            "architecture": inspection.architecture,
            "image_size": inspection.image_size,
            "channels": inspection.channels,
            "candidates": tried,
            "transformers": session.journal.made("model-probe", ModelProbe).transformers,
            "environment": session.runtimes.environment().digest,
        },
        Finding,
        search,
    )
    evidence = session.workspace.state / "evidence"
    evidence.mkdir(parents=True, exist_ok=True)
    (evidence / "rule-finder.txt").write_text(describe(found), encoding="utf-8")
    return found
