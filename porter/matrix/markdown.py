"""The matrix as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from porter.matrix.cells import COLUMNS, NOTHING, cells, strategies, summary, titles, unexpected
from porter.records.matrix import Matrix, MatrixRow
from porter.report.text import visible

_NOT_PORTED = ("model", "type", "strategy", "result", "reason", "gates", "seconds")
_STRATEGIES = ("model", "strategy", "because", "earlier ones were not taken because")


def as_markdown(matrix: Matrix) -> str:
    """Return the matrix as a Markdown page; the same results give the same text."""
    lines = [
        "# Port matrix",
        "",
        f"{summary(matrix)}. Written by `porter matrix` (porter {matrix.porter}): every row is a whole "
        f"`porter port` of its own, up to phase {matrix.until}.",
        "",
        *(f"- {_text(repo)}: {_text(shown)}" for repo, shown in matrix.clones.items()),
        f"- machine: {_text(matrix.machine)}",
        *([f"- ported by strategy: {_counts(matrix)}"] if strategies(matrix) else []),
        f"- {matrix.seconds:.0f} s of ports in all; a row may take {_budgets(matrix)}",
    ]
    missed = unexpected(matrix)
    if missed:
        lines.append(f"- not as the list expects: {', '.join(row.name for row in missed)}")
    older = [row.name for row in matrix.rows if row.code != matrix.code]
    if older:
        lines.append(f"- measured before porter's own code was changed: {', '.join(older)}")
    ported = [row for row in matrix.rows if row.state == "ported"]
    others = [row for row in matrix.rows if row.state != "ported"]
    if ported:
        lines += ["", "## Ported", "", *_table(COLUMNS, (_values(row) for row in ported))]
    lines += ["", *(f"- **{column}**: {text}" for column, text in titles().items())] if ported else []
    if others:
        lines += ["", "## Not ported", "", *_table(_NOT_PORTED, (_reasons(row) for row in others))]
    if matrix.waiting:
        lines += ["", "## Without a result", "", ", ".join(matrix.waiting)]
    chosen = [row for row in matrix.rows if row.strategy]
    if chosen:
        lines += ["", "## Strategies", "", *_table(_STRATEGIES, (_strategy(row) for row in chosen))]
    return "\n".join(lines) + "\n"


def _values(row: MatrixRow) -> Sequence[str]:
    found = cells(row)
    return [found[column] for column in COLUMNS]


def _reasons(row: MatrixRow) -> Sequence[str]:
    found = cells(row)
    result = row.state if row.as_expected else f"{row.state} (unexpected)"
    reason = row.reason or NOTHING
    return [row.name, found["type"], found["strategy"], result, reason, found["gates"], found["seconds"]]


def _strategy(row: MatrixRow) -> Sequence[str]:
    because = f"the list forces it; {row.strategy_reason}" if row.forced else row.strategy_reason
    rejected = "; ".join(f"{name}: {reason}" for name, reason in row.rejected.items())
    return [row.name, row.strategy, because, rejected or NOTHING]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return lines + [f"| {' | '.join(map(_text, row))} |" for row in rows]


def _text(text: str) -> str:
    """Return text as it stands, whatever Markdown would make of it, on one line."""
    flat = re.sub(r"\s+", " ", str(visible(text))).strip()
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", flat)


def _counts(matrix: Matrix) -> str:
    return ", ".join(f"{count} {name}" for name, count in strategies(matrix).items())


def _budgets(matrix: Matrix) -> str:
    budgets = sorted({row.budget for row in matrix.rows})
    if not budgets:
        return "what the list says"
    return f"{budgets[0]} s" if len(budgets) == 1 else f"{budgets[0]} to {budgets[-1]} s"
