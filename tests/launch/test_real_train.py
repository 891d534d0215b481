"""Plans of DINO and MAL against the real tao-pytorch."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from porter.records.sandbox import Environment
from tests.conftest import REAL_CACHE
from tests.e2e.conftest import run_porter
from tests.launch.fields import coco
from tests.real_clones import real_clone

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]

_MERGE = """
import importlib, json, sys
from omegaconf import OmegaConf
experiment = importlib.import_module(sys.argv[1]).ExperimentConfig
empty = OmegaConf.structured(experiment)
merged = OmegaConf.merge(empty, OmegaConf.load(sys.argv[2]))
plain = OmegaConf.to_container
print(json.dumps([plain(empty), plain(merged)]))
"""

Values = dict[str, Any]


def flat(value: Any, prefix: str = "") -> Values:
    if not isinstance(value, dict) or not value:
        return {prefix.rstrip("."): value}
    found: Values = {}
    for name, item in value.items():
        found |= flat(item, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (
            "dino",
            ["num_classes=5", "lr=1e-4", "backbone=fan_tiny", "model.return_interm_indices=[1, 2, 3, 4]"],
        ),
        ("mal", ["model.crop_size=384", "train.batch_size=1", "load_mask=false", "arch=vit-deit-small/16"]),
    ],
)
def test_the_spec_merges_into_the_dataclass_and_has_only_what_differs(
    tmp_path: Path, tao_environment: Environment, model: str, settings: list[str]
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "envs").symlink_to(REAL_CACHE / "envs")
    clone = real_clone("tao-pytorch")
    arguments: list[str | Path] = ["train", model, "--train-data", coco(tmp_path / "data"), "--gpus", "2"]
    for pair in settings:
        arguments += ["--set", pair]
    done = run_porter(cache, *arguments, "--tao-pytorch", clone, "--dry-run", "--format", "json")
    assert done.code == 0, done.err
    plan = done.json
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(plan["spec"]))
    run = subprocess.run(
        [
            tao_environment.python,
            "-c",
            _MERGE,
            f"nvidia_tao_pytorch.config.{model}.default_config",
            tmp_path / "spec.yaml",
        ],
        env={"PYTHONPATH": str(clone), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    empty, merged = (flat(one) for one in json.loads(run.stdout.splitlines()[-1]))
    written = flat(plan["spec"])
    assert {key for key in merged if merged[key] != empty.get(key)} == set(written)
    assert {key: merged[key] for key in written} == written
    assert not list((cache / "skills").iterdir())
