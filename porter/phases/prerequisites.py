"""Phase 0: what this machine has."""

from __future__ import annotations

from collections.abc import Iterator

from porter.records.gates import GateResult
from porter.session import PortSession


def run(session: PortSession) -> Iterator[GateResult]:
    """Check the machine; what is blocked stops no port, what failed stops it here."""
    from porter import doctor

    options = session.options
    for result in doctor.checks(
        options.engine,
        options.images,
        folder=session.workspace.state / "images",
        progress=session.ui.progress,
    ):
        if result.gate != "prerequisites-environment":
            yield result
