"""The released tao-deploy, unmodified, on the stand-ins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter.embedded.materialise import PACKAGES, materialise_package
from porter.records.sandbox import Environment
from tests.conftest import PIP_SETTINGS, REAL_CACHE
from tests.rehearsal.inside import run_inside

pytestmark = pytest.mark.deploy_env

ROOT = Path(__file__).parents[2]
SCRIPT = "nvidia_tao_deploy/cv/classification_pyt/scripts/gen_trt_engine.py"
SPEC = """
results_dir: {folder}/results
gen_trt_engine:
  onnx_file: {folder}/toy.onnx
  trt_engine: {folder}/toy.engine
  tensorrt: {{data_type: bf16, workspace_size: 1, min_batch_size: 1, opt_batch_size: 2, max_batch_size: 4}}
"""


@pytest.fixture(scope="module")
def release() -> Path:
    """The released tao-deploy, as the package index has it; the runs do not write to it."""
    package = next(package for package in PACKAGES if package.repo == "tao-deploy")
    with pytest.MonkeyPatch.context() as patch:
        if PIP_SETTINGS.exists():
            patch.setenv("PIP_CONFIG_FILE", str(PIP_SETTINGS))
        return materialise_package(package, REAL_CACHE)


def test_builder_and_inferencer(deploy_environment: Environment, release: Path, tmp_path: Path) -> None:
    trial = ["-m", "tests.rehearsal.reference_trial", str(tmp_path)]
    ran = run_inside(deploy_environment, trial, home=tmp_path, packages=(release, ROOT))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    answers = json.loads(ran.stdout.splitlines()[-1])
    assert {precision: answer["header"]["flags"] for precision, answer in answers.items()} == {
        "fp32": [],
        "fp16": ["FP16"],
        "int8": ["FP16", "INT8"],
        "int8 again": ["FP16", "INT8"],
    }
    assert {precision: answer["header"]["calibration"] for precision, answer in answers.items()} == {
        "fp32": {},
        "fp16": {},
        "int8": {"batches": 3, "cache": "written"},
        "int8 again": {"batches": 0, "cache": "read"},
    }
    for answer in answers.values():
        assert answer["distance"] == {"1": 0, "3": 0, "4": 0}
        assert answer["header"]["profiles"] == {"images": [[1, 3, 8, 8], [2, 3, 8, 8], [4, 3, 8, 8]]}
        assert "[5, 3, 8, 8]" in answer["refused"]


def test_the_script_that_builds_engines(
    deploy_environment: Environment, release: Path, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.format(folder=tmp_path))
    write = "from pathlib import Path; from tests.rehearsal import cases; cases.write_onnx(Path('toy.onnx'))"
    made = run_inside(deploy_environment, ["-c", write], home=tmp_path, packages=[ROOT])
    assert made.returncode == 0, made.stderr
    script = [str(release / SCRIPT), "--config-path", str(tmp_path), "--config-name", "spec.yaml"]
    ran = run_inside(deploy_environment, script, home=tmp_path, packages=[release])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    status = (tmp_path / "results" / "gen_trt_engine" / "status.json").read_text().splitlines()
    assert json.loads(status[-1])["status"] == "SUCCESS"
    assert b"rehearsal engine" in (tmp_path / "toy.engine").read_bytes()[:40]
