"""What the gates about the deploy package make of what its modules import and its specs come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from porter.families import FAMILIES
from porter.gates.deploy import FORBIDDEN, _chain, _import_gate, _spec_gate
from porter.records.engines import PackageFacts, SpecFacts
from porter.records.gates import GateResult
from porter.records.plan import FilePlan, PlannedFile
from tests.repositories import write

FAMILY = FAMILIES["image-classification"]
PACKAGE = "nvidia_tao_deploy/cv/net"
SOURCES = {
    f"{PACKAGE}/__init__.py": "",
    f"{PACKAGE}/utils.py": "import numpy\n",
    f"{PACKAGE}/scripts/__init__.py": "",
}
MODULES = {path: path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in SOURCES}
OTHERS = ("setup.py", f"{PACKAGE}/specs/evaluate.yaml", "tests/net/test_net.py")
PLAN = FilePlan(
    files=tuple(
        # The plan's text is never looked at: a person may have changed the file since.
        PlannedFile(repo="tao-deploy", path=path, action="create", content="import torch\n", produced_by="t")
        for path in (*SOURCES, *OTHERS)
    )
)


def imported(root: Path, **more: Any) -> GateResult:
    """Return the gate on a package that lies in *root*; *more* changes what the probe answered."""
    usual = {"imported": {MODULES[path]: str(root / path) for path in SOURCES}, "errors": {}, "loaded": ()}
    return _import_gate(root, PLAN, PackageFacts(**{**usual, "specs": {}, **more}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A worktree with a small deploy package."""
    write(tmp_path, SOURCES)
    return tmp_path


def test_a_package_that_imports(root: Path) -> None:
    gate = imported(root)
    assert gate.state == "passed"
    assert gate.evidence["modules"] == sorted(MODULES.values())


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("form", ["import {}\n", "def f():\n    from {}.nn import x\n    return x\n"])
def test_an_import_that_its_image_lacks(root: Path, name: str, form: str) -> None:
    write(root, {f"{PACKAGE}/utils.py": form.format(name)})
    gate = imported(root)
    assert gate.state == "failed"
    assert f"{PACKAGE}/utils.py imports {name}" in gate.summary
    assert "NumPy" in gate.fix


@pytest.mark.parametrize("line", ["import torchless\n", "from .torch import x\n", "TEXT = 'import torch'\n"])
def test_what_only_looks_like_one(root: Path, line: str) -> None:
    write(root, {f"{PACKAGE}/utils.py": line})
    assert imported(root).state == "passed"


def test_what_comes_in_through_another_package(root: Path) -> None:
    assert "importing it brings in timm, torch" in imported(root, loaded=("timm", "torch")).summary


def test_a_module_that_does_not_import(root: Path) -> None:
    error = "Traceback (most recent call last):\n  ...\nSyntaxError: invalid syntax\n"
    write(root, {f"{PACKAGE}/utils.py": "import (\n"})
    gate = imported(root, errors={"nvidia_tao_deploy.cv.net.utils": error})
    assert gate.state == "failed"
    assert gate.summary == "nvidia_tao_deploy.cv.net.utils does not import: SyntaxError: invalid syntax"
    assert gate.evidence["traceback"] == error


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("None", "is imported from a folder without __init__.py"),
        ("/usr/lib/net/scripts/__init__.py", "is imported from /usr/lib/net/scripts/__init__.py"),
        ("", "is imported from nowhere"),
    ],
)
def test_a_package_that_lies_elsewhere(root: Path, place: str, said: str) -> None:
    path = f"{PACKAGE}/scripts/__init__.py"
    (root / path).unlink()
    places = {MODULES[each]: str(root / each) for each in SOURCES if each != path}
    gate = imported(root, imported=places | ({MODULES[path]: place} if place else {}))
    assert gate.state == "failed"
    assert gate.summary == f"nvidia_tao_deploy.cv.net.scripts {said}"


def specs(**changed: SpecFacts) -> dict[str, SpecFacts]:
    """Return specs that chain, but for those given."""
    good = SpecFacts(missing=("results_dir", "dataset.root_dir"), resolved=_chain("net", FAMILY))
    return {mode: changed.get(mode, good) for mode in ("gen_trt_engine", "inference", "evaluate")}


def test_specs_that_chain() -> None:
    gate = _spec_gate("net", FAMILY, ["dataset.root_dir"], specs())
    assert gate.state == "passed"
    assert set(gate.evidence["resolved"]) == {"gen_trt_engine", "inference", "evaluate"}


@pytest.mark.parametrize(
    ("mode", "key"),
    [
        ("gen_trt_engine", "gen_trt_engine.onnx_file"),
        ("gen_trt_engine", "gen_trt_engine.trt_engine"),
        ("inference", "inference.trt_engine"),
        ("inference", "dataset.test_dataset.images_dir"),
        ("evaluate", "evaluate.trt_engine"),
        ("evaluate", "dataset.val_dataset.images_dir"),
    ],
)
@pytest.mark.parametrize("value", ["/elsewhere", None])
def test_a_path_off_the_chain(mode: str, key: str, value: str | None) -> None:
    resolved = {**_chain("net", FAMILY), key: value}
    gate = _spec_gate(
        "net", FAMILY, ["dataset.root_dir"], specs(**{mode: SpecFacts(missing=(), resolved=resolved)})
    )
    assert gate.state == "failed"
    assert gate.summary == f"{mode}.yaml: {key} is {value}, the chain has {_chain('net', FAMILY)[key]}"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            SpecFacts(missing=("results_dir", "dataset.num_classes"), resolved=_chain("net", FAMILY)),
            "evaluate.yaml leaves dataset.num_classes to the user",
        ),
        (
            SpecFacts(missing=(), resolved={}, error="Key 'batchsize' not in 'EvaluateConfig'"),
            "evaluate.yaml: Key 'batchsize' not in 'EvaluateConfig'",
        ),
    ],
)
def test_a_spec_that_does_not_resolve(facts: SpecFacts, said: str) -> None:
    gate = _spec_gate("net", FAMILY, ["dataset.root_dir"], specs(evaluate=facts))
    assert gate.state == "failed"
    assert gate.summary == said


def test_without_a_schema_no_spec_resolves() -> None:
    gate = _spec_gate("net", FAMILY, ["dataset.root_dir"], {})
    assert gate.state == "failed"
    assert gate.summary.count("its schema does not import") == 3
