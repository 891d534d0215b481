"""A port of a timm checkpoint: a small model that transformers does not have, as a hub repository has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from porter.gates.catalogue import GATES
from porter.records.sandbox import Environment
from tests.e2e.conftest import LABELS, Done, run_porter
from tests.models import make_models
from tests.timm_folders import request

pytestmark = pytest.mark.torch_env


@pytest.fixture(scope="module")
def checkpoint(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small timm model with perturbed random weights."""
    root = tmp_path_factory.mktemp("model")
    made = request(
        root / "timm-mini",
        "test_vit",
        arguments={"img_size": 32, "depth": 2},
        labels=LABELS,
        # At the side that is cropped, half a pixel is left of many an image.
        input_size=[3, 32, 32],
    )
    make_models(tao_environment, root, {"timm-mini": made})
    return root / "timm-mini"


@pytest.fixture(scope="module")
def ported_timm(
    e2e_cache: Path, checkpoint: Path, mini_kit: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Done]:
    """The workspace of a port up to phase 3, and how the command ended."""
    workspace = tmp_path_factory.mktemp("timm") / "port"
    more = ("--tao-pytorch", mini_kit, "--workspace", workspace, "--branch", "feature/timm", "--until", "3")
    done = run_porter(e2e_cache, "port", checkpoint, "--name", "mini_timm", *more, "--yes", "--json")
    return workspace, done


def evidence(done: Done, gate: str) -> dict[str, Any]:
    found: dict[str, Any] = done.gates()[gate]["evidence"]
    return found


def test_every_gate_up_to_the_trainer_passes(ported_timm: tuple[Path, Done]) -> None:
    _, done = ported_timm
    assert done.code == 0, done.err
    gates = done.gates()
    ran = {gate.id: gates[gate.id]["state"] for gate in GATES if gate.phase in (1, 2, 3)}
    assert set(ran.values()) == {"passed"}, ran
    assert gates["strategy"]["summary"].startswith("timm: test_vit; ")
    assert evidence(done, "strategy")["heads"] == ["head"]


def test_not_one_bit_differs(ported_timm: tuple[Path, Done]) -> None:
    found = evidence(ported_timm[1], "parity-tao")
    assert found["tolerance"] == found["relative"] == found["max_abs"] == 0
    assert {each["weights"] for each in found["parities"]} == {"real", "perturbed"}
    checks = evidence(ported_timm[1], "preprocessing")["checks"]
    assert {Path(check).suffix.split()[0] for check in checks} == {".png", ".jpg", ".JPEG"}
    assert {check.rpartition(" ")[2] for check in checks} == {"(val)", "(predict)"}
    assert max(checks.values()) <= 1e-6


def test_the_ledger_renames_every_tensor_by_the_prefix(ported_timm: tuple[Path, Done]) -> None:
    plan = json.loads((ported_timm[0] / ".porter" / "steps" / "3-ledger-noted.json").read_text())["result"]
    rows = plan["ledger"]["rows"]
    assert {row["fate"] for row in rows} == {"renamed"}
    assert all(row["targets"] == [f"timm_model.{row['sources'][0]}"] for row in rows)
