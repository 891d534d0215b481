"""A matrix from its list to its files; the processes of the ports are stand-ins."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.errors import LockedError, WorkspaceError
from porter.matrix import run as running
from porter.matrix.book import Book
from porter.matrix.run import MatrixRun, Settings
from porter.matrix.targets import Targets
from porter.records.matrix import Matrix, MatrixEntry, ModelToMake
from porter.records.options import PortOptions
from porter.records.sandbox import Environment
from porter.ui import Ui
from porter.workspace import Workspace

ENVIRONMENT = Environment(name="e", prefix="/e", python="/e/python", digest="d", versions={"torch": "2.11"})
ENTRIES = tuple(MatrixEntry(name=name, source=f"org/{name}", budget=60) for name in ("bit", "cvt", "vit"))
TARGETS = Targets(embedded=True, clones={}, commits={"tao-pytorch": "abc"}, shown={"tao-pytorch": "7.0.1"})


class Ports:
    """Stands in for the processes of ports.

    Attributes:
        started: the rows, in the order in which they began.
        codes: exit code by row; 0 for those that are not in it.
        on_start: called with the name of each row.
    """

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cpus: list[tuple[int, ...]] = []
        self.codes: dict[str, int] = {}
        self.on_start: Callable[[str], None] = lambda name: None

    def start(self, argv: Sequence[str], folder: Path, out: Path, log: Path, cpus: Sequence[int]) -> Port:
        name = folder.name
        self.started.append(name)
        self.cpus.append(tuple(cpus))
        self.on_start(name)
        options = PortOptions(source=argv[argv.index("port") + 1], name=f"matrix_{name}")
        Workspace.create(Path(argv[argv.index("--workspace") + 1]), options)
        code = self.codes.get(name, 0)
        log.write_text("phase 1\n" + (f"porter: {name} broke.\nwhy:  code {code}\n" if code else ""))
        return Port(code)


class Port:
    """A process that has ended."""

    ended = True

    def __init__(self, code: int) -> None:
        self.exit_code = code

    def held(self) -> int:
        return 5_000_000

    def interrupt(self) -> None: ...

    def kill(self) -> None: ...


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    made = Ports()
    monkeypatch.setattr(running, "Child", made.start)
    return made


def go(root: Path, entries: Sequence[MatrixEntry] = ENTRIES, **changes: Any) -> Matrix:
    values: dict[str, Any] = {
        "list_name": "matrix.toml",
        "only": frozenset(entry.name for entry in entries),
        "until": 3,
        "targets": TARGETS,
        "engine": (),
        "at_once": 2,
        "again": False,
    }
    book = Book(root)
    with book.lock():
        return MatrixRun(book, entries, Settings(**{**values, **changes}), ENVIRONMENT, Ui(quiet=True)).run()


def test_a_row_that_fails_is_a_row_with_its_reason(tmp_path: Path, ports: Ports) -> None:
    ports.codes = {"cvt": 1, "bit": 3}
    matrix = go(tmp_path)
    assert sorted(ports.started) == ["bit", "cvt", "vit"]
    assert {row.name: (row.state, row.reason) for row in matrix.rows} == {
        "bit": ("refused", "bit broke: code 3"),
        "cvt": ("failed", "cvt broke: code 1"),
        "vit": ("ported", ""),
    }
    assert matrix.totals == {"failed": 1, "ported": 1, "refused": 1}
    assert [row.peak_bytes for row in matrix.rows] == [5_000_000] * 3


def test_rows_side_by_side_keep_off_each_others_processors(
    tmp_path: Path, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5})
    go(tmp_path)
    assert set(ports.cpus[:2]) == {(0, 1), (2, 5)}
    ports.cpus.clear()
    go(tmp_path / "alone", at_once=1)
    assert set(ports.cpus) == {(0, 1, 2, 5)}


def test_the_files_hold_what_is_returned(tmp_path: Path, ports: Ports) -> None:
    matrix = go(tmp_path)
    stored = json.loads((tmp_path / "matrix.json").read_bytes())
    assert msgspec.convert(stored, Matrix) == matrix
    assert "| vit |" in (tmp_path / "matrix.md").read_text()
    assert b"row-vit" in (tmp_path / "matrix.html").read_bytes()


def test_a_finished_matrix_starts_nothing_and_a_change_only_its_rows(tmp_path: Path, ports: Ports) -> None:
    first = go(tmp_path)
    ports.started.clear()
    assert go(tmp_path) == first
    assert ports.started == []
    changed = (*ENTRIES[:2], msgspec.structs.replace(ENTRIES[2], strategy="compose"))
    go(tmp_path, changed)
    assert ports.started == ["vit"]
    ports.started.clear()
    go(tmp_path, changed, targets=msgspec.structs.replace(TARGETS, commits={"tao-pytorch": "abd"}))
    assert sorted(ports.started) == ["bit", "cvt", "vit"]


def test_a_matrix_that_was_stopped_goes_on_where_it_was(tmp_path: Path, ports: Ports) -> None:
    def press(name: str) -> None:
        if name == "cvt":
            raise KeyboardInterrupt

    ports.on_start = press
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, at_once=1)
    stored = json.loads((tmp_path / "matrix.json").read_bytes())
    assert ([row["name"] for row in stored["rows"]], stored["waiting"]) == (["bit"], ["cvt", "vit"])
    ports.started.clear()
    ports.on_start = lambda name: None
    matrix = go(tmp_path)
    assert sorted(ports.started) == ["cvt", "vit"]
    assert matrix.totals == {"ported": 3}


def test_rows_that_are_left_out_keep_their_results(tmp_path: Path, ports: Ports) -> None:
    go(tmp_path)
    ports.started.clear()
    matrix = go(tmp_path, only=frozenset({"vit"}), again=True)
    assert ports.started == ["vit"]
    assert [row.name for row in matrix.rows] == ["bit", "cvt", "vit"]


def test_a_row_for_which_there_is_no_memory_says_so(tmp_path: Path, ports: Ports) -> None:
    entries = (ENTRIES[0], msgspec.structs.replace(ENTRIES[1], memory_gb=1e6))
    matrix = go(tmp_path, entries)
    assert ports.started == ["bit"]
    row = matrix.rows[1]
    assert (row.state, row.as_expected) == ("not run", False)
    assert "1000000.0 GB of memory" in row.reason


def test_a_model_that_cannot_be_made_is_a_row_too(
    tmp_path: Path, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("porter.matrix.making.make_models", lambda *_arguments: None)
    entry = MatrixEntry(name="made", model=ModelToMake(architecture="NoModel"), budget=60)
    matrix = go(tmp_path, (entry, ENTRIES[0]))
    assert [(row.name, row.state) for row in matrix.rows] == [("bit", "ported"), ("made", "failed")]
    assert "could not be made" in matrix.rows[1].reason


def test_a_folder_that_is_not_a_matrixs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(WorkspaceError, match="holds what is not a matrix's"), Book(tmp_path).lock():
        pass


def test_two_matrices_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with Book(tmp_path / "m").lock(), pytest.raises(LockedError), Book(tmp_path / "m").lock():
        pass
