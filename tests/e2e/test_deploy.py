"""Phase 4 and the chain on a small port, and the traps that their gates are there for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter import exits
from porter.cli import app
from porter.gates.catalogue import BY_ID, GATES
from porter.gates.chain import chain_gates
from porter.phases.implement import context_of
from porter.records.gates import GateResult
from porter.session import PortSession
from porter.ui import Ui
from porter.workspace import Workspace
from tests.e2e.conftest import Done, run_porter
from tests.e2e.mutations import CHAIN, PHASE_4, Mutation

pytestmark = [pytest.mark.torch_env, pytest.mark.deploy_env]

LAST_OF_PHASE_4 = [gate.id for gate in GATES if gate.phase == 4][-1]


@pytest.fixture(autouse=True)
def _cache(e2e_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTER_CACHE", str(e2e_cache))


@pytest.fixture(scope="module")
def chained(deployed: tuple[Path, Done], e2e_cache: Path) -> dict[str, GateResult]:
    """How the gates of the whole chain end on the port as it was generated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(e2e_cache))
        return {gate.gate: gate for gate in chain(deployed[0])}


def chain(workspace: Path) -> list[GateResult]:
    """Run the gates of the chain alone; phase 6 has others before them, which take minutes."""
    session = PortSession(Workspace.open(workspace), Ui(quiet=True))
    session.journal.enter(6)
    gates = []
    for gate in chain_gates(session, context_of(session)):
        gates.append(gate)
        if gate.state == "failed":
            break
    return gates


def expected(gate: str) -> str:
    """Return how a gate ends on a machine without a GPU."""
    return "rehearsed" if BY_ID[gate].stand_in else "passed"


def test_phase_4_ends_as_the_catalogue_says(deployed: tuple[Path, Done]) -> None:
    done = deployed[1]
    assert done.code == 0, done.err
    found = {name: gate["state"] for name, gate in done.gates().items() if BY_ID[name].phase == 4}
    assert found == {gate.id: expected(gate.id) for gate in GATES if gate.phase == 4}


def test_what_is_rehearsed_names_its_stand_in(deployed: tuple[Path, Done]) -> None:
    gates = [gate for gate in deployed[1].gates().values() if gate["state"] == "rehearsed"]
    assert gates
    assert all(gate["evidence"]["stand_in"] == BY_ID[gate["gate"]].stand_in for gate in gates)


def test_the_chain_ends_as_the_catalogue_says(chained: dict[str, GateResult]) -> None:
    assert {name: gate.state for name, gate in chained.items()} == {
        name: expected(name) for name in ("chain-train", "chain-deploy", "native-engine", "done")
    }


@pytest.mark.parametrize("mutation", PHASE_4, ids=lambda mutation: mutation.trap)
def test_a_trap_fails_its_gate(
    deployed: tuple[Path, Done], mutation: Mutation, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, _ = deployed
    arguments = ["gate", mutation.gate, str(workspace), "--yes", "--json"]
    with mutation.made(workspace / "tao-deploy"):
        code = exits.run(lambda: app(arguments, standalone_mode=False))
    out, err = capsys.readouterr()
    assert code == 1, err
    (gate,) = json.loads(out)
    assert (gate["gate"], gate["state"]) == (mutation.gate, "failed")
    assert mutation.said in gate["summary"]
    assert f"gate {mutation.gate} failed: " in err


@pytest.mark.parametrize("mutation", CHAIN, ids=lambda mutation: mutation.trap)
def test_a_trap_breaks_the_chain(
    deployed: tuple[Path, Done], chained: dict[str, GateResult], mutation: Mutation
) -> None:
    workspace, _ = deployed
    with mutation.made(workspace / "tao-deploy"):
        gates = chain(workspace)
    assert (gates[-1].gate, gates[-1].state) == (mutation.gate, "failed")
    assert mutation.said in gates[-1].summary


def test_a_person_sees_which_gate_failed_and_that_it_is_mended(
    deployed: tuple[Path, Done], e2e_cache: Path
) -> None:
    workspace, _ = deployed
    with PHASE_4[0].made(workspace / "tao-deploy"):
        done = run_porter(e2e_cache, "gate", LAST_OF_PHASE_4, workspace, "--yes")
        assert done.code == 1
        assert f"gate {PHASE_4[0].gate} failed: " in done.err
        assert PHASE_4[0].said in done.err
    mended = run_porter(e2e_cache, "gate", LAST_OF_PHASE_4, workspace, "--yes")
    assert mended.code == 0, mended.err
