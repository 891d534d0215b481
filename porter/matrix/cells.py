"""What the cells of the matrix say; the same words on the page and in Markdown."""

from __future__ import annotations

from porter.records.gates import GateState
from porter.records.matrix import Matrix, MatrixHop, MatrixRow
from porter.report.plot import shown
from porter.ui import MARKS

NOTHING = "\N{EN DASH}"
COLUMNS: tuple[str, ...] = (
    "model",
    "type",
    "strategy",
    "tensors",
    "ledger",
    "HF -> module",
    "module -> ONNX",
    "images",
    "trains",
    "re-loads",
    "RTX build",
    "gates",
    "seconds",
    "peak MB",
)

_HOPS = {"HF -> module": "parity-tao", "module -> ONNX": "parity-onnx"}
_STATES: tuple[GateState, ...] = ("passed", "rehearsed", "blocked", "failed")


def cells(row: MatrixRow) -> dict[str, str]:
    """Return the texts of a row by column."""
    return {
        "model": row.name,
        "type": row.model_type or NOTHING,
        "strategy": (row.strategy or NOTHING) + (" (forced)" if row.forced else ""),
        "tensors": f"{row.source_tensors} -> {row.target_tensors}" if row.source_tensors else NOTHING,
        "ledger": {None: NOTHING, True: "closed", False: "open"}[row.closed],
        **{column: _hop(row, gate) for column, gate in _HOPS.items()},
        "images": NOTHING if row.preprocessing is None else shown(row.preprocessing),
        "trains": _said(row.trained),
        "re-loads": _said(row.reloaded),
        "RTX build": NOTHING if row.rtx is None else f"{row.rtx:.1f} s",
        "gates": gates(row) or NOTHING,
        "seconds": f"{row.seconds:.0f}" if row.seconds else NOTHING,
        "peak MB": f"{row.peak_bytes / 1e6:.0f}" if row.peak_bytes else NOTHING,
    }


def gates(row: MatrixRow) -> str:
    """Return how many gates ended how."""
    return " ".join(f"{row.counts[state]} {MARKS[state]}" for state in _STATES if row.counts.get(state))


def titles() -> dict[str, str]:
    """Return what a column means, for those whose name does not say it."""
    return {
        "tensors": "of the checkpoint, and of the TAO module",
        "HF -> module": "largest relative error of the outputs, real and perturbed weights",
        "module -> ONNX": "likewise, ONNX Runtime against torch, with the batch sizes",
        "images": "largest difference of prepared images, in normalised units",
        "trains": "one training run of the generated script",
        "re-loads": "parity holds after Lightning has loaded the checkpoint",
        "RTX build": "TensorRT-RTX parses the ONNX file and builds an engine of it",
        "gates": ", ".join(f"{MARKS[state]} {state}" for state in _STATES),
        "peak MB": "of the port's whole tree of processes, without pages of files; containers are not in it",
    }


def summary(matrix: Matrix) -> str:
    """Return how the rows ended, in one line."""
    parts = [f"{count} {state}" for state, count in sorted(matrix.totals.items(), key=lambda each: -each[1])]
    if matrix.waiting:
        parts.append(f"{len(matrix.waiting)} without a result")
    return ", ".join(parts) or "no row has run"


def unexpected(matrix: Matrix) -> tuple[MatrixRow, ...]:
    """Return the rows that did not end as the list expects."""
    return tuple(row for row in matrix.rows if not row.as_expected)


def strategies(matrix: Matrix) -> dict[str, int]:
    """Return the number of ported rows by strategy."""
    found: dict[str, int] = {}
    for row in matrix.rows:
        if row.state == "ported":
            found[row.strategy] = found.get(row.strategy, 0) + 1
    return dict(sorted(found.items()))


def _hop(row: MatrixRow, gate: str) -> str:
    hop = next((each for each in row.hops if each.gate == gate), None)
    if hop is None or hop.relative is None:
        return NOTHING
    return f"{error(hop)}{_batches(hop) if gate == 'parity-onnx' else ''}"


def error(hop: MatrixHop) -> str:
    """Return the error of a hop; one that is beyond its bound says so."""
    if hop.relative is None:
        return NOTHING
    text = "exact" if hop.relative == 0 else shown(hop.relative)
    if hop.tolerance is not None and hop.relative > hop.tolerance:
        return f"{text} > {shown(hop.tolerance)}"
    return text


def _batches(hop: MatrixHop) -> str:
    return f" ({', '.join(map(str, hop.batches))})" if hop.batches else ""


def _said(value: bool | None) -> str:
    return {None: NOTHING, True: "yes", False: "no"}[value]
