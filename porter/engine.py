"""Walks the phases of a port."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from porter.errors import GateFailedError, PorterError, UsageError
from porter.journal import Journal
from porter.records.gates import GateResult
from porter.records.journal import PhaseRecord
from porter.workspace import Workspace


class Session(Protocol):
    """What the engine needs to know of a port in progress."""

    @property
    def workspace(self) -> Workspace:
        """The workspace, locked by the caller."""

    @property
    def journal(self) -> Journal:
        """Its journal."""

    def inputs(self, number: int) -> Mapping[str, Any]:
        """Return what the phase depends on: options, clone commits, model, template version."""


S = TypeVar("S", bound=Session)

Failure = Callable[[int, Sequence[GateResult], PorterError], GateResult]
"""Names the gate that an error kept from passing, given the phase and its gates so far."""


@dataclass(frozen=True)
class Phase(Generic[S]):
    """One phase of the port, as data.

    Attributes:
        number, title: as the user sees them.
        needs: names of steps of earlier phases whose results it uses.
        makes: names of its own steps whose results others use.
        run: does it and hands out gate results, each right after the step that the gate checks;
            a generator is not asked for more once a gate has failed.
    """

    number: int
    title: str
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    run: Callable[[S], Iterable[GateResult]]


@dataclass(frozen=True)
class Event:
    """Something to show. *text* says why a phase that has run before starts again."""

    kind: Literal["started", "skipped", "gate", "finished"]
    phase: int
    title: str
    text: str = ""
    gate: GateResult | None = None


def walk(
    phases: Sequence[Phase[S]],
    session: S,
    *,
    last: int = 7,
    on_event: Callable[[Event], None] = lambda _event: None,
    failure: Failure | None = None,
) -> tuple[PhaseRecord, ...]:
    """Walk *phases* up to *last* and return all records.

    A phase is skipped when its record matches its inputs, its outputs are intact and none of its gates
    is open. A failed gate stops the walk right there; a blocked one lets it go on.

    An expected error ends the phase like a failed gate: its record says so, then the error goes on.

    Raises:
        GateFailedError: a gate failed; the phase's record says so.
    """
    records: list[PhaseRecord] = []
    for phase in phases:
        if phase.number > last:
            break
        record = session.journal.phase(phase.number)
        _check_needs(phase, records)
        reason = session.journal.unsettled(phase.number, session.inputs(phase.number), phase.needs)
        if record is None or reason is not None:
            on_event(Event("started", phase.number, phase.title, reason or ""))
            record = _run(phase, session, on_event, failure)
            on_event(Event("finished", phase.number, phase.title))
        else:
            on_event(Event("skipped", phase.number, phase.title))
        records.append(record)
    return tuple(records)


def _run(
    phase: Phase[S], session: S, on_event: Callable[[Event], None], failure: Failure | None
) -> PhaseRecord:
    session.journal.enter(phase.number)
    gates: list[GateResult] = []
    stopped: PorterError | None = None
    try:
        for gate in phase.run(session):
            gates.append(gate)
            on_event(Event("gate", phase.number, phase.title, gate=gate))
            if gate.state == "failed":
                stopped = _failure(gate)
                break
    except UsageError:
        # A question that nobody answered proves nothing about the port.
        raise
    except PorterError as error:
        stopped = error
        if failure is not None:
            gates.append(failure(phase.number, gates, error))
            on_event(Event("gate", phase.number, phase.title, gate=gates[-1]))
    # Asked for after the run: a name that the phase itself settled with the user is part of its record.
    record = session.journal.close(
        phase.number, phase.title, session.inputs(phase.number), phase.needs, gates
    )
    if stopped is not None:
        raise stopped
    if forgotten := set(phase.makes) - set(record.made):
        raise RuntimeError(f"phase {phase.number} promised {sorted(forgotten)} and did not make it")
    return record


def _failure(gate: GateResult) -> GateFailedError:
    steps = [step for step in (gate.fix, gate.command and f"repeat it: {gate.command}") if step]
    return GateFailedError(
        f"gate {gate.gate} failed: {gate.summary}", why=gate.cause, next_step="; or ".join(steps)
    )


def _check_needs(phase: Phase[S], records: Sequence[PhaseRecord]) -> None:
    missing = sorted(set(phase.needs).difference(*(record.made for record in records)))
    if missing:
        raise RuntimeError(f"phase {phase.number} needs {missing}, which no phase before it makes")
