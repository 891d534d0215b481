"""How a phase writes its file plan: through the one write gate, with the outcome as a gate of its own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from porter.gates.results import failed, passed
from porter.records.gates import GateResult
from porter.records.plan import Applied, FilePlan
from porter.records.reference import Repo
from porter.session import PortSession
from porter.workspace import Workspace


def apply_plan(session: PortSession, plan: FilePlan, gate: str, repos: Sequence[Repo]) -> GateResult:
    """Bring the worktrees of *repos* to what the plan says.

    Args:
        session: a dry run writes nothing.
        plan: every file of the port in those repositories.
        gate: id of the gate that says what was done.
        repos: whose worktrees they are.

    Raises:
        ConflictError: a person has to settle a file.
    """
    from porter.generate.apply import apply

    bases = {repo: session.tao.release(repo).commit for repo in repos}
    workspace = _compared(session, bases)
    again = any(path.is_file() for repo in repos for path in (workspace.pristine / repo).rglob("*"))
    applied = apply(
        plan,
        {repo: workspace.clone_path(repo) for repo in repos},
        workspace.pristine,
        bases=bases,
        dry_run=session.dry_run,
        again=f"porter resume {shlex.quote(str(workspace.root))}",
    )
    outcomes: dict[str, int] = {}
    for item in applied:
        outcomes[item.outcome] = outcomes.get(item.outcome, 0) + 1
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    if outcomes.get("conflict"):
        names = [item.path for item in applied if item.outcome == "conflict"]
        return failed(
            gate,
            f"conflicts in {', '.join(names)}",
            fix="porter port without --dry-run puts both sides where you can settle them",
            changed=_changed(applied),
        )
    return passed(
        gate,
        f"{said}{' (dry run)' if session.dry_run else ''}",
        changed=_changed(applied) if again else {},
        files={f"{item.repo}/{item.path}": item.outcome for item in applied},
        produced_by={f"{file.repo}/{file.path}": file.produced_by for file in plan.files},
    )


def _changed(applied: Sequence[Applied]) -> dict[str, str]:
    """Return what became of each file that is not as it was before."""
    return {
        f"{item.repo}/{item.path}": f"{item.outcome}{item.detail and f': {item.detail}'}"
        for item in applied
        if item.outcome != "identical"
    }


def _compared(session: PortSession, bases: Mapping[Repo, str]) -> Workspace:
    """Return the workspace whose files the plan is held against: that of the port, if it began there."""
    from porter import clones

    there = session.against
    for repo, commit in bases.items():
        record = clones.read_record(there, repo) if there is not None else None
        if record is None or record.commit != commit or not Path(record.worktree).exists():
            return session.workspace
    return there or session.workspace
