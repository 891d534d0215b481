"""A model whose weights are a pickle: converted in the sandbox, then ported like any other."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from porter.records.sandbox import Environment
from tests.e2e.conftest import Port, port_mini, run_porter

pytestmark = pytest.mark.torch_env

PICKLE = """
import sys, torch
from safetensors.torch import load_file
torch.save(load_file(sys.argv[1] + "/model.safetensors"), sys.argv[1] + "/pytorch_model.bin")
"""


@pytest.fixture(scope="module")
def pickled(tao_environment: Environment, mini_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model, its weights in a pickle."""
    folder = tmp_path_factory.mktemp("pickled") / "org-mini-vit"
    shutil.copytree(mini_model, folder)
    subprocess.run([tao_environment.python, "-c", PICKLE, str(folder)], check=True)
    (folder / "model.safetensors").unlink()
    return folder


def test_port_of_a_pickle_converts_every_tensor(
    e2e_cache: Path, pickled: Path, mini_model: Path, mini_kit: Path, tmp_path: Path
) -> None:
    done = port_mini(e2e_cache, pickled, mini_kit, tmp_path / "port", "--until", "3", "--branch", "pickled")
    assert done.code == 0, done.err
    gates = done.gates()
    assert "weights in pickles" in gates["model"]["summary"]
    assert gates["ledger"]["state"] == "passed"
    assert gates["parity-tao"]["state"] == "passed"
    made = tmp_path / "port" / ".porter" / "model" / "model.safetensors"
    shown = run_porter(e2e_cache, "inspect", mini_model, "--json").json["tensors"]
    again = run_porter(e2e_cache, "inspect", made.parent, "--json").json["tensors"]
    assert shown == again
    assert not (pickled / "model.safetensors").exists()

    resumed = run_porter(e2e_cache, "resume", tmp_path / "port", "--until", "3", "--yes", "--json")
    assert resumed.code == 0, resumed.err
    assert "phase 1  inspect: done, unchanged" in resumed.err or "runs again" not in resumed.err
    made.unlink()
    resumed = run_porter(e2e_cache, "resume", tmp_path / "port", "--until", "1", "--yes")
    assert resumed.code == 0, resumed.err
    assert made.exists()


def test_pickle_that_is_more_than_weights_stops_the_port(
    porter: Port, tao_environment: Environment, pickled: Path, mini_kit: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(pickled, folder)
    make = "import sys, torch; torch.save({'w': torch.nn.Linear(2, 2)}, sys.argv[1])"
    subprocess.run([tao_environment.python, "-c", make, str(folder / "pytorch_model.bin")], check=True)
    looked = porter("inspect", folder, "--json")
    assert looked.code == 0
    assert json.loads(looked.out)["tensors"] == []
    workspace = tmp_path / "port"
    done = porter(
        *("port", folder, "--tao-pytorch", mini_kit, "--workspace", workspace),
        *("--name", "hostile", "--yes", "--until", "1"),
    )
    assert done.code == 3
    assert "pytorch_model.bin" in done.err
    assert "Linear" in done.err
    assert not (workspace / ".porter" / "model").exists()
