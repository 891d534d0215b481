"""A review in a few lines for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from porter.records.review import Review
from porter.report.plot import shown
from porter.report.text import visible
from porter.report.unproven import said
from porter.ui import MARKS, STYLES

_NAMED = 8


def show(review: Review, page: Path | None) -> None:
    """Print what a review says, and where its page lies."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    for text, style in lines(review):
        console.print(visible(text), style=style, markup=False)
    if page is not None:
        console.print(f"page        {page}", markup=False)


def lines(review: Review) -> Iterator[tuple[str, str]]:
    """Yield (text, style) of each line."""
    style = {"complete": "bold green", "failed": "bold red"}.get(review.state, "bold yellow")
    yield f"{review.name or review.source}: {review.state}", style
    yield (
        "gates       " + ", ".join(f"{count} {state}" for state, count in review.counts.items() if count),
        "",
    )
    for repo in review.repos:
        changes = [file.change for file in repo.files]
        kinds = ("created", "edited", "removed", "absent")
        written = ", ".join(f"{changes.count(kind)} {kind}" for kind in kinds if kind in changes)
        yours = sum(file.by != "porter" for file in repo.files)
        yield (
            f"{repo.repo:<11} {repo.problem or written or 'nothing'}"
            + (f", {yours} by you" if yours else ""),
            "",
        )
    if review.ledger:
        left = review.ledger.fates.get("leftover", 0)
        yield f"ledger      {len(review.ledger.rows)} rows, {f'{left} left over' if left else 'closed'}", ""
    for hop in review.hops:
        worst = "not given" if hop.relative is None else shown(hop.relative)
        bound = "" if hop.tolerance is None else f" (bound {shown(hop.tolerance)})"
        yield f"parity      {hop.name}: {worst}{bound}", ""
    waiting = [item.what for item in review.unproven if item.kind == "not run"]
    for item in review.unproven:
        if item.kind == "not run":
            continue
        mark, style = ("!", "yellow") if item.kind == "changed" else (MARKS[item.kind], STYLES[item.kind])
        yield f"  {mark} {item.kind:<9} {item.what:<24} {said(item)}", style
    if waiting:
        more = f" and {len(waiting) - _NAMED} more" if len(waiting) > _NAMED else ""
        yield f"  - not run   {', '.join(waiting[:_NAMED])}{more}", "dim"
    for note in review.notes:
        yield f"note        {note}", "yellow"
