"""Runs the rows of a matrix and keeps its files up to date."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import porter
from porter.atomic import write_atomic
from porter.matrix import making, memory, targets
from porter.matrix.book import Book
from porter.matrix.child import Child
from porter.matrix.markdown import as_markdown
from porter.matrix.page import as_html
from porter.matrix.plan import Decision, decide, inputs_of, port_arguments, standing
from porter.matrix.results import End, read_row
from porter.matrix.schedule import Finish, Job, run_jobs, shares
from porter.matrix.targets import Targets
from porter.records.base import digest, to_json
from porter.records.matrix import Matrix, MatrixEntry, MatrixRow
from porter.records.sandbox import Environment
from porter.resources import tree
from porter.session import templates_digest
from porter.ui import Ui

_GB = 2**30


@dataclass(frozen=True)
class Settings:
    """What holds for the whole matrix.

    Attributes:
        list_name: file name of the list.
        only: names of the rows to run.
        until: last phase of every port.
        engine: options that say where runs go.
        at_once: how many rows run side by side at most.
        again: whether rows that are done run again.
    """

    list_name: str
    only: frozenset[str]
    until: int
    targets: Targets
    engine: tuple[str, ...]
    at_once: int
    again: bool


class MatrixRun:
    """One run of a matrix, under the lock of its book.

    Args:
        book: its folder.
        entries: every row of the list.
        settings: what holds for all of them.
        environment: what makes the models.
        ui: where it speaks.
    """

    def __init__(
        self,
        book: Book,
        entries: Sequence[MatrixEntry],
        settings: Settings,
        environment: Environment,
        ui: Ui,
    ) -> None:
        self._book, self._settings, self._environment, self._ui = book, settings, environment, ui
        self._results = book.results()
        common = {
            "porter": porter.__version__,
            "templates": templates_digest(),
            "until": settings.until,
            "commits": settings.targets.commits,
            "engine": settings.engine,
        }
        self._decisions = tuple(self._decision(entry, common) for entry in entries)
        self._folders: dict[str, Path] = {}
        self._children: dict[str, Child] = {}
        self._shares = shares(sorted(os.sched_getaffinity(0)), settings.at_once)
        self._taken: dict[str, tuple[int, ...]] = {}

    def _decision(self, entry: MatrixEntry, common: Mapping[str, object]) -> Decision:
        inputs = inputs_of(entry, self._fingerprint(entry), common)
        again = self._settings.again and entry.name in self._settings.only
        return decide(entry, inputs, self._results.get(entry.name), again=again)

    def _fingerprint(self, entry: MatrixEntry) -> str:
        if making.is_made_here(entry):
            return making.inputs_of(entry, self._environment.digest)
        folder = Path(entry.source)
        if not folder.is_dir():
            return ""
        stats = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
        return digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])

    def run(self) -> Matrix:
        """Run what has to run, and return the matrix; its files are written after each row."""
        coming = [each for each in self._decisions if each.run and each.entry.name in self._settings.only]
        done = len(self._settings.only) - len(coming)
        if done:
            self._ui.info(f"{done} rows are done and unchanged")
        for decision in coming:
            if decision.why:
                self._ui.info(f"{decision.entry.name} runs again: {decision.why}")
        made = [each.entry for each in coming if making.is_made_here(each.entry)]
        if made:
            with self._ui.working(f"making {len(made)} models with perturbed random weights"):
                making.make_models(made, self._book.models, self._environment, self._ui.progress)
        self.write()
        run_jobs(
            [self._job(decision) for decision in coming if self._has_model(decision)],
            at_once=self._settings.at_once,
            available=memory.available,
            on_start=lambda job: self._ui.info(f"  - started   {job.name}"),
            on_end=self._ended,
        )
        return self.write()

    def _has_model(self, decision: Decision) -> bool:
        """Return whether there is a model to port; a row whose model could not be made ends here."""
        entry = decision.entry
        if not making.is_made_here(entry):
            return True
        outcome = making.outcome(entry, self._book.models, self._environment.digest)
        problem = "it was not made" if outcome is None else outcome.problem
        if problem:
            self._book.clear(entry.name)
            self._keep(self._row(decision, reason=f"the model could not be made: {problem}"))
        return not problem

    def _job(self, decision: Decision) -> Job:
        entry = decision.entry
        model = self._book.models / entry.name if making.is_made_here(entry) else Path(entry.source)
        known = self._results.get(entry.name)
        needed = memory.reckon(
            memory.weights_in(model),
            given_gb=entry.memory_gb,
            known=known.peak_bytes if known and known.state == "ported" else 0,
        )
        return Job(entry.name, needed, entry.budget, lambda: self._start(decision, str(model)))

    def _start(self, decision: Decision, model: str) -> Child:
        entry, settings = decision.entry, self._settings
        folder = self._book.clear(entry.name)
        where = (*targets.options_for(settings.targets, folder / "clones"), *settings.engine)
        source = model if making.is_made_here(entry) else entry.source
        arguments = port_arguments(entry, source, str(folder / "port"), settings.until, where)
        argv = [sys.executable, "-m", "porter", *arguments]
        left = list(self._shares)
        for taken in self._taken.values():
            left.remove(taken)
        child = Child(argv, folder, folder / "summary.json", folder / "log.txt", cpus=left[0])
        self._children[entry.name], self._taken[entry.name] = child, left[0]
        return child

    def _ended(self, finish: Finish) -> None:
        self._taken.pop(finish.job.name, None)
        decision = next(each for each in self._decisions if each.entry.name == finish.job.name)
        if finish.how == "no memory":
            row = self._row(
                decision,
                state="not run",
                reason=f"it is reckoned to need {finish.job.needed / _GB:.1f} GB of memory, "
                f"and {finish.available / _GB:.1f} GB can be had",
            )
            self._book.row(row.name).mkdir(parents=True, exist_ok=True)
        else:
            row = self._read(decision, finish)
        self._keep(row)

    def _read(self, decision: Decision, finish: Finish) -> MatrixRow:
        entry = decision.entry
        folder = self._book.row(entry.name)
        end = End(
            how=finish.how,
            exit_code=self._children.pop(entry.name).exit_code,
            seconds=finish.seconds,
            peak_bytes=finish.peak,
            log=str(folder / "log.txt"),
        )
        shown = {str(self._book.models / entry.name): entry.name, f"{self._book.root}/": ""}
        row = read_row(entry.name, folder / "port", end, shown, **self._common(decision))
        return _judged(row, entry)

    def _row(self, decision: Decision, **fields: object) -> MatrixRow:
        """Return the row of a port that never began."""
        values = {"name": decision.entry.name, "state": "failed", **self._common(decision), **fields}
        return _judged(MatrixRow(**values), decision.entry)  # type: ignore[arg-type]

    def _common(self, decision: Decision) -> dict[str, object]:
        entry = decision.entry
        outcome = None
        if making.is_made_here(entry):
            outcome = making.outcome(entry, self._book.models, self._environment.digest)
        return {
            "inputs": decision.inputs,
            "code": code_digest(),
            "until": self._settings.until,
            "as_expected": False,
            "source": entry.source or "made",
            "spread": outcome.made.spread if outcome and outcome.made else None,
            "budget": entry.budget,
        }

    def _keep(self, row: MatrixRow) -> None:
        self._book.keep(row)
        self._results[row.name] = row
        self.write()
        said = f"{row.strategy}, {row.seconds:.0f} s, {row.peak_bytes / _GB:.1f} GB" if row.strategy else ""
        text = "; ".join(part for part in (said, row.reason) if part)
        self._ui.info(f"  {'✓' if row.as_expected else '✗'} {row.state:<9} {row.name:<24} {text}")

    def write(self) -> Matrix:
        """Write the three files of the matrix as it stands, and return it."""
        rows, waiting = standing(self._decisions, self._results)
        totals: dict[str, int] = {}
        for row in rows:
            totals[row.state] = totals.get(row.state, 0) + 1
        matrix = Matrix(
            porter=porter.__version__,
            code=code_digest(),
            list_name=self._settings.list_name,
            until=self._settings.until,
            clones=self._settings.targets.shown,
            machine=machine(self._environment),
            rows=rows,
            waiting=waiting,
            totals=dict(sorted(totals.items())),
            seconds=round(sum(row.seconds for row in rows), 1),
        )
        root = self._book.root
        write_atomic(root / "matrix.json", to_json(matrix))
        write_atomic(root / "matrix.md", as_markdown(matrix).encode())
        write_atomic(root / "matrix.html", as_html(matrix))
        return matrix


def _judged(row: MatrixRow, entry: MatrixEntry) -> MatrixRow:
    import msgspec

    return msgspec.structs.replace(row, as_expected=row.state == entry.expected)


@functools.cache
def code_digest() -> str:
    """Return 12 digits that stand for porter's own code and data as they are now."""
    package = Path(porter.__file__).parent
    roots = (package, tree("templates"), tree("references"))
    checksum = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                checksum.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return checksum.hexdigest()[:12]


def machine(environment: Environment) -> str:
    """Return what the rows ran on, in one line."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GB
    packages = [
        f"{name} {environment.versions[name]}"
        for name in ("torch", "transformers", "timm", "onnxruntime")
        if name in environment.versions
    ]
    parts = [f"{len(os.sched_getaffinity(0))} CPUs", f"{total:.0f} GB", f"Python {platform.python_version()}"]
    return ", ".join((*parts, *packages))
