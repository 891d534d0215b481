"""What the commands show: tables for people, one JSON document for machines."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porter.gates.catalogue import BY_ID, GATES
from porter.records.base import Record, to_json
from porter.records.bundle import Bundle
from porter.records.gates import GateResult, GateState
from porter.records.inspection import Inspection
from porter.records.journal import PhaseRecord
from porter.report.text import in_line
from porter.ui import MARKS, STYLES
from porter.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console


class Summary(Record, frozen=True, kw_only=True):
    """A port as `porter status --json` prints it.

    Attributes:
        state: ``complete`` when every gate of the phases that ran passed; ``incomplete`` while gates
            are blocked, rehearsed or have not run; ``failed`` otherwise.
        gates: results in the order of the catalogue.
        not_run: gates without a result.
        paths: what there is to look at, by name.
    """

    workspace: str
    name: str
    source: str
    branch: str
    state: str
    gates: tuple[GateResult, ...]
    not_run: tuple[str, ...]
    paths: dict[str, str]


def summarise(workspace: Workspace) -> Summary:
    """Read the records of a workspace; runs nothing."""
    from porter.journal import Journal

    options, journal = workspace.load(), Journal(workspace)
    found: dict[str, GateResult] = {}
    for number in range(8):
        record = journal.phase(number)
        found |= {gate.gate: gate for gate in record.gates} if record else {}
    gates = tuple(found[gate.id] for gate in GATES if gate.id in found)
    not_run = tuple(gate.id for gate in GATES if gate.id not in found)
    states = {gate.state for gate in gates}
    state = (
        "failed"
        if "failed" in states
        else "complete"
        if states == {"passed"} and not not_run
        else "incomplete"
    )
    results = workspace.results
    candidates = {
        "worktree": workspace.clone_path("tao-pytorch"),
        "checkpoint": results / "checkpoint" / f"{options.name}.pth",
        "safetensors": results / "checkpoint" / f"{options.name}.safetensors",
        "ledger": results / "checkpoint" / f"{options.name}.ledger.json",
        "classes": results / "checkpoint" / "classes.txt",
        "onnx": results / "gates" / "export" / f"{options.name}.onnx",
        "results": results / "gates",
        "logs": workspace.runs,
    }
    return Summary(
        workspace=str(workspace.root),
        name=options.name,
        source=options.source,
        branch=options.branch,
        state=state,
        gates=gates,
        not_run=not_run,
        paths={name: str(path) for name, path in candidates.items() if path.exists()},
    )


def show_status(workspace: Workspace, *, as_json: bool) -> None:
    """Show every gate of the catalogue and where it stands."""
    summary = summarise(workspace)
    if as_json:
        emit(summary)
        return
    _show(summary, _console())


_WRITING = ("files", "deploy-files")


def show_files(records: Sequence[PhaseRecord]) -> None:
    """Show what a dry run would do with each file."""
    console = _console()
    for record in records:
        for gate in record.gates:
            for path, outcome in gate.evidence.get("files", {}).items() if gate.gate in _WRITING else ():
                console.print(f"{outcome:<10} {path}", markup=False)


def show_gates(results: Sequence[GateResult], *, as_json: bool) -> None:
    """Show gate results on their own."""
    if as_json:
        emit(list(results))
        return
    console = _console()
    for result in results:
        _line(console, result)


class ListedGate(Record, frozen=True, kw_only=True):
    """A gate as `porter gates` lists it.

    Attributes:
        state: how it ended; ``not run`` where it has no result.
        command: runs it again; *run* repeats the sandboxed run that it rests on, where it has one.
    """

    gate: str
    phase: int
    title: str
    state: str
    command: str
    run: str = ""
    stand_in: str = ""


def show_catalogue(workspace: Workspace, *, as_json: bool) -> None:
    """Show every gate with its state and the command that runs it."""
    found = {result.gate: result for result in summarise(workspace).gates}
    listed = [
        ListedGate(
            gate=gate.id,
            phase=gate.phase,
            title=gate.title,
            state=found[gate.id].state if gate.id in found else "not run",
            command=shlex.join(["porter", "gate", gate.id, str(workspace.root)]),
            run=found[gate.id].command if gate.id in found else "",
            stand_in=gate.stand_in,
        )
        for gate in GATES
    ]
    if as_json:
        emit(listed)
        return
    console = _console()
    for gate in listed:
        mark = MARKS.get(gate.state, "-")  # type: ignore[call-overload]
        style = STYLES.get(gate.state, "dim")  # type: ignore[call-overload]
        console.print(
            f"{gate.phase}  {mark} {gate.state:<9} {gate.gate:<28} {gate.title}", style=style, markup=False
        )
        console.print(f"{'':15}{gate.command}", markup=False)


def show_inspection(inspection: Inspection, *, as_json: bool) -> None:
    """Show what a model is."""
    if as_json:
        emit(inspection)
        return
    console = _console()
    size = "x".join(str(edge) for edge in inspection.image_size or ())
    elements = sum(_elements(tensor.shape) for tensor in inspection.tensors)
    rows = {
        "model": f"{inspection.source.ref} ({inspection.source.sha[:12]})",
        "type": f"{inspection.model_type}, {inspection.architecture}",
        "task": f"{inspection.task.task}, from the {inspection.task.source}: {inspection.task.reason}",
        "input": f"{inspection.channels} x {size or 'unknown size'}",
        "labels": f"{len(inspection.labels)}: {', '.join(map(in_line, inspection.labels[:5]))}"
        + (", ..." if len(inspection.labels) > 5 else ""),
        "processor": _processor(inspection),
        "licence": f"{inspection.licence.name or 'not stated'} {inspection.licence.source}".strip(),
        "tensors": f"{len(inspection.tensors)}, {elements / 1e6:.1f} M weights"
        if inspection.tensors
        else "not known yet",
    }
    for name, text in rows.items():
        console.print(f"{name:<10} {text}", markup=False)
    for note in inspection.notes:
        console.print(f"note       {note}", markup=False, style="yellow")


def show_bundle(bundle: Bundle, folder: Path, *, as_json: bool) -> None:
    """Show what is in a bundle, and how it is used."""
    if as_json:
        emit(bundle)
        return
    console = _console()
    sizes: dict[str, int] = {}
    for file in bundle.files:
        part = file.path.partition("/")[0]
        sizes[part] = sizes.get(part, 0) + file.size
    rows = {
        "model": f"{bundle.model.ref} ({bundle.model.sha[:12]})",
        "clones": ", ".join(f"{item.repo} at {item.commit[:12]}" for item in bundle.repos) or "none",
        "wheels": ", ".join(f"{item.set} for Python {item.python}" for item in bundle.wheels) or "none",
        "bytes": ", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in sorted(sizes.items())),
    }
    for name, text in rows.items():
        console.print(f"{name:<10} {text}", markup=False)
    console.print(f"next       porter port --bundle {shlex.quote(str(folder))}", markup=False)


def _processor(inspection: Inspection) -> str:
    facts = inspection.processor
    if facts is None:
        return "none"
    resize = f"to {facts.size}" if facts.size else f"shortest edge {facts.shortest_edge}"
    crop = f", crop {facts.crop}" if facts.crop else ""
    order = ", channels in the opposite order" if facts.flipped else ""
    return f"{facts.kind}: resize {resize}{crop}, mean {facts.mean}, std {facts.std}{order}"


def _show(summary: Summary, console: Console) -> None:
    from rich.table import Table

    table = Table(title=f"{summary.name or summary.source}: {summary.state}", title_justify="left")
    for column in ("phase", "gate", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("evidence", overflow="fold")
    for gate in summary.gates:
        phase = str(BY_ID[gate.gate].phase) if gate.gate in BY_ID else ""
        style = STYLES[gate.state]
        table.add_row(
            phase, gate.gate, f"{MARKS[gate.state]} {gate.state}", _plain(gate.summary), style=style
        )
    for name in summary.not_run:
        table.add_row(str(BY_ID[name].phase), name, "- not run", BY_ID[name].title, style="dim")
    console.print(table)
    counts = {state: sum(gate.state == state for gate in summary.gates) for state in _STATES}
    console.print(", ".join(f"{count} {state}" for state, count in counts.items() if count), markup=False)
    for name, path in summary.paths.items():
        console.print(f"{name:<11} {path}", markup=False)


_STATES: tuple[GateState, ...] = ("passed", "rehearsed", "blocked", "failed")


def _line(console: Console, gate: GateResult) -> None:
    text = f"{MARKS[gate.state]} {gate.state:<9} {gate.gate:<26} {gate.summary}"
    console.print(text, style=STYLES[gate.state], markup=False)
    if gate.fix:
        console.print(f"{'':<38} {gate.fix}", markup=False)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 160
    return Console(highlight=False, soft_wrap=True, width=width)


def emit(value: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(to_json(value).decode())
