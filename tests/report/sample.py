"""A port's workspace as its phases would leave it, made from records: no sandbox runs."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from PIL import Image

from porter import clones
from porter.gates.catalogue import GATES
from porter.generate.apply import apply
from porter.phases.table import PHASES
from porter.records.gates import Gate, GateResult
from porter.records.inspection import (
    DatasetFacts,
    ExportAttempt,
    HeadFacts,
    Inspection,
    Licence,
    ModelProbe,
    ProcessorFacts,
    Source,
    SplitFacts,
    TaskChoice,
)
from porter.records.options import PortOptions
from porter.records.plan import FilePlan, PlannedFile
from porter.records.reference import (
    Candidate,
    ClassFacts,
    Generated,
    Reference,
    ReferenceChoice,
    Release,
    Repo,
    SchemaPlan,
    SourceFile,
    StrategyChoice,
)
from porter.records.weights import Hint, LedgerRow, TargetModule, WeightPlan
from porter.report.plot import WORST
from porter.report.review import PhaseNow
from porter.session import PortSession
from porter.ui import Ui
from porter.weights.plan import LoaderTag, plan_weights
from porter.weights.remap import load_rules
from porter.workspace import Workspace
from tests.backbones import vit_match
from tests.repositories import repository
from tests.weights.tables import source_table, target_table

Ending = Literal["complete", "open", "failed", "none"]

HOSTILE = (
    "</script><script>window.hit = 1</script></style></pre></title>"
    "\"'><img src=x onerror=\"window.hit = 1\"><a href='javascript:window.hit=1'>x</a>"
    "{{ 7 * 7 }} &amp; \u202egnp"
)
"""What a model's author can put into a label, and what a log can hold."""

TAME = "tabby cat"

PYTORCH = {"setup.py": "setup(\n    console_scripts=[\n        'a=b',\n    ],\n)\n", "pkg/__init__.py": ""}
DEPLOY = {"setup.py": "setup()\n", "pkg/deploy.py": "x = 1\n"}


PICTURED = ("source", "huggingface", "trainer", "trainer-difference", "deploy", "deploy-difference")


