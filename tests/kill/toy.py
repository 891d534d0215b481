"""A small port through the real engine: clone, write, judge. Told apart by a version, 1 or 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from porter.clones import prepare
from porter.engine import Phase, walk
from porter.generate.apply import apply
from porter.journal import Journal
from porter.records.gates import GateResult
from porter.records.journal import CloneRecord
from porter.records.options import PortOptions
from porter.records.plan import Applied, FilePlan, PlannedFile
from porter.records.reference import Repo
from porter.workspace import Workspace

REPO: Repo = "tao-pytorch"
SETUP = "scripts = [\n    'a=b',\n]\nname = 'tao'\n"
MODEL = "class Model:\n    width = {width}\n\n    depth = 2\n\n    heads = {heads}\n"


def files(version: int) -> dict[str, str]:
    """Return what the port creates, by path."""
    first = version == 1
    made = {
        "net/__init__.py": "",
        "net/model.py": MODEL.format(width=1, heads=3 if first else 4),
        "net/trainer.py": "# ünï\r\nepochs = 1\r\n# no newline at the end",
        "net/spec.yaml": f"epochs: {version}\n",
    }
    made["net/old.py" if first else "net/deep/new.py"] = "x = 1\n"
    return made


def plan(version: int) -> FilePlan:
    """Return five files to create and one to edit."""
    edited = SETUP.replace("]", f"    'net=net:v{version}',\n]")
    planned = [
        PlannedFile(
            repo=REPO,
            path=path,
            action="edit" if path == "setup.py" else "create",
            content=content,
            produced_by="toy",
            executable=path == "net/spec.yaml",
        )
        for path, content in sorted({**files(version), "setup.py": edited}.items())
    ]
    return FilePlan(files=tuple(planned))


class Toy:
    """The session of the toy port."""

    def __init__(self, workspace: Workspace, clone: Path, version: int) -> None:
        self.workspace = workspace
        self.journal = Journal(workspace)
        self.clone = clone
        self.version = version

    def inputs(self, number: int) -> Mapping[str, Any]:
        """Return the version for all but the first phase."""
        return {"version": self.version} if number > 1 else {}

    def clones(self) -> Iterator[GateResult]:
        """Phase 1."""
        record = prepare(REPO, self.clone, self.workspace, "feature/toy", "main")
        self.journal.step("clone", {"commit": record.commit}, CloneRecord, lambda: record)
        yield GateResult(gate="cloned", state="passed", summary=record.branch)

    def implement(self) -> Iterator[GateResult]:
        """Phase 2: write the files, then something that takes more than one write."""
        record = self.journal.made("clone", CloneRecord)
        root = Path(record.worktree)

        def write() -> tuple[Applied, ...]:
            bases: dict[Repo, str] = {REPO: record.commit}
            return apply(plan(self.version), {REPO: root}, self.workspace.pristine, bases=bases)

        self.journal.step(
            "apply",
            {"plan": plan(self.version)},
            tuple[Applied, ...],
            write,
            lambda done: [root / entry.path for entry in done if (root / entry.path).exists()],
        )
        self.journal.step("convert", {"version": self.version}, str, self._convert, lambda name: [Path(name)])
        yield GateResult(gate="written", state="passed", summary="written")

    def _convert(self) -> str:
        path = self.workspace.results / "model.bin"
        path.parent.mkdir(exist_ok=True)
        for mode in ("wb", "ab", "ab"):
            with path.open(mode) as file:
                file.write(bytes([self.version]) * 1000)
        return str(path)

    def judge(self) -> Iterator[GateResult]:
        """Phase 3."""
        record = self.journal.made("clone", CloneRecord)

        def run() -> GateResult:
            there = sum((Path(record.worktree) / path).exists() for path in files(self.version))
            return GateResult(gate="there", state="passed" if there >= 4 else "failed", summary=str(there))

        yield self.journal.step("there", {"version": self.version}, GateResult, run)


PHASES = (
    Phase[Toy](1, "clone", (), ("clone",), Toy.clones),
    Phase[Toy](2, "implement", ("clone",), ("apply", "convert"), Toy.implement),
    Phase[Toy](3, "judge", ("apply",), (), Toy.judge),
)


def main() -> None:
    """Port: WORKSPACE CLONE VERSION."""
    root, clone, version = sys.argv[1:]
    workspace = Workspace.create(Path(root), PortOptions(source="toy"))
    with workspace.lock():
        walk(PHASES, Toy(workspace, Path(clone), int(version)))


def take_back() -> None:
    """Take the port out again: WORKSPACE."""
    from porter.undo import undo

    workspace = Workspace.open(Path(sys.argv[1]))
    with workspace.lock():
        undo(workspace)
