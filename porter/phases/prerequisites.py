"""Phase 0: what this machine has."""

from __future__ import annotations

from collections.abc import Iterator

from porter.records.gates import GateResult
from porter.session import PortSession


def run(session: PortSession) -> Iterator[GateResult]:
    """Check the machine; nothing here stops a port that can do without a GPU or containers."""
    from porter import doctor

    for result in doctor.checks():
        if result.gate != "prerequisites-environment":
            yield result