class Sample:
    """A workspace and the texts that somebody else chose.

    Args:
        root: an empty folder; the workspace is ``port`` in it.
        ending: whether everything passed, some gates are open, one failed, or nothing has run.
        said: what stands for a label, a file's content, a log and the like.
    """

    def __init__(self, root: Path, ending: Ending = "open", said: str = TAME) -> None:
        self.said = said
        self.ending = ending
        sources = {
            repo: str(repository(root / "clones" / repo, files))
            for repo, files in (("tao-pytorch", PYTORCH), ("tao-deploy", DEPLOY))
        }
        options = PortOptions(
            source=f"org/{said}",
            name="tiny_vit" if said == TAME else said,
            clones=sources,
            branch="feature/add-tiny_vit",
            settings={"train.num_epochs": said},
            year=2026,
        )
        self.workspace = Workspace.create(root / "port", options)
        self.session = PortSession(self.workspace, Ui(quiet=True))
        self.reached = max(gate.phase for gate in GATES)
        if ending == "open":
            self.reached -= 1
        if ending == "failed":
            self.reached = 3
        if ending == "none":
            self.reached = -1
        self._write()

    def now(self) -> list[PhaseNow]:
        """Return what the command line finds out about the phases."""
        return [
            PhaseNow(number, title, self.session.changed(number, needs))
            for number, (title, needs) in self.known.items()
        ]

    @property
    def known(self) -> dict[int, tuple[str, tuple[str, ...]]]:
        """Title and needs of every phase, those included that have gates and no code yet."""
        numbers = sorted({gate.phase for gate in GATES})
        known: dict[int, tuple[str, tuple[str, ...]]] = {
            number: (f"later {number}", ()) for number in numbers
        }
        return known | {phase.number: (phase.title, phase.needs) for phase in PHASES}

    def _write(self) -> None:
        journal = self.session.journal
        for number in range(self.reached + 1):
            journal.enter(number)
            if number == 1:
                self._inspect()
            elif number == 2:
                journal.step("choice", {}, ReferenceChoice, self._choice)
            elif number == 3:
                self._implement()
            gates = list(self._gates(number))
            journal.close(
                number,
                self.known[number][0],
                self.session.inputs(number),
                self.known[number][1],
                gates,
            )

    def _inspect(self) -> None:
        said, journal = self.said, self.session.journal
        tensors = source_table()
        source = Source(kind="hub", ref=f"org/{said}", revision="main", sha="5" * 40, folder="/models/x")
        inspection = Inspection(
            source=source,
            model_type="vit",
            architecture="ViTForImageClassification",
            task=TaskChoice(task="image-classification", source="architecture", reason=said),
            config={"id2label": {"0": said}, "hidden_size": 8},
            labels=(said, "dog", "two words", "größer", "x" * 300),
            image_size=(8, 8),
            processor=ProcessorFacts(
                kind="ViTImageProcessor",
                size=(8, 8),
                resample=3,
                mean=(0.485, 0.456, 0.406),
                std=(0.229, 0.224, 0.225),
                caveats=(said,),
            ),
            licence=Licence(name=said, source="README.md"),
            saved_with="4.57.6",
            tensors=tensors,
            notes=(f"a note: {said}",),
        )
        probe = ModelProbe(
            transformers="4.57.6",
            state=tensors,
            head=HeadFacts(prefix="classifier", tensors=("classifier.weight",), separable=True),
            output_shapes={"logits": (1, 5)},
            exports=(
                ExportAttempt(opset=17, attention="sdpa", ok=False, error=said, operator="aten::x"),
                ExportAttempt(opset=18, attention="eager", ok=True),
            ),
            max_relative_error=9.1e-7,
        )
        dataset = DatasetFacts(
            root=f"/data/{said}",
            classes=(said, "dog"),
            splits=(SplitFacts(name="train", folder="/data/train", images={said: 20, "dog": 21}),),
            against_labels="permuted",
            notes=(said,),
        )
        journal.step("source", {}, Source, lambda: source)
        journal.step("inspection", {}, Inspection, lambda: inspection)
        journal.step("model-probe", {}, ModelProbe, lambda: probe)
        journal.step("dataset", {}, DatasetFacts, lambda: dataset)
        for repo in ("tao-pytorch", "tao-deploy"):
            user = Path(self.session.options.clones[repo])
            clones.prepare(repo, user, self.workspace, "feature/add-tiny_vit", "main")

    def _choice(self) -> ReferenceChoice:
        said = self.said
        facts = ClassFacts(name="Net", module="pkg.net", bases=())
        release = Release(
            repo="tao-pytorch",
            layout="in-repo",
            version="7.0.1",
            commit="c" * 40,
            environment="tao-pytorch-7.0.1",
            evidence=("configs live inside the repository", said),
        )
        reference = Reference(
            name="classification_pyt",
            task="image-classification",
            release=release,
            package="pkg.cv.classification_pyt",
            config_package="pkg.config.classification_pyt",
            generated=Generated(builder="model:build", pl_module="model", data_module="data"),
            schema_plan=SchemaPlan(alias="classification", sections={}, classes=()),
            files=(
                SourceFile(role="pl_module", path="pkg/cv/classification_pyt/model.py", present=True),
                SourceFile(role="deploy_spec", path="pkg/specs/deploy.yaml", present=False),
            ),
            pl_module=facts,
            data_module=facts,
            dataset=facts,
            hooks=("_build_model", "_build_criterion"),
            config=(),
            scripts=(),
            checkpoint_filename="classification_model",
            tao_model="vit",
            tags={"vit": "model."},
            onnx_inputs=("input",),
            onnx_outputs=("output",),
            image_suffixes=("jpg",),
            console_scripts={},
            networks=(),
            backbones=(),
            header=(),
        )
        return ReferenceChoice(
            reference=reference,
            candidates=(
                Candidate(name="segformer", score=12, reasons=("it does another task",)),
                Candidate(
                    name="classification_pyt", score=96, reasons=("it does image-classification", said)
                ),
            ),
            strategy=StrategyChoice(
                strategy="timm",
                reason="timm has the architecture",
                rejected={"native": f"no backbone of the clone has it: {said}"},
                backbone=msgspec.structs.replace(vit_match("vit_tiny", epsilon=1e-12), differences=(said,)),
            ),
        )

    def _implement(self) -> None:
        journal = self.session.journal
        target = target_table()
        built = TargetModule(kind="pkg:Net", tensors=target, parameters=1, trainable=1)
        weights = plan_weights(
            source_table(),
            target,
            load_rules("vit"),
            num_labels=5,
            loader=LoaderTag(tao_model="vit"),
        )
        rows = (
            *weights.ledger.rows,
            LedgerRow(fate="dropped", sources=(self.said,), reason=f"not used: {self.said}", inert=3e-9),
        )
        if self.ending == "failed":
            hint = Hint(of="head.extra.weight", name="classifier.extra", alike=0.5, shape="same")
            rows += (LedgerRow(fate="leftover", targets=("head.extra.weight",), hints=(hint,)),)
        noted = msgspec.structs.replace(weights, ledger=msgspec.structs.replace(weights.ledger, rows=rows))
        journal.step("target", {}, TargetModule, lambda: built)
        journal.step("weight-plan", {}, WeightPlan, lambda: weights)
        journal.step("ledger-noted", {}, WeightPlan, lambda: noted)
        plans = {"file-plan": self.plan("tao-pytorch"), "deploy-files-planned": self.plan("tao-deploy")}
        for name, plan in plans.items():
            journal.step(name, {}, FilePlan, functools.partial(_same, plan))
        repos: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")
        roots = {repo: self.workspace.clone_path(repo) for repo in repos}
        everything = FilePlan(files=tuple(file for plan in plans.values() for file in plan.files))
        apply(everything, roots, self.workspace.pristine)
        self._pictures()

    def plan(self, repo: Literal["tao-pytorch", "tao-deploy"]) -> FilePlan:
        """Return the file plan for a repository: two files to create and one to edit."""
        old = {"tao-pytorch": PYTORCH, "tao-deploy": DEPLOY}[repo]["setup.py"]
        template = f"{repo.replace('-', '_')}/classification_pyt/{{{{ name }}}}/"
        label = f"LABEL = {self.said!r}\n"
        return FilePlan(
            files=(
                PlannedFile(
                    repo=repo,
                    path="pkg/tiny_vit/__init__.py",
                    action="create",
                    content="",
                    produced_by=f"{template}__init__.py.jinja",
                ),
                PlannedFile(
                    repo=repo,
                    path="pkg/tiny_vit/labels.py",
                    action="create",
                    content=f'"""Labels."""\n\n# {self.said}\n{label}'
                    + "".join(f"x{i} = {i}\n" for i in range(40)),
                    produced_by=f"{template}labels.py.jinja",
                ),
                PlannedFile(
                    repo=repo,
                    path="setup.py",
                    action="edit",
                    content=old.replace("setup(", "setup(  # tiny_vit", 1),
                    produced_by="codemod add_console_script",
                ),
            )
        )

    def _gates(self, number: int) -> Iterator[GateResult]:
        listed = [gate for gate in GATES if gate.phase == number]
        stop = len(listed) - 2 if self.ending == "failed" and number == self.reached else len(listed)
        for place, gate in enumerate(listed[:stop]):
            last = stop != len(listed) and place == stop - 1
            yield self._failed(gate) if last else self._result(gate, number, place)

    def _result(self, gate: Gate, number: int, place: int) -> GateResult:
        evidence: dict[str, Any] = {"seconds": 1.25, self.said: [self.said, {"deep": self.said}]}
        if number == 1 and place == 2:
            evidence = {"versions": {"torch": "2.11.0", self.said: self.said}, "digest": "d" * 64}
        if number == 3 and place == 3:
            evidence = _hop("Hugging Face -> TAO module", 1e-5, [[4e-7, 5e-7, 0.0], [2e-7, 3e-7, 1e-9]])
            evidence["controls"] = {"blocks.0.attn.weight": 0.17, self.said: 2e-3}
        if number == 4 and place == 3:
            evidence = {"hop": "ONNX -> engine", "relative": 3e-4, "tolerance": 1e-3}
            evidence["per_input"] = {"cat.png": 3e-4, self.said: 0.0}
        if number == 3 and place == 4:
            evidence = {"hop": "TAO module -> ONNX", "relative": 8.1e-7, "max_abs": 2e-6, "tolerance": 1e-4}
        if self.ending != "complete" and not gate.cpu:
            return GateResult(
                gate=gate.id, state="blocked", summary=f"no GPU here: {self.said}; unblock: find one"
            )
        log, command = self._run(f"{number}{place:02d}-{gate.id}") if number == 3 else ("", "")
        if self.ending != "complete" and gate.stand_in:
            return GateResult(gate=gate.id, state="rehearsed", summary="ran", log=log, evidence=evidence)
        summary = f"all is well: {self.said}"
        return GateResult(
            gate=gate.id, state="passed", summary=summary, evidence=evidence, log=log, command=command
        )

    def _failed(self, gate: Gate) -> GateResult:
        log, command = self._run(f"399-{gate.id}")
        return GateResult(
            gate=gate.id,
            state="failed",
            summary=f"not equal: {self.said}",
            evidence=_hop("TAO module -> the failing one", 1e-4, [[3e-2, 2e-5, WORST]]),
            cause=f"two tensors are swapped: {self.said}",
            fix="correct the rules",
            command=command,
            log=log,
        )

    def _run(self, name: str) -> tuple[str, str]:
        folder = self.workspace.runs / name
        folder.mkdir(parents=True)
        (folder / "command.sh").write_text(
            f"#!/bin/sh\n# {self.said}\nexec python probe.py\n", encoding="utf-8"
        )
        lines = [f"line {number} of the log, {self.said}" for number in range(500)]
        (folder / "log.txt").write_text("\x1b[31mred\x1b[0m\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return str(folder / "log.txt"), f"sh {folder / 'command.sh'}"

    def _pictures(self) -> None:
        folder = self.workspace.state / "evidence" / "preprocessing"
        folder.mkdir(parents=True)
        index: list[dict[str, Any]] = []
        for number, image in enumerate(("first.png", self.said)):
            for shade, what in enumerate(PICTURED):
                file = f"{number}-{what}.png"
                Image.new("RGB", (8, 8), (50 * shade, 0, 90)).save(folder / file)
                entry: dict[str, Any] = {"image": image, "what": what, "file": file, "shape": [3, 8, 8]}
                if what.endswith("difference"):
                    entry |= {"max_abs": 0.25 * number, "different": 0.5 * number}
                index.append(entry)
        index.append({"image": "odd.png", "what": "deploy-difference", "file": "", "max_abs": WORST})
        (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _same(plan: FilePlan) -> FilePlan:
    return plan


def _hop(name: str, tolerance: float, values: Sequence[Sequence[float]]) -> dict[str, Any]:
    return {
        "hop": name,
        "tolerance": tolerance,
        "max_abs": 3.6e-6,
        "relative": max(value for each in values for value in each),
        "parities": [
            {
                "output": f"logits{place}",
                "weights": "real",
                "way": "load_from_checkpoint",
                "batches": [place + 1],
                "relative": max(each),
                "each": list(each),
                "max_abs": 3.6e-6,
            }
            for place, each in enumerate(values)
        ],
    }
