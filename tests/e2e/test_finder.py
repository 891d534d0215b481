"""Ports of families that porter has no rules for: the rule finder runs both models, believed or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from porter.gates.catalogue import GATES
from porter.records.probes import MakeModel
from porter.records.sandbox import Environment
from tests.e2e.conftest import LABELS, SMALL_PROCESSOR, Done, run_porter
from tests.finder_cases import CASES
from tests.models import make_models

pytestmark = pytest.mark.torch_env

_REFUSED = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 16, 24, 32],
    "image_size": 32,
    "layer_scale_init_value": 0.5,
}


@pytest.fixture(scope="module")
def checkpoints(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An I-JEPA and a PoolFormer, small and perturbed."""
    root = tmp_path_factory.mktemp("models")
    asked = {
        "ijepa": ("IJepaForImageClassification", CASES["ijepa"].config),
        "poolformer": ("PoolFormerForImageClassification", _REFUSED),
    }
    made = {
        name: MakeModel(
            folder=str(root / name),
            architecture=architecture,
            config=config,
            processor=SMALL_PROCESSOR,
            labels=LABELS,
        )
        for name, (architecture, config) in asked.items()
    }
    make_models(tao_environment, root, made)
    return root


@pytest.fixture(scope="module")
def found(
    e2e_cache: Path, checkpoints: Path, mini_kit: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Done]:
    """The workspace of a port up to phase 3, and how the command ended."""
    workspace = tmp_path_factory.mktemp("found") / "port"
    more = ("--tao-pytorch", mini_kit, "--workspace", workspace, "--branch", "feature/found", "--until", "3")
    done = run_porter(
        e2e_cache, "port", checkpoints / "ijepa", "--name", "mini_ijepa", *more, "--yes", "--json"
    )
    return workspace, done


def evidence(done: Done, gate: str) -> dict[str, Any]:
    gates = done.gates()
    shown: dict[str, Any] = gates[gate]["evidence"]
    return shown


def test_found_rules_pass_every_gate_that_written_ones_pass(found: tuple[Path, Done]) -> None:
    _, done = found
    assert done.code == 0, done.err
    gates = done.gates()
    ran = {gate.id: gates[gate.id]["state"] for gate in GATES if gate.phase in (1, 2, 3)}
    assert set(ran.values()) == {"passed"}, ran
    assert gates["strategy"]["summary"].startswith("timm: vit_base_patch16_224; ")
    assert evidence(done, "parity-tao")["relative"] <= 1e-5
    assert "fused" in evidence(done, "ledger")["fates"]


def test_what_the_finder_proposed_and_measured_is_shown(found: tuple[Path, Done]) -> None:
    workspace, done = found
    (attempt,) = evidence(done, "strategy")["rule finder"]["attempts"]
    assert attempt["accepted"]
    assert attempt["relative"]["logits float64"] <= 1e-6
    assert any("key.bias" in name for name in attempt["inert"])
    text = (workspace / ".porter" / "evidence" / "rule-finder.txt").read_text()
    assert "blocks.0.attn.qkv.weight <- concat of" in text
    differences = evidence(done, "strategy")["differences"]
    assert "the rules were found by running both models" in differences[0]


def test_the_epsilon_that_was_measured_is_generated(found: tuple[Path, Done]) -> None:
    package = found[0] / "tao-pytorch" / "nvidia_tao_pytorch" / "cv" / "mini_ijepa"
    text = (package / "model" / "timm_backbone.py").read_text()
    assert '"blocks.0.norm1": 1e-12' in text.replace("'", '"')
    assert "EPSILONS.items()" in text


def test_a_family_that_timm_calculates_otherwise_goes_on_to_the_next_strategy(
    e2e_cache: Path, checkpoints: Path, mini_kit: Path, tmp_path: Path
) -> None:
    more = ("--tao-pytorch", mini_kit, "--workspace", tmp_path / "port", "--branch", "feature/refused")
    name = ("--name", "mini_pool", "--until", "2")
    done = run_porter(e2e_cache, "port", checkpoints / "poolformer", *name, *more, "--yes", "--json")
    assert done.code == 0, done.err
    assert done.gates()["strategy"]["summary"].startswith("transplant")
    why = evidence(done, "strategy")["rejected"]["timm"]
    assert "the rule finder tried" in why
    assert "poolformer" in why
    assert "tensors placed" in why
