"""The same port on real tao-pytorch and tao-deploy: every gate, and the same numbers as on the kit."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path
from typing import Any

import pytest

from porter.gates.catalogue import GATES
from tests.e2e.clones import add_mini_backbone, private_clone
from tests.e2e.conftest import Done, port_mini
from tests.real_clones import real_clone
from tests.repositories import git

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]


@pytest.fixture(scope="module")
def real(
    e2e_cache: Path, mini_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Done]:
    """Clone, workspace and end of the small port on real tao-pytorch."""
    folder = tmp_path_factory.mktemp("real")
    clone = add_mini_backbone(private_clone(real_clone("tao-pytorch"), folder / "clone"))
    deploy = private_clone(real_clone("tao-deploy"), folder / "deploy")
    more = ("--tao-deploy", str(deploy))
    return clone, folder / "port", port_mini(e2e_cache, mini_model, clone, folder / "port", *more)


def test_every_gate_of_a_cpu_machine_passes(real: tuple[Path, Path, Done]) -> None:
    done = real[2]
    assert done.code == 0, done.err
    needed = {gate.id: "rehearsed" if gate.stand_in else "passed" for gate in GATES if gate.cpu}
    states = {name: gate["state"] for name, gate in done.gates().items()}
    assert {name: states.get(name) for name in needed} == needed


def test_the_documentation_table_lists_the_network(real: tuple[Path, Path, Done]) -> None:
    diff = git(real[1] / "tao-deploy", "diff", "docs/supported_commands.md")
    assert "+| `mini_vit` | cv | `nvidia_tao_deploy.cv.mini_vit` |" in diff


def test_the_real_clone_is_untouched(real: tuple[Path, Path, Done]) -> None:
    assert git(real[0], "status", "--porcelain") == ""


def test_the_entrypoint_ran_the_release_pinned_core(real: tuple[Path, Path, Done]) -> None:
    core = real[2].gates()["run-train"]["evidence"]["nvidia_tao_core"]
    assert core["version"] == "7.0.1"


def rows(workspace: Path, task: str) -> list[dict[str, str]]:
    with (workspace / "results" / "gates" / task / "result.csv").open(newline="") as file:
        return [{**row, "img_name": Path(row["img_name"]).name} for row in csv.DictReader(file)]


@pytest.mark.parametrize("task", ["evaluate", "inference"])
def test_kit_and_real_clone_write_the_same_rows(
    real: tuple[Path, Path, Done], ported: tuple[Path, Done], task: str
) -> None:
    ours, theirs = rows(ported[0], task), rows(real[1], task)
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        for key, value in mine.items():
            assert _is_same(value, other[key]), (key, value, other[key])


def test_kit_and_real_clone_measure_the_same(
    real: tuple[Path, Path, Done], ported: tuple[Path, Done]
) -> None:
    for gate in ("run-train", "run-evaluate"):
        ours = ported[1].gates()[gate]["evidence"]["kpi"]
        assert ours == pytest.approx(real[2].gates()[gate]["evidence"]["kpi"], rel=1e-5)


def test_kit_and_real_clone_export_the_same_graph(
    real: tuple[Path, Path, Done], ported: tuple[Path, Done], tao_environment: Any
) -> None:
    code = """
import sys, numpy, onnxruntime
a, b = (onnxruntime.InferenceSession(path) for path in sys.argv[1:])
assert [i.name for i in a.get_inputs()] == [i.name for i in b.get_inputs()]
for batch in (1, 2, 5):
    x = numpy.random.default_rng(batch).standard_normal((batch, 3, 32, 32)).astype("float32")
    numpy.testing.assert_allclose(a.run(None, {"input": x})[0], b.run(None, {"input": x})[0], atol=1e-5)
"""
    files = [str(place / "results/gates/export/mini_vit.onnx") for place in (ported[0], real[1])]
    done = subprocess.run(
        [tao_environment.python, "-c", code, *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _is_same(text: str, other: str) -> bool:
    """Compare two cells: numbers within float noise, words to the letter."""
    try:
        return bool(float(text) == pytest.approx(float(other), rel=1e-5, abs=1e-6))
    except ValueError:
        return text == other
