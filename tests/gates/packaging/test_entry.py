"""The gate that puts a ported network into the catalog."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter.gates.entry import entry_gate
from porter.launch import catalog, remembered
from porter.launch.skills import MANIFEST
from porter.records.weights import Conversion
from tests.gates.packaging.port import NAME, TRAINER, Packaged

pytestmark = [pytest.mark.torch_env, pytest.mark.deploy_env]

SCHEMA = f"tao-pytorch/nvidia_tao_pytorch/config/{NAME}/default_config.py"


def converted(port: Packaged) -> Packaged:
    """Record that phase 3 has converted the checkpoint."""
    made = Conversion(
        checkpoint=str(port.session.workspace.results / "checkpoint" / f"{NAME}.pth"),
        sha256="0" * 64,
        size=1,
        tensors=1,
        parameters=1,
        dtypes={},
        largest_tensor=1,
        baseline_anon=1,
        peak_anon=1,
        limit_anon=1,
        seconds=1.0,
    )
    port.session.journal.enter(3)
    port.session.journal.step("conversion", {}, Conversion, lambda: made)
    port.session.journal.enter(5)
    return port


@pytest.fixture
def port(kit_port: Packaged) -> Packaged:
    return converted(kit_port)


@pytest.fixture
def status(port: Packaged) -> Iterator[Path]:
    """status.json of the port's training."""
    path = port.session.workspace.results / "gates" / "train" / "status.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    path.unlink()


def test_the_entry_is_written_read_and_remembered(port: Packaged) -> None:
    gate = entry_gate(port.session)
    assert gate.state == "passed", gate.summary
    assert gate.evidence["actions"] == ["train", "evaluate", "export", "inference", "gen_trt_engine"]
    assert "train.optim.lr" in gate.evidence["searched"]
    assert gate.summary.startswith(f"porter train {NAME}: train, ")
    found = catalog.entry(NAME)
    assert found.workspace == str(port.session.workspace.root)
    assert found.base[0].default.endswith(f"results/checkpoint/{NAME}.pth")
    assert found.description.startswith("org/vit, ported to TAO")
    manifest = json.loads((Path(gate.evidence["package"]) / MANIFEST).read_text())
    assert manifest["x_porter"]["source"]["commit"].endswith(" with changes")
    assert set(manifest["x_porter"]["deploy"]["spec_templates"]) == {
        "gen_trt_engine",
        "evaluate",
        "inference",
    }


def test_it_is_made_again_without_asking_again(port: Packaged) -> None:
    entry_gate(port.session)
    path = remembered.entry_of(port.session.workspace, NAME)
    before, runs = path.read_bytes(), port.runs()
    path.unlink()
    assert entry_gate(port.session).state == "passed"
    assert (path.read_bytes(), port.runs()) == (before, runs)


def test_without_tao_deploy_the_entry_has_no_engines(lone_port: Packaged) -> None:
    gate = entry_gate(converted(lone_port).session)
    assert gate.state == "passed", gate.summary
    assert gate.evidence["actions"] == ["train", "evaluate", "export", "inference"]
    found = catalog.read(Path(gate.evidence["entry"]))
    assert not any(action.engine for action in found.actions.values())


def test_an_action_without_a_script_is_none(port: Packaged) -> None:
    with port.changed(f"{TRAINER}/scripts/inference.py", "", None):
        gate = entry_gate(port.session)
    assert gate.state == "passed", gate.summary
    assert "inference" not in gate.evidence["actions"]


def test_a_metric_that_no_run_writes_is_named(port: Packaged, status: Path) -> None:
    status.write_text('{"kpi": {"val_accuracy": 1.0}}\nno json\n[]\n{"kpi": null}\n')
    gate = entry_gate(port.session)
    assert gate.state == "failed"
    assert gate.summary == "the entry names what the port does not have: val_acc_1 (training)"
    status.write_text('{"kpi": {"val_acc_1": 1.0}}\n')
    assert entry_gate(port.session).state == "passed"


def test_a_key_that_the_schema_lost_is_named(port: Packaged) -> None:
    section = "    train: TrainConfig = DATACLASS_FIELD(TrainConfig())\n"
    with port.changed(SCHEMA, section, ""):
        gate = entry_gate(port.session)
    assert gate.state == "failed"
    assert "train.num_gpus" in gate.summary


def test_a_schema_that_does_not_import_is_told(port: Packaged) -> None:
    with port.changed(SCHEMA, "import", "import nowhere\nimport"):
        gate = entry_gate(port.session)
    assert gate.state == "failed"
    assert "cannot be imported" in gate.summary


def test_a_spec_that_is_no_yaml_is_told(port: Packaged) -> None:
    with port.changed(f"{TRAINER}/experiment_specs/experiment_spec.yaml", "model:", "model: ["):
        gate = entry_gate(port.session)
    assert gate.state == "failed"
    assert "experiment_spec.yaml cannot be read" in gate.summary


def test_what_a_person_wrote_into_the_package_is_kept(port: Packaged) -> None:
    page = Path(entry_gate(port.session).evidence["package"]) / "SKILL.md"
    before = page.read_text()
    page.write_text("mine")
    gate = entry_gate(port.session)
    assert gate.state == "failed"
    assert "SKILL.md" in gate.summary
    assert page.read_text() == "mine"
    page.write_text(before)
    assert entry_gate(port.session).state == "passed"
