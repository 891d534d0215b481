"""How a phase writes its file plan: through the one write gate, with the outcome as a gate of its own."""

from __future__ import annotations

from collections.abc import Sequence

from porter.gates.results import failed, passed
from porter.records.gates import GateResult
from porter.records.plan import FilePlan
from porter.records.reference import Repo
from porter.session import PortSession


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

    applied = apply(
        plan,
        {repo: session.workspace.clone_path(repo) for repo in repos},
        session.workspace.pristine,
        bases={repo: session.release(repo).commit for repo in repos},
        dry_run=session.dry_run,
    )
    outcomes: dict[str, int] = {}
    for item in applied:
        outcomes[item.outcome] = outcomes.get(item.outcome, 0) + 1
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    if outcomes.get("conflict"):
        names = [item.path for item in applied if item.outcome == "conflict"]
        return failed(gate, f"conflicts in {', '.join(names)}", fix="settle them, then porter resume")
    return passed(
        gate,
        f"{said}{' (dry run)' if session.dry_run else ''}",
        files={f"{item.repo}/{item.path}": item.outcome for item in applied},
        produced_by={f"{file.repo}/{file.path}": file.produced_by for file in plan.files},
    )
