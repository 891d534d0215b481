"""Phase 5: console commands, documentation, headers, tests; the cross-phase checklist; the catalog."""

from __future__ import annotations

from collections.abc import Iterator

from porter.gates import docs, entry, package, unit_tests
from porter.gates.consistency import consistency_gates
from porter.records.gates import GateResult
from porter.records.plan import FilePlan
from porter.records.reference import Repo
from porter.session import PortSession

TESTED: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")


def test_files(session: PortSession, repo: Repo) -> tuple[str, ...]:
    """Return the generated tests of a repository, relative to its worktree."""
    if repo == "tao-deploy" and not session.tao.has_deploy:
        return ()
    step = "file-plan" if repo == "tao-pytorch" else "deploy-file-plan"
    plan = session.journal.made(step, FilePlan)
    return tuple(file.path for file in plan.files if file.path.startswith("tests/"))


def run(session: PortSession) -> Iterator[GateResult]:
    """Check what makes the generated packages part of their repositories."""
    if session.dry_run:
        return
    yield package.console_gate(session)
    yield docs.docs_gate(session)
    yield package.headers_gate(session)
    for repo in TESTED:
        yield unit_tests.collected_gate(session, f"tests-collected-{repo}", repo, test_files(session, repo))
    yield from consistency_gates(session)
    yield entry.entry_gate(session)
