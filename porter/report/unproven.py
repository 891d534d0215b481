"""What keeps a port from being proven, and what to do about each."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from porter.errors import GateFailedError, IncompleteError, PorterError
from porter.records.review import Review, ReviewGate, ReviewPhase, ReviewRepo, Unproven
from porter.report.text import visible

_UNBLOCK = "; unblock: "
"""In the summary of a blocked gate what is missing comes before it, and how to get that after it."""

_ORDER = ("failed", "changed", "blocked", "rehearsed", "not run")


def find_unproven(
    phases: Iterable[ReviewPhase], repos: Iterable[ReviewRepo], workspace: str
) -> tuple[Unproven, ...]:
    """Return everything that is not proven: what failed first, what has not run last."""
    resume = f"porter resume {shlex.quote(workspace)}"
    found = [item for phase in phases for item in _of_phase(phase, resume)]
    found += [item for repo in repos for item in _of_repo(repo, resume)]
    return tuple(sorted(found, key=lambda item: _ORDER.index(item.kind)))


def refusal(review: Review) -> PorterError | None:
    """Return the error that says all that is unproven; None where nothing is.

    A failed gate makes it a :class:`GateFailedError`, anything else an :class:`IncompleteError`.
    """
    if not review.unproven:
        return None
    counts = {kind: sum(item.kind == kind for item in review.unproven) for kind in _ORDER}
    total = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    lines = [visible(f"{item.kind}: {item.what}: {said(item)}") for item in review.unproven]
    first = review.unproven[0]
    family = GateFailedError if counts["failed"] else IncompleteError
    return family(
        f"The port is not proven: {total}.",
        why="\n      ".join(lines),
        next_step=visible("; or ".join(step for step in (first.remedy, first.command) if step)),
    )


def _of_phase(phase: ReviewPhase, resume: str) -> Iterator[Unproven]:
    if phase.changed:
        yield Unproven(
            kind="changed",
            what=f"phase {phase.number} ({phase.title})",
            why=phase.changed,
            remedy=f"{sum(gate.state == 'changed' for gate in phase.gates)} gates held on what does not lie "
            "there any more; run the phase again",
            command=resume,
        )
    for gate in phase.gates:
        if gate.state == "passed" or gate.state == "changed":
            continue  # what changed is said once for the phase
        yield Unproven(
            kind=gate.state,
            what=gate.gate,
            gate=gate.gate,
            why=_why(gate),
            remedy=_remedy(gate),
            command=resume if gate.state == "not run" else gate.again,
            stand_in=_stand_in(gate) if gate.state == "rehearsed" else "",
        )


def _of_repo(repo: ReviewRepo, resume: str) -> Iterator[Unproven]:
    if repo.problem:
        yield Unproven(kind="changed", what=repo.repo, why=repo.problem, command=resume)
    if repo.unseen:
        shown: Sequence[str] = repo.unseen[:5]
        more = f" and {len(repo.unseen) - 5} more" if len(repo.unseen) > 5 else ""
        add = shlex.join(["git", "-C", repo.worktree, "add", "--intent-to-add", "--", *shown])
        yield Unproven(
            kind="changed",
            what=repo.repo,
            why=f"files that the gates did not count: {', '.join(shown)}{more}",
            remedy="show them to git and run the gates again, or remove them",
            command=f"{add} && {resume}",
        )


def said(item: Unproven) -> str:
    """Return why something is unproven, in one line; for what is blocked also how to unblock it."""
    return f"{item.why}{_UNBLOCK}{item.remedy}" if item.kind == "blocked" and item.remedy else item.why


def _why(gate: ReviewGate) -> str:
    return gate.summary.partition(_UNBLOCK)[0] or gate.title


def _remedy(gate: ReviewGate) -> str:
    if gate.state == "failed":
        return "; ".join(text for text in (gate.cause, gate.fix) if text)
    if gate.state == "rehearsed":
        return "run it where the real part is; nothing else of the port has to change"
    if gate.state == "not run":
        return ""
    return gate.fix or gate.summary.partition(_UNBLOCK)[2]


def _stand_in(gate: ReviewGate) -> str:
    named = gate.evidence.get("stand_in")
    return named if isinstance(named, str) and named else gate.stand_in
