"""A port whose files lie in real worktrees, written by the phases' own plans and by the one write gate."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

from porter import clones
from porter.generate.fileplan import build_file_plan
from porter.phases import deploy
from porter.phases.files import apply_plan
from porter.phases.implement import context_of
from porter.records.options import PortOptions
from porter.records.plan import FilePlan
from porter.records.reference import (
    Candidate,
    Reference,
    ReferenceChoice,
    Repo,
    StrategyChoice,
)
from porter.reference.choose import read_candidates
from porter.reference.release import read_release
from porter.session import PortSession
from porter.ui import Ui
from porter.workspace import Workspace
from tests.backbones import vit_match
from tests.e2e.clones import private_clone
from tests.generate.test_render import CROP, inspection

NAME = "vit_demo"
TRAINER = f"tao-pytorch/nvidia_tao_pytorch/cv/{NAME}"
DEPLOYED = f"tao-deploy/nvidia_tao_deploy/cv/{NAME}"


class Packaged:
    """A workspace with what phases 1 to 4 leave behind, but for what they ran.

    Args:
        root: folder for the workspace and for clones of its own.
        trained: a clone of tao-pytorch.
        deployed: a clone of tao-deploy, where the port has one.
    """

    def __init__(self, root: Path, trained: Path, deployed: Path | None = None) -> None:
        originals: dict[Repo, Path] = {"tao-pytorch": trained}
        if deployed:
            originals["tao-deploy"] = deployed
        given = {repo: private_clone(clone, root / "clones" / repo) for repo, clone in originals.items()}
        options = PortOptions(
            source="org/vit", name=NAME, year=2026, clones={repo: str(clone) for repo, clone in given.items()}
        )
        self.root = root / "port with blanks"
        self.session = PortSession(Workspace.create(self.root, options), Ui(quiet=True))
        for repo, clone in given.items():
            clones.prepare(repo, clone, self.session.workspace, f"feature/add-{NAME}", "main")
        self._record(given["tao-pytorch"])
        self._write_trainer()
        if deployed:
            self.session.journal.enter(4)
            states = [gate.state for gate in itertools.islice(deploy.run(self.session), 2)]
            assert states == ["passed", "passed"]
        self.session.journal.enter(6)

    def file(self, path: str) -> Path:
        """Return a file of a worktree, by its path below the workspace."""
        return self.root / path

    @contextlib.contextmanager
    def changed(self, path: str, old: str, new: str | None) -> Iterator[None]:
        """Change the first *old* of a file and put it back; *new* of None takes the file away."""
        file = self.file(path)
        before = file.read_bytes()
        text = before.decode()
        assert old in text, f"{path} has no {old!r}"
        if new is None:
            file.unlink()
        else:
            file.write_text(text.replace(old, new, 1))
        try:
            yield
        finally:
            file.write_bytes(before)

    def runs(self) -> int:
        """Return how many runs there were in the sandbox."""
        return len(list(self.session.workspace.runs.glob("*")))

    def forget(self) -> None:
        """Drop what phase 6 has proven, so that the next gate runs."""
        self.session.journal.forget(6)
        shutil.rmtree(self.session.workspace.state / "work", ignore_errors=True)

    def _write_trainer(self) -> None:
        session = self.session
        commit = session.reference.release.commit
        setup = clones.committed(session.worktree, commit, ["setup.py"])["setup.py"].data.decode()
        target = f"nvidia_tao_pytorch.cv.{NAME}.entrypoint.{NAME}:main"
        plan = build_file_plan(context_of(session), settings={}, setup=setup, console_target=target)
        session.journal.enter(3)
        session.journal.step("file-plan", {}, FilePlan, lambda: plan)
        assert apply_plan(session, plan, "files", ["tao-pytorch"]).state == "passed"

    def _record(self, trained: Path) -> None:
        journal = self.session.journal
        reference = read_candidates(trained, read_release("tao-pytorch", trained), "image-classification")[0]
        facts = inspection(CROP)
        choice = ReferenceChoice(
            reference=reference,
            candidates=(Candidate(name=reference.name, score=1, reasons=()),),
            strategy=StrategyChoice(
                strategy="native",
                reason="it is there",
                backbone=vit_match(),
            ),
        )
        journal.enter(1)
        journal.step("source", {}, type(facts.source), lambda: facts.source)
        journal.step("inspection", {}, type(facts), lambda: facts)
        journal.step("references", {}, tuple[Reference, ...], lambda: (reference,))
        journal.step("choice", {}, ReferenceChoice, lambda: choice)
