"""Reads a workspace into a review: records, worktrees and logs as they lie there. Runs nothing."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import msgspec

import porter
from porter.errors import PorterError
from porter.gates.catalogue import GATES
from porter.inspection import HEAD_STEP, PICKLES_STEP, completed
from porter.journal import Journal
from porter.records.gates import Gate, GateResult
from porter.records.inspection import (
    DatasetFacts,
    FromPickles,
    Inspection,
    ModelProbe,
    TensorInfo,
    WithHead,
)
from porter.records.journal import PhaseRecord
from porter.records.options import PortOptions
from porter.records.reference import ReferenceChoice
from porter.records.review import (
    Review,
    ReviewFindings,
    ReviewGate,
    ReviewLedger,
    ReviewPhase,
    ReviewReference,
    ReviewRepo,
    ReviewRow,
    ReviewTensor,
    ReviewVersions,
    ShownState,
)
from porter.records.weights import TargetModule, WeightPlan
from porter.report.changes import read_repos
from porter.report.proofs import read_hops, read_images, read_runs, run_of
from porter.report.unproven import find_unproven
from porter.weights.hints import said
from porter.workspace import Workspace

T = TypeVar("T")

_PYTHON = "3.11"
_STATES = get_args(ShownState)


@dataclass(frozen=True)
class PhaseNow:
    """A phase of this version.

    Attributes:
        changed: why its record is not of what lies there now; empty where it is, or there is none.
    """

    number: int
    title: str
    changed: str = ""


def build_review(workspace: Workspace, now: Sequence[PhaseNow]) -> Review:
    """Return the review of a port, finished or not.

    Args:
        workspace: its folder; only read.
        now: the phases that this version has, in order.
    """
    options = workspace.load()
    records = _Records(workspace)
    results = records.results()
    phases = _phases(records, now, workspace)
    repos = read_repos(workspace)
    images, problem = read_images(workspace)
    unproven = find_unproven(phases, repos, str(workspace.root))
    gates = [gate for phase in phases for gate in phase.gates]
    findings, reference, ledger = records.findings(), records.reference(), records.ledger()
    return Review(
        porter=porter.__version__,
        written=datetime.datetime.now(tz=datetime.timezone.utc).isoformat(timespec="seconds"),
        workspace=str(workspace.root),
        name=options.name,
        source=options.source,
        state=_state([item.kind for item in unproven]),
        counts={state: sum(gate.state == state for gate in gates) for state in _STATES},
        unproven=unproven,
        findings=findings,
        reference=reference,
        repos=repos,
        ledger=ledger,
        hops=read_hops(gates),
        images=images,
        phases=phases,
        runs=read_runs(workspace, results),
        versions=_versions(records, options, findings, reference, repos, results),
        notes=(*records.notes, *([problem] if problem else [])),
    )


def _state(kinds: Sequence[str]) -> Any:
    return "failed" if "failed" in kinds else "incomplete" if kinds else "complete"


class _Records:
    """The results of steps and phases; what is not there yet is None, what cannot be read is noted."""

    def __init__(self, workspace: Workspace) -> None:
        self._journal = Journal(workspace)
        self.notes: list[str] = []
        self.phases = self._phases(workspace)

    def made(self, name: str, kind: type[T]) -> T | None:
        try:
            return self._journal.made(name, kind)
        except LookupError:
            return None
        except msgspec.MsgspecError as error:
            self.notes.append(f"the record of {name} cannot be read: {error}")
            return None

    def results(self) -> list[GateResult]:
        return [gate for number in sorted(self.phases) for gate in _last(self.phases[number].gates)]

    def inspection(self) -> Inspection | None:
        found = self.made("inspection", Inspection)
        if found is None:
            return None
        read = None if found.tensors else self.made(PICKLES_STEP, FromPickles)
        return completed(found, read, self.made(HEAD_STEP, WithHead) if found.bare else None)

    def findings(self) -> ReviewFindings | None:
        found = self.inspection()
        if found is None:
            return None
        probe = self.made("model-probe", ModelProbe)
        dtypes: dict[str, int] = {}
        for tensor in found.tensors:
            dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + 1
        return ReviewFindings(
            source=found.source,
            task=found.task.task,
            task_reason=f"from the {found.task.source}: {found.task.reason}",
            architecture=found.architecture,
            model_type=found.model_type,
            image_size=found.image_size,
            channels=found.channels,
            labels=found.labels,
            licence=found.licence,
            saved_with=found.saved_with,
            processor=found.processor,
            tensors=len(found.tensors),
            parameters=sum(_elements(tensor.shape) for tensor in found.tensors),
            dtypes=dtypes,
            notes=found.notes,
            config=found.config,
            dataset=self.made("dataset", DatasetFacts),
            head=probe.head.prefix if probe and probe.head else "",
            output_shapes=probe.output_shapes if probe else {},
            exports=probe.exports if probe else (),
            onnx_relative=probe.max_relative_error if probe else None,
        )

    def reference(self) -> ReviewReference | None:
        choice = self.made("choice", ReferenceChoice)
        if choice is None:
            return None
        reference = choice.reference
        return ReviewReference(
            name=reference.name,
            package=reference.package,
            release=reference.release,
            candidates=tuple(sorted(choice.candidates, key=lambda item: -item.score)),
            files=reference.files,
            hooks=reference.hooks,
            strategy=choice.strategy,
        )

    def ledger(self) -> ReviewLedger | None:
        plans = (
            self.made(name, WeightPlan) for name in ("ledger-noted", "weight-plan-edited", "weight-plan")
        )
        plan = next((plan for plan in plans if plan is not None), None)
        if plan is None:
            return None
        inspection = self.inspection()
        built = self.made("target-edited", TargetModule) or self.made("target", TargetModule)
        sources = {tensor.name: tensor for tensor in (inspection.tensors if inspection else ())}
        targets = {tensor.name: tensor for tensor in (built.tensors if built else ())}
        fates: dict[str, int] = {}
        for row in plan.ledger.rows:
            fates[row.fate] = fates.get(row.fate, 0) + 1
        return ReviewLedger(
            rows=tuple(
                ReviewRow(
                    fate=row.fate,
                    sources=tuple(_tensor(name, sources.get(name)) for name in row.sources),
                    targets=tuple(_tensor(name, targets.get(name)) for name in row.targets),
                    reason=row.reason,
                    inert=row.inert,
                    hint=said(row),
                )
                for row in plan.ledger.rows
            ),
            fates=fates,
            head=plan.head,
            source_tensors=len(sources),
            target_tensors=len(targets),
        )

    def _phases(self, workspace: Workspace) -> dict[int, PhaseRecord]:
        found = {}
        for path in sorted(workspace.phases.glob("*.json")):
            record = self._journal.phase(int(path.stem)) if path.stem.isdigit() else None
            if record is None:
                self.notes.append(f"the record of a phase cannot be read: {path.name}")
            else:
                found[record.number] = record
        return found


def _last(gates: Sequence[GateResult]) -> list[GateResult]:
    """Return the gates without those that a later result of the same gate replaces."""
    return list({gate.gate: gate for gate in gates}.values())


def _phases(records: _Records, now: Sequence[PhaseNow], workspace: Workspace) -> tuple[ReviewPhase, ...]:
    current = {phase.number: phase for phase in now}
    shown = []
    for number in sorted({*current, *records.phases, *(gate.phase for gate in GATES)}):
        record = records.phases.get(number)
        results = {gate.gate: gate for gate in _last(record.gates)} if record else {}
        listed = {gate.id: gate for gate in GATES if gate.phase == number}
        # A record of another version may have gates that this catalogue does not know.
        names = [*listed, *(name for name in results if name not in listed)]
        title = current[number].title if number in current else record.title if record else ""
        changed = current[number].changed if number in current else ""
        shown.append(
            ReviewPhase(
                number=number,
                title=title,
                gates=tuple(
                    _gate(name, number, listed.get(name), results.get(name), workspace, stale=bool(changed))
                    for name in names
                ),
                changed=changed,
                porter=record.porter if record else "",
            )
        )
    return tuple(shown)


def _gate(
    name: str,
    phase: int,
    gate: Gate | None,
    result: GateResult | None,
    workspace: Workspace,
    *,
    stale: bool,
) -> ReviewGate:
    shown = ReviewGate(
        gate=name,
        phase=phase,
        title=gate.title if gate else "",
        state="not run",
        cpu=gate.cpu if gate else True,
        stand_in=gate.stand_in if gate else "",
        again=shlex.join(["porter", "gate", name, str(workspace.root)]) if gate else "",
    )
    if result is None:
        return shown
    return msgspec.structs.replace(
        shown,
        state="changed" if stale and result.state in ("passed", "rehearsed") else result.state,
        summary=result.summary,
        evidence=result.evidence,
        cause=result.cause,
        fix=result.fix,
        command=result.command,
        run=run_of(result),
    )


def _pins(reference: ReviewReference | None) -> list[tuple[str, dict[str, str]]]:
    from porter.sandbox.requirements import pins, read_set

    if reference is None or not reference.release.environment:
        return []
    name = reference.release.environment
    try:
        return [(f"requirement set {name}", pins(read_set(name), _PYTHON))]
    except PorterError:  # the set of another version of porter
        return []


def _tensor(name: str, info: TensorInfo | None) -> ReviewTensor:
    return ReviewTensor(name=name, shape=info.shape, dtype=info.dtype) if info else ReviewTensor(name=name)


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _versions(
    records: _Records,
    options: PortOptions,
    findings: ReviewFindings | None,
    reference: ReviewReference | None,
    repos: Sequence[ReviewRepo],
    results: Sequence[GateResult],
) -> tuple[ReviewVersions, ...]:
    """Return what the port is pinned to, and what it ran with."""
    groups = []
    ran = sorted({record.porter for record in records.phases.values()})
    groups.append(("porter", {"this review": porter.__version__, "the phases": ", ".join(ran)}))
    if findings:
        source = findings.source
        pinned = {
            "model": source.ref,
            "revision": source.revision or "",
            "pinned to": source.sha,
            "saved with": f"transformers {findings.saved_with}" if findings.saved_with else "",
        }
        groups.append(("model", pinned))
    for repo in repos:
        release = reference.release if reference and reference.release.repo == repo.repo else None
        groups.append(
            (
                repo.repo,
                {
                    "release": release.version if release else "",
                    "base": repo.base,
                    "commit": repo.commit,
                    "branch": repo.branch,
                    "how the release is known": "; ".join(release.evidence) if release else "",
                },
            )
        )
    for gate in results:
        versions = gate.evidence.get("versions")
        if isinstance(versions, dict):
            digest = (
                {"digest": gate.evidence["digest"]} if isinstance(gate.evidence.get("digest"), str) else {}
            )
            groups.append((f"gate {gate.gate}", {**versions, **digest}))
    groups += _pins(reference)
    settings = {"years in headers": str(options.year or ""), **options.settings}
    groups.append(("settings of the port", settings))
    shown = (
        (title, {name: str(value) for name, value in entries.items() if value}) for title, entries in groups
    )
    return tuple(ReviewVersions(title=title, entries=entries) for title, entries in shown if entries)
