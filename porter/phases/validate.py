"""Phase 6: environments, unit tests, lint, wheels, and the whole chain from training to the engine."""

from __future__ import annotations

from collections.abc import Iterator

from porter.gates import chain, environments, lint, unit_tests, wheels
from porter.phases.implement import context_of
from porter.phases.package import TESTED, test_files
from porter.records.gates import GateResult
from porter.session import PortSession


def run(session: PortSession) -> Iterator[GateResult]:
    """Validate the port in the order in which a failure is cheapest to find."""
    if session.dry_run:
        return
    yield environments.clean_gate(session)
    yield unit_tests.core_gate(session)
    for repo in TESTED:
        yield unit_tests.unit_test_gate(session, f"tests-{repo}", repo, test_files(session, repo))
    yield lint.lint_gate(session, "tao-pytorch")
    yield lint.lint_gate(session, "tao-deploy")
    yield wheels.wheel_gate(session, "tao-pytorch")
    yield wheels.wheel_gate(session, "tao-deploy")
    yield wheels.extensions_gate(session)
    yield from chain.chain_gates(session, context_of(session))
