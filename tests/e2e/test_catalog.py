"""A finished port as a model of `porter models`, `porter image`, `porter skills build` and `porter train`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from porter.launch import catalog
from porter.records.sandbox import Environment
from tests.e2e.conftest import Done, run_porter
from tests.e2e.trainings import remember

pytestmark = pytest.mark.torch_env

ACTIONS = {"train", "evaluate", "inference", "export", "gen_trt_engine"}

_MERGE = """
import importlib, sys
from pathlib import Path
from omegaconf import OmegaConf

package, *templates = sys.argv[1:]
config = importlib.import_module(f"{package}.config.mini_vit.default_config")
base = OmegaConf.structured(config.ExperimentConfig())
for path in templates:
    OmegaConf.merge(base, OmegaConf.load(path))
    print(Path(path).name)
"""


def test_the_gate_says_what_the_entry_has(ported: tuple[Path, Done]) -> None:
    gate = ported[1].gates()["catalog-entry"]
    assert gate["state"] == "passed"
    evidence = gate["evidence"]
    assert set(evidence["actions"]) == ACTIONS
    assert "train.optim.lr" in evidence["searched"]
    assert {"dataset.root_dir", "evaluate.trt_engine"} <= set(evidence["keys"])
    assert evidence["metric"] == "val_acc_1"
    entry = catalog.read(Path(evidence["entry"]))
    assert entry.base[0].default == str(ported[0] / "results" / "checkpoint" / "mini_vit.pth")
    assert Path(entry.base[0].default).is_file()
    assert (ported[0] / "results" / "gates" / "train" / entry.checkpoint).is_file()


def test_every_template_of_the_package_fits_its_dataclasses(
    ported: tuple[Path, Done], tao_environment: Environment
) -> None:
    references = Path(ported[1].gates()["catalog-entry"]["evidence"]["package"]) / "references"
    deployed = set(references.glob("spec_template_deploy_*.yaml"))
    trained = set(references.glob("spec_template_*.yaml")) - deployed
    assert {path.stem.removeprefix("spec_template_deploy_") for path in deployed} == {
        *("gen_trt_engine", "evaluate", "inference")
    }
    assert {path.stem.removeprefix("spec_template_") for path in trained} == ACTIONS
    for repo, templates in (("tao-pytorch", trained), ("tao-deploy", deployed)):
        package = f"nvidia_{repo.replace('-', '_')}"
        merged = subprocess.run(
            [tao_environment.python, "-B", "-c", _MERGE, package, *map(str, templates)],
            env={"PYTHONPATH": str(ported[0] / repo)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(merged.stdout.split()) == len(templates)


def test_the_port_is_a_model_for_every_command(
    ported: tuple[Path, Done], e2e_cache: Path, tmp_path: Path
) -> None:
    workspace = ported[0]
    remember(workspace, "mini_vit", e2e_cache)
    rows = run_porter(e2e_cache, "models", "--format", "json").json
    assert next(row for row in rows if row["name"] == "mini_vit")["workspace"] == str(workspace)
    shown = run_porter(e2e_cache, "image", "mini_vit", "--action", "train", "--format", "json").json
    assert shown["command"] == "mini_vit train -e {config_path}"
    assert shown["code"] == str(workspace / "tao-pytorch")
    data = ("--train-data", "s3://bucket/d", "--eval-data", "s3://bucket/v", "--set", "num_classes=3")
    plan = run_porter(e2e_cache, "train", "mini_vit", *data, "--dry-run", "--format", "json")
    assert plan.code == 0, plan.err
    assert plan.json["start"]["source"] == str(workspace / "results" / "checkpoint" / "mini_vit.pth")
    assert plan.json["spec"]["dataset"]["num_classes"] == 3
    by_folder = run_porter(e2e_cache, "train", workspace, *data, "--dry-run", "--format", "json")
    assert by_folder.json == plan.json
    assert "tao-pytorch" in plan.json["release"]


def test_its_package_is_built_of_the_ports_worktrees(
    ported: tuple[Path, Done], e2e_cache: Path, tmp_path: Path
) -> None:
    remember(ported[0], "mini_vit", e2e_cache)
    arguments = ("skills", "build", "mini_vit", "--output", tmp_path / "skill", "--format", "json")
    made = run_porter(e2e_cache, *arguments)
    assert made.code == 0, made.err
    assert made.json["notes"] == []
    written = Path(ported[1].gates()["catalog-entry"]["evidence"]["package"])
    for name in ("schemas/train.schema.json", "references/spec_template_deploy_evaluate.yaml"):
        assert (tmp_path / "skill" / name).read_bytes() == (written / name).read_bytes()
    info = yaml.safe_load((written / "references" / "skill_info.yaml").read_text())
    assert info["network_arch"] == "mini_vit"
    manifest = json.loads((written / "schemas" / "manifest.json").read_text())
    assert manifest["x_porter"]["deploy"]["source"]["repository"] == "tao-deploy"
