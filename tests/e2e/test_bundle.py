"""A port that lives on a bundle: no network, no clone given, no model named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from porter.bundle import manifest
from tests.e2e.conftest import Done, Port
from tests.hub_server import FIRST_COMMIT, HubServer
from tests.repositories import git
from tests.test_bundle import fetch, no_network

pytestmark = pytest.mark.torch_env


@pytest.fixture(scope="module")
def bundle(mini_model: Path, mini_kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model and the kit's clone; the environments are there already."""
    root = tmp_path_factory.mktemp("bundle")
    with HubServer() as server:
        server.add("org/mini-vit", {path.name: path.read_bytes() for path in mini_model.iterdir()})
        cache, home = str(root / "cache"), str(root / "hf")
        clones = {"tao-pytorch": str(mini_kit)}
        out, ref = root / "bundle", "org/mini-vit"
        fetch(server, out, root, ref=ref, clones=clones, names=(), PORTER_CACHE=cache, HF_HOME=home)
    return root / "bundle"


def offline(cache: Path, *arguments: str | Path) -> Done:
    """Run the command line with no network and with a Hub and an index that are dead."""
    done = subprocess.run(
        [*no_network(), sys.executable, "-m", "porter", *map(str, arguments)],
        env={
            **os.environ,
            "PORTER_CACHE": str(cache),
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_port_runs_on_the_bundle_alone(bundle: Path, e2e_cache: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "port"
    arguments = ("--bundle", bundle, "--workspace", workspace, "--name", "mini_vit", "--branch", "carried")
    done = offline(e2e_cache, "port", *arguments, "--yes", "--json", "--until", "2")
    assert done.code == 0, done.err
    gates = done.gates()
    assert gates["model"]["evidence"]["sha"] == FIRST_COMMIT
    assert gates["source-state"]["state"] == "passed"
    assert done.json["source"] == "org/mini-vit"
    base = manifest.read(bundle).repos[0]
    assert gates["clones"]["evidence"]["commits"]["tao-pytorch"] == base.commit
    assert git(workspace / "tao-pytorch", "branch", "--show-current") == "carried"
    # Going on needs neither the option nor a network.
    resumed = offline(e2e_cache, "resume", workspace, "--yes", "--until", "2")
    assert resumed.code == 0, resumed.err
    assert "inspect: done, unchanged" in resumed.err
    again = ("--bundle", bundle, "--name", "mini_vit", "--branch", "planned")
    planned = offline(e2e_cache, "plan", *again, "--yes", "--json")
    assert planned.code == 0, planned.err
    assert planned.gates()["ledger"]["state"] == "passed"


def test_another_model_or_revision_than_the_bundles_is_refused(
    bundle: Path, porter: Port, tmp_path: Path
) -> None:
    for arguments, words in (
        (("org/other",), "does not hold org/other"),
        (("org/mini-vit", "--revision", "v2"), "at v2"),
    ):
        done = porter("port", *arguments, "--bundle", bundle, "--workspace", tmp_path / "port", "--yes")
        assert done.code == 2
        assert words in done.err
        assert not (tmp_path / "port").exists()
    assert porter("port", "--bundle", tmp_path, "--yes").code == 4
