"""The same port on releases whose schemas lie in tao-core: 6.26.3, with its wheel where there is no clone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter.gates.catalogue import GATES
from porter.gates.environments import clean_gate
from porter.session import PortSession
from porter.ui import Ui
from porter.workspace import Workspace
from tests.e2e.clones import add_mini_backbone, private_clone
from tests.e2e.conftest import Done, port_mini, run_porter
from tests.real_clones import real_clone
from tests.repositories import git

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]

TRAINED, DEPLOYED = "bb8b234", "refs/remotes/origin/release/6.26.3"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tao-pytorch 6.26.3 with the small backbone, on main."""
    original = real_clone("tao-pytorch")
    clone = private_clone(original, tmp_path_factory.mktemp("core-layout") / "tao-pytorch")
    git(clone, "checkout", "-q", "-B", "main", git(original, "rev-parse", TRAINED))
    return add_mini_backbone(clone)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tao-deploy with a newer release on main, and 6.26.3 on a branch."""
    original = real_clone("tao-deploy")
    clone = private_clone(original, tmp_path_factory.mktemp("core-layout") / "tao-deploy")
    git(clone, "branch", "release/6.26.3", git(original, "rev-parse", DEPLOYED))
    return clone


@pytest.fixture(scope="module")
def port(
    e2e_cache: Path, mini_model: Path, trained: Path, deployed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Done]:
    """Workspace and end of the port."""
    workspace = tmp_path_factory.mktemp("core-port") / "port"
    more = ("--tao-deploy", str(deployed), "--base", "tao-deploy=release/6.26.3", "--until", "5")
    return workspace, port_mini(e2e_cache, mini_model, trained, workspace, *more)


def test_every_gate_of_a_cpu_machine_passes(port: tuple[Path, Done]) -> None:
    done = port[1]
    assert done.code == 0, done.err
    needed = {
        gate.id: "rehearsed" if gate.stand_in else "passed" for gate in GATES if gate.cpu and gate.phase <= 5
    }
    states = {name: gate["state"] for name, gate in done.gates().items()}
    assert {name: states.get(name) for name in needed} == needed


def test_the_one_schema_lies_in_tao_core(port: tuple[Path, Done]) -> None:
    workspace = port[0]
    changed = git(workspace / "tao-core", "diff", "--name-only", "HEAD").splitlines()
    folder = "nvidia_tao_core/config/mini_vit"
    assert changed == [
        f"{folder}/{name}.py" for name in ("__init__", "default_config", "model_params_mapping")
    ]
    for repo, package in (("tao-pytorch", "nvidia_tao_pytorch"), ("tao-deploy", "nvidia_tao_deploy")):
        assert not (workspace / repo / package / "config" / "mini_vit").exists()
        scripts = workspace / repo / package / "cv" / "mini_vit" / "scripts"
        text = (scripts / "evaluate.py").read_text()
        assert "from nvidia_tao_core.config.mini_vit.default_config import ExperimentConfig" in text


def test_what_ran_was_the_schema_of_the_worktree(
    port: tuple[Path, Done], e2e_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, done = port
    core = done.gates()["run-train"]["evidence"]["nvidia_tao_core"]
    assert core == {"file": str(workspace / "tao-core/nvidia_tao_core/__init__.py"), "version": "6.26.3"}
    monkeypatch.setenv("PORTER_CACHE", str(e2e_cache))
    session = PortSession(Workspace.open(workspace), Ui(quiet=True))
    session.journal.enter(6)
    gate = clean_gate(session)
    assert gate.state == "passed", gate.summary
    assert "nvidia_tao_core from the worktree" in gate.summary
    assert "stood in for, but for the schemas" in gate.summary


def test_a_mixed_set_is_refused_before_anything_is_made(
    e2e_cache: Path, mini_model: Path, trained: Path, deployed: Path, tmp_path: Path
) -> None:
    refs = git(trained, "for-each-ref")
    clones = ("--tao-pytorch", trained, "--tao-deploy", deployed)
    arguments = ("port", mini_model, "--name", "mixed_vit", *clones, "--workspace", tmp_path / "port")
    done = run_porter(e2e_cache, *arguments, "--yes")
    assert done.code == 4
    assert "tao-pytorch 6.26.3 and tao-deploy" in done.err
    assert "--base tao-deploy=release/6.26.3" in done.err
    assert git(trained, "for-each-ref") == refs
    assert not (tmp_path / "port" / "tao-pytorch").exists()


def test_it_is_trained_and_packaged_with_that_schema(
    port: tuple[Path, Done], e2e_cache: Path, tmp_path: Path
) -> None:
    workspace, done = port
    package = Path(done.gates()["catalog-entry"]["evidence"]["package"])
    manifest = json.loads((package / "schemas" / "manifest.json").read_text())
    assert manifest["x_porter"]["source"]["repository"] == "tao-core"
    assert "spec_templates" in manifest["x_porter"]["deploy"]
    data = ("--train-data", "s3://bucket/d", "--eval-data", "s3://bucket/v", "--set", "num_classes=3")
    plan = run_porter(e2e_cache, "train", workspace, *data, "--dry-run", "--format", "json")
    assert plan.code == 0, plan.err
    assert plan.json["release"].startswith("tao-core 6.26.3")
    arguments = ("skills", "build", workspace, "--output", tmp_path / "skill", "--format", "json")
    made = run_porter(e2e_cache, *arguments)
    assert made.code == 0, made.err
    assert made.json["notes"] == []
    name = "references/spec_template_deploy_evaluate.yaml"
    assert (tmp_path / "skill" / name).read_bytes() == (package / name).read_bytes()
