"""What porter says and asks: on a terminal with Rich, elsewhere in plain lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from porter.engine import Event
from porter.errors import UsageError
from porter.records.base import Task
from porter.records.gates import GateState

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

STYLES: dict[GateState, str] = {
    "passed": "green",
    "rehearsed": "cyan",
    "failed": "bold red",
    "blocked": "yellow",
}
MARKS: dict[GateState, str] = {"passed": "✓", "rehearsed": "~", "failed": "✗", "blocked": "■"}


class Ui:
    """Speaks on standard error, so that standard output stays for results.

    Args:
        assume_yes: take every default without asking.
        quiet: say only warnings.
    """

    def __init__(self, *, assume_yes: bool = False, quiet: bool = False) -> None:
        from rich.console import Console

        self.console: Console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.assume_yes = assume_yes
        self.quiet = quiet
        self._status: Status | None = None

    @property
    def interactive(self) -> bool:
        """Whether somebody is there to answer."""
        return not self.assume_yes and sys.stdin.isatty() and self.console.is_terminal

    def info(self, text: str) -> None:
        """Say something that is good to know."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Say something that must not be missed."""
        self.console.print(text, style="bold yellow", markup=False)

    def progress(self, text: str) -> None:
        """Show what is going on now; on a terminal the line replaces the one before."""
        if self._status is not None and self.console.is_terminal:
            self._status.update(text.replace("[", "\\["))
        elif not self.quiet:
            self.console.print(f"  {text}", style="dim", markup=False)

    @contextlib.contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show that *text* is under way; nested calls change the text and restore it."""
        if self._status is not None or not self.console.is_terminal or self.quiet:
            self.progress(text)
            yield
            return
        self._status = self.console.status(text.replace("[", "\\["))
        try:
            with self._status:
                yield
        finally:
            self._status = None

    def event(self, event: Event) -> None:
        """Show one step of the walk through the phases."""
        if event.kind == "gate" and event.gate is not None:
            gate = event.gate
            self.console.print(
                f"  {MARKS[gate.state]} {gate.state:<9} {gate.gate:<24} {gate.summary}",
                style=STYLES[gate.state],
                markup=False,
            )
            for path, what in gate.evidence.get("changed", {}).items():
                outcome, _, detail = what.partition(": ")
                self.console.print(f"      {outcome:<9} {path}{detail and f'  ({detail})'}", markup=False)
        elif event.kind == "started":
            again = f" (again: {event.text})" if event.text else ""
            self.info(f"phase {event.phase}  {event.title}{again}")
        elif event.kind == "skipped":
            self.info(f"phase {event.phase}  {event.title}: done, unchanged")

    def ask(self, question: str, *, default: str, choices: Sequence[str] = (), option: str) -> str:
        """Return the answer to a question; the default where ``--yes`` was given.

        Args:
            question: one line.
            default: taken when the person just presses enter.
            choices: the only answers allowed; empty for free text.
            option: the option that answers it beforehand, for the error.

        Raises:
            UsageError: nobody is there to answer and ``--yes`` was not given.
        """
        if self.assume_yes and default:
            return default
        if not self.interactive:
            suggestion = f"give --yes to take the suggestions ({default}), or " if default else ""
            raise UsageError(
                f"porter would ask: {question}",
                why="there is no terminal to ask on",
                next_step=f"{suggestion}{option}",
            )
        from rich.prompt import Prompt

        with self._paused():
            return (
                Prompt.ask(
                    question, console=self.console, default=default or None, choices=list(choices) or None
                )
                or default
            )

    def ask_task(self, question: str, choices: Sequence[Task]) -> Task:
        """Return the task that the person chooses."""
        answer = self.ask(question, default="", choices=choices, option="--task TASK")
        return next(task for task in choices if task == answer)

    def confirm(self, question: str, *, option: str = "--yes") -> bool:
        """Return whether the person agrees; True where ``--yes`` was given."""
        return self.ask(question, default="yes", choices=("yes", "no"), option=option) == "yes"

    @contextlib.contextmanager
    def _paused(self) -> Iterator[None]:
        if self._status is None:
            yield
            return
        self._status.stop()
        try:
            yield
        finally:
            self._status.start()
