"""The ledger as a file beside the checkpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from porter.atomic import write_atomic
from porter.records.base import from_json, to_json
from porter.records.ledger import LedgerCheckpoint, LedgerFile, LedgerModel, LedgerTarget
from porter.records.weights import Conversion, TargetModule, WeightPlan
from porter.session import PortSession


def ledger_path(checkpoint: str) -> Path:
    """Return where the ledger of a checkpoint lies."""
    return Path(checkpoint).with_suffix(".ledger.json")


def write_ledger(
    session: PortSession, plan: WeightPlan, built: TargetModule, conversion: Conversion, rules: str
) -> str:
    """Write the ledger of *plan* and return its path.

    A file that has the measured effects of the same plan is left alone.
    """
    from porter.weights.invert import invert

    inspection, release = session.inspection, session.reference.release
    path = ledger_path(conversion.checkpoint)
    made = LedgerFile(
        name=session.options.name,
        source=LedgerModel(
            id=inspection.source.ref,
            revision=inspection.source.sha,
            architecture=inspection.architecture,
            tensors=len(inspection.tensors),
        ),
        target=LedgerTarget(
            kind=built.kind,
            release=release.version,
            commit=release.commit,
            tensors=len(built.tensors),
        ),
        checkpoint=LedgerCheckpoint(
            file=Path(conversion.checkpoint).name,
            sha256=conversion.sha256,
            key_prefix=plan.key_prefix,
            safetensors=Path(conversion.safetensors).name,
        ),
        strategy=session.choice.strategy.strategy,
        rules=rules,
        head=plan.head,
        fates=dict(sorted(Counter(row.fate for row in plan.ledger.rows).items())),
        rows=plan.ledger.rows,
        operations=plan.operations,
        computed=tuple(each.name for each in plan.computed),
        irreversible=invert(plan).lost_names,
    )
    measured = any(row.inert is not None for row in plan.ledger.rows)
    if measured or not _same_but_rows(path, made):
        write_atomic(path, to_json(made))
    return str(path)


def _same_but_rows(path: Path, made: LedgerFile) -> bool:
    """Return whether the file that lies there is of the same plan, whatever was measured since."""
    try:
        there = from_json(path.read_bytes(), LedgerFile)
    except (OSError, msgspec.MsgspecError):
        return False
    return msgspec.structs.replace(there, rows=made.rows) == made
