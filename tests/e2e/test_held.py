"""Ports of a model that the kit has no backbone for: a small ResNet, lifted, and held as it is."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from porter.demo import make_model
from porter.gates.catalogue import GATES
from porter.records.sandbox import Environment
from tests.conftest import REAL_CACHE
from tests.e2e.conftest import LABELS, UNEVEN_PROCESSOR, Done, Port, run_porter

pytestmark = pytest.mark.torch_env

CONFIG = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2], "layer_type": "basic"}
# The shorter side goes to 36, then the centre of 32 is cropped.
PROCESSOR = UNEVEN_PROCESSOR | {
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 32},
    "crop_pct": 0.875,
    "resample": 3,
}


@pytest.fixture(scope="module")
def resnet(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ResNet with perturbed random weights, batch norm statistics among them."""
    folder = tmp_path_factory.mktemp("model") / "org-mini-resnet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        return make_model(
            folder,
            architecture="ResNetForImageClassification",
            config=CONFIG,
            processor=PROCESSOR,
            labels=LABELS,
        )


@pytest.fixture(scope="module", params=["transplant", "compose"])
def held(
    request: pytest.FixtureRequest,
    e2e_cache: Path,
    resnet: Path,
    mini_kit: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path, Done]:
    """The strategy, the workspace of a port up to phase 3, and how the command ended.

    What can be lifted is lifted unless the other strategy is asked for.
    """
    strategy = str(request.param)
    workspace = tmp_path_factory.mktemp(strategy) / "port"
    more: list[str | Path] = ["--tao-pytorch", mini_kit, "--workspace", workspace, "--until", "3"]
    more += ["--branch", f"feature/{strategy}"]
    more += ["--strategy", strategy] if strategy == "compose" else []
    done = run_porter(e2e_cache, "port", resnet, "--name", "mini_resnet", *more, "--yes", "--json")
    return strategy, workspace, done


def evidence(done: Done, gate: str) -> dict[str, Any]:
    found: dict[str, Any] = done.gates()[gate]["evidence"]
    return found


def test_every_gate_up_to_the_trainer_passes(held: tuple[str, Path, Done]) -> None:
    done = held[2]
    assert done.code == 0, done.err
    gates = done.gates()
    ran = {gate.id: gates[gate.id]["state"] for gate in GATES if gate.phase in (1, 2, 3)}
    assert set(ran.values()) == {"passed"}, ran


def test_the_strategy_says_why_no_other_was_taken(held: tuple[str, Path, Done]) -> None:
    strategy, _, done = held
    gate = done.gates()["strategy"]
    assert gate["summary"].startswith(f"{strategy}: ResNetForImageClassification; ")
    rejected = gate["evidence"]["rejected"]
    assert list(rejected) == ["native", "timm", "transplant"][: 2 if strategy == "transplant" else 3]
    assert all(rejected.values())


def test_only_what_holds_transformers_imports_it(held: tuple[str, Path, Done]) -> None:
    strategy, workspace, done = held
    package = workspace / "tao-pytorch" / "nvidia_tao_pytorch" / "cv" / "mini_resnet"
    importing = [
        path.name
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom) and "transformers" in ast.unparse(node)
    ]
    assert importing == ([] if strategy == "transplant" else ["backbone.py"])
    network = package / "model" / "network.py"
    assert network.exists() == (strategy == "transplant")
    if network.exists():
        facts = done.gates()["strategy"]["evidence"]
        assert "transformers.models.resnet.modeling_resnet" in facts["lifted from"]
        head = network.read_text(encoding="utf-8").partition('"""')[0]
        assert all(f"# {holder}\n" in head for holder in facts["copyright"])


def test_not_one_bit_differs(held: tuple[str, Path, Done]) -> None:
    found = evidence(held[2], "parity-tao")
    assert found["tolerance"] == found["relative"] == found["max_abs"] == 0
    assert {each["weights"] for each in found["parities"]} == {"real", "perturbed"}
    assert all(relative > 0 for relative in found["controls"].values())
    assert found["other_size"]["relative"] == 0
    assert found["other_size"]["size"] == [64, 64]


def test_the_ledger_renames_every_tensor_by_the_prefix(held: tuple[str, Path, Done]) -> None:
    plan = json.loads((held[1] / ".porter" / "steps" / "3-ledger-noted.json").read_text())["result"]
    rows = plan["ledger"]["rows"]
    assert {row["fate"] for row in rows} == {"renamed"}
    assert all(row["targets"] == [f"hf.{row['sources'][0]}"] for row in rows)
    assert any(row["sources"][0].endswith("num_batches_tracked") for row in rows)


def test_native_is_refused_with_the_reason(
    porter: Port, resnet: Path, mini_kit: Path, tmp_path: Path
) -> None:
    arguments = ("--tao-pytorch", mini_kit, "--workspace", tmp_path / "port", "--branch", "feature/forced")
    done = porter(
        "port", resnet, "--name", "forced", *arguments, "--strategy", "native", "--yes", "--until", "2"
    )
    assert done.code not in (0, 1)
    assert "cannot be ported by the strategy native" in done.err
    assert "entries of the backbone registry builds a ResNet" in done.err
    assert "leave --strategy out" in done.err


def test_a_strategy_that_is_not_there_is_refused_at_once(porter: Port, resnet: Path, tmp_path: Path) -> None:
    done = porter("port", resnet, "--strategy", "rewrite", "--workspace", tmp_path / "port", "--yes")
    assert done.code == 2
    assert "it has: native, timm, transplant, compose" in done.err
    assert not (tmp_path / "port").exists()
