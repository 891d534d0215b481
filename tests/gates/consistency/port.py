"""A port as the checklist finds it: rendered worktrees, an exported graph, records of earlier phases."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from porter.gates.consistency import consistency_gates
from porter.generate.context import ClassificationContext
from porter.generate.deploy import deploy_context
from porter.generate.fileplan import rendered
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts, TensorInfo
from porter.records.options import PortOptions
from porter.records.reference import (
    Candidate,
    Reference,
    ReferenceChoice,
    Repo,
    StrategyChoice,
)
from porter.records.weights import Ledger, TargetModule, WeightPlan
from porter.reference.deploy import read_deploy
from porter.reference.release import read_release
from porter.session import PortSession
from porter.ui import Ui
from porter.workspace import Workspace
from tests.backbones import vit_match
from tests.generate.test_render import context, inspection
from tests.repositories import git, write

NAME = "vit_demo"
PREFIX = "consistency-"
LABELS = tuple(f"label {index}" for index in range(10))
DATASET = ("zebra", "ant", "bee")

_GRAPH = """
import json, sys
import onnx
from onnx import TensorProto, helper

path, (names, batch, size) = sys.argv[1], map(json.loads, sys.argv[2:])
given = helper.make_tensor_value_info(names[0], TensorProto.FLOAT, [batch, 3, *size])
made = helper.make_tensor_value_info(names[1], TensorProto.FLOAT, [batch, 3, *size])
node = helper.make_node("Relu", [names[0]], [names[1]])
onnx.save(helper.make_model(helper.make_graph([node], "g", [given], [made])), path)
"""


class Port:
    """A workspace with what phases 1 to 4 leave behind.

    Args:
        root: folder for the workspace.
        reference: the clone's network.
        clone: the tao-pytorch that it was read from.
        deploy: a clone of tao-deploy, where the port has one.
    """

    def __init__(self, root: Path, reference: Reference, clone: Path, deploy: Path | None = None) -> None:
        clones = {"tao-deploy": str(deploy)} if deploy else {}
        options = PortOptions(source="org/vit", name=NAME, clones=clones, year=2026)
        self.session = PortSession(Workspace.create(root, options), Ui(quiet=True))
        self.root = self.session.workspace.root
        self._record(reference)
        trained = context(reference, inspection(), NAME)
        self._lay_down("tao-pytorch", clone, trained)
        if deploy:
            found = read_deploy(deploy, read_release("tao-deploy", deploy), reference.name)
            self._lay_down("tao-deploy", deploy, deploy_context(trained, found, year=2026))

    def gates(self) -> dict[str, GateResult]:
        """Run the checklist."""
        return {gate.gate: gate for gate in consistency_gates(self.session)}

    def file(self, path: str) -> Path:
        """Return a file of a worktree or of the results, by its path below the workspace."""
        return self.root / path

    @contextlib.contextmanager
    def changed(self, path: str, old: str, new: str | None) -> Iterator[None]:
        """Change a file and put it back; *new* of None takes it away."""
        file = self.file(path)
        before = file.read_bytes()
        text = before.decode()
        assert text.count(old) >= 1, f"{path} has no {old!r}"
        if new is None:
            file.unlink()
        else:
            file.write_text(text.replace(old, new))
        try:
            yield
        finally:
            file.write_bytes(before)

    def export(
        self,
        names: tuple[str, str] = ("input", "output"),
        batch: str | int = "batch_size",
        size: tuple[int, int] = (224, 224),
    ) -> None:
        """Write the ONNX file that the gates of phase 3 export."""
        path = self.root / "results" / "gates" / "export" / f"{NAME}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        python = self.session.runtimes.environment().python
        arguments = [str(path), json.dumps(names), json.dumps(batch), json.dumps(size)]
        subprocess.run([python, "-c", _GRAPH, *arguments], check=True, capture_output=True)

    def write_results(self) -> None:
        """Write the class file beside the checkpoint and the tables of the trainer's scripts."""
        heading = ",".join(["img_name", *DATASET, "pred_label", "pred_score"])
        write(
            self.root / "results",
            {
                "checkpoint/classes.txt": "".join(f"{label}\n" for label in LABELS),
                "gates/evaluate/result.csv": f"{heading},gt_label\n",
                "gates/inference/result.csv": f"{heading}\n",
                "gates/converted/inference/result.csv": ",".join(
                    ["img_name", *LABELS, "pred_label", "pred_score\n"]
                ),
            },
        )

    def _lay_down(self, repo: Repo, clone: Path, values: ClassificationContext) -> None:
        worktree = self.session.workspace.clone_path(repo)
        shutil.copytree(clone, worktree, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        files = rendered(values, repo)
        write(worktree, {file.path: file.content for file in files})
        git(worktree, "init", "-q", "-b", "main")
        git(worktree, "add", "-A")
        git(worktree, "commit", "-q", "-m", "a port")

    def _record(self, reference: Reference) -> None:
        journal = self.session.journal
        facts = inspection()
        choice = ReferenceChoice(
            reference=reference,
            candidates=(Candidate(name=reference.name, score=1, reasons=()),),
            strategy=StrategyChoice(
                strategy="native",
                reason="it is there",
                backbone=vit_match(),
            ),
        )
        dataset = DatasetFacts(root="/data", classes=DATASET, splits=(), against_labels="different")
        head = TensorInfo(name="head.weight", shape=(10, 768), dtype="F32")
        built = TargetModule(kind="m:C", tensors=(head,), parameters=1, trainable=1)
        journal.step("source", {}, type(facts.source), lambda: facts.source)
        journal.step("inspection", {}, type(facts), lambda: facts)
        journal.step("references", {}, tuple[Reference, ...], lambda: (reference,))
        journal.step("choice", {}, ReferenceChoice, lambda: choice)
        journal.step("dataset", {}, DatasetFacts, lambda: dataset)
        journal.step("target", {}, TargetModule, lambda: built)
        plan = WeightPlan(
            ledger=Ledger(rows=()),
            operations=(),
            target_head="head",
            key_prefix="model.",
            tao_model="classification",
        )
        journal.step("weight-plan", {}, WeightPlan, lambda: plan)


def not_held(port: Port) -> dict[str, str]:
    """Return the summary of every item that fails, by its name."""
    return {
        name.removeprefix(PREFIX): gate.summary
        for name, gate in port.gates().items()
        if gate.state == "failed"
    }
