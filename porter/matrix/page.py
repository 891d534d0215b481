"""The matrix as one HTML page that needs nothing beside itself, in the look of a review."""

from __future__ import annotations

from pathlib import Path

from porter.matrix.cells import COLUMNS, cells, error, strategies, summary, titles
from porter.records.matrix import Matrix
from porter.report import page as review
from porter.ui import MARKS

_FOLDER = Path(__file__).with_name("page")
_ORDER = ("ported", "refused", "failed", "stopped", "not run")
STATES = {
    "ported": ("passed", MARKS["passed"]),
    "refused": ("blocked", MARKS["blocked"]),
    "failed": ("failed", MARKS["failed"]),
    "stopped": ("failed", MARKS["failed"]),
    "not run": ("not-run", "\N{EN DASH}"),
}
"""The look of a row's state: the review's word for it, and its sign."""


def as_html(matrix: Matrix) -> bytes:
    """Return the page, UTF-8."""
    environment = review.environment(_FOLDER)
    environment.filters.update(error=error)
    style = review.part("page.css") + (_FOLDER / "matrix.css").read_text(encoding="utf-8")
    script = review.part("page.js")
    counts = {state: sum(row.state == state for row in matrix.rows) for state in _ORDER}
    page: str = environment.get_template("matrix.html.jinja").render(
        matrix=matrix,
        rows=[(row, cells(row)) for row in matrix.rows],
        columns=COLUMNS,
        titles=titles(),
        summary=summary(matrix),
        strategies=strategies(matrix),
        states=STATES,
        counts=counts,
        bars=review.bars(counts),
        marks=review.SIGNS,
        style=review.verbatim(style),
        script=review.verbatim(script),
        style_digest=review.content_digest(style),
        script_digest=review.content_digest(script),
    )
    return page.encode("utf-8")
