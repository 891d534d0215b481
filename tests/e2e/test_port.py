"""A whole port on the kit: what a person sees, and what lies there afterwards."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from porter.gates.catalogue import GATES
from tests.e2e.conftest import LABELS, Done, run_porter
from tests.repositories import git, visible

pytestmark = pytest.mark.torch_env

BLOCKED_ON_A_CPU = {gate.id for gate in GATES if not gate.cpu}


def test_every_gate_of_a_cpu_machine_passes(ported: tuple[Path, Done]) -> None:
    _, done = ported
    assert done.code == 0, done.err
    gates = done.gates()
    assert set(gates) == {gate.id for gate in GATES}
    rehearsed = {name for name, gate in gates.items() if gate["state"] == "rehearsed"}
    assert rehearsed == {gate.id for gate in GATES if gate.stand_in}
    wrong = {name: gate for name, gate in gates.items() if gate["state"] not in ("passed", "rehearsed")}
    assert set(wrong) <= BLOCKED_ON_A_CPU, wrong
    assert all(gate["state"] == "blocked" for gate in wrong.values())


def test_blocked_gates_say_how_to_unblock_them(ported: tuple[Path, Done]) -> None:
    _, done = ported
    assert done.json["state"] == "incomplete"
    assert all(gate["summary"] for gate in _blocked(done))


def _blocked(done: Done) -> list[dict[str, Any]]:
    return [gate for gate in done.gates().values() if gate["state"] == "blocked"]


def test_git_diff_is_the_review(ported: tuple[Path, Done]) -> None:
    worktree = ported[0] / "tao-pytorch"
    assert git(worktree, "branch", "--show-current") == "feature/add-mini_vit"
    diff = git(worktree, "diff", "--stat")
    assert "nvidia_tao_pytorch/cv/mini_vit/scripts/train.py" in diff
    assert "setup.py" in diff
    assert git(worktree, "log", "--oneline", "main..HEAD") == ""


def test_the_users_clone_is_untouched(ported: tuple[Path, Done], mini_kit: Path) -> None:
    assert git(mini_kit, "status", "--porcelain") == ""
    assert git(mini_kit, "branch", "--show-current") == "main"


def test_a_given_tao_core_has_a_copy_of_the_schema(ported: tuple[Path, Done]) -> None:
    workspace, done = ported
    copy = "config/mini_vit/default_config.py"
    texts = {
        repo: (workspace / repo / f"nvidia_{repo.replace('-', '_')}" / copy).read_text()
        for repo in ("tao-core", "tao-pytorch", "tao-deploy")
    }
    assert "from nvidia_tao_core.config.common import common_config" in texts["tao-core"]
    assert "nvidia_tao_core" not in texts["tao-pytorch"] + texts["tao-deploy"]
    assert "equal in 3 copies" in done.gates()["consistency-schemas"]["summary"]
    # Whatever tao-core was given, the trainer runs with the one that its release is pinned to.
    assert done.gates()["run-train"]["evidence"]["nvidia_tao_core"]["version"] == "7.0.1"
    assert str(workspace) not in done.gates()["run-train"]["evidence"]["nvidia_tao_core"]["file"]


def test_the_class_order_is_the_models_in_every_result(ported: tuple[Path, Done]) -> None:
    from porter.dataset import folder_names

    results = ported[0] / "results" / "gates"
    classes = list(folder_names(LABELS))
    assert classes != sorted(classes)
    with (results / "evaluate" / "result.csv").open(newline="") as file:
        evaluated = list(csv.reader(file))
    assert evaluated[0] == ["img_name", *classes, "pred_label", "pred_score", "gt_label"]
    for row in evaluated[1:]:
        assert Path(row[0]).parent.name == row[-1]
        probabilities = [float(value) for value in row[1:5]]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert row[-3] == classes[probabilities.index(max(probabilities))]
    with (results / "inference" / "result.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["img_name", *classes, "pred_label", "pred_score"]


def test_results_json_has_the_accuracies(ported: tuple[Path, Done]) -> None:
    results = ported[0] / "results" / "gates"
    found = json.loads((results / "evaluate" / "results.json").read_text())
    with (results / "evaluate" / "result.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = sum(row["pred_label"] == row["gt_label"] for row in rows) / len(rows)
    assert found == {"top_1_accuracy": pytest.approx(right)}


def test_a_finished_port_does_nothing_again(ported: tuple[Path, Done], e2e_cache: Path) -> None:
    workspace, _ = ported
    runs = sorted((workspace / ".porter" / "runs").iterdir())
    before = visible(workspace / "tao-pytorch")
    done = run_porter(e2e_cache, "resume", workspace, "--yes", "--json")
    assert done.code == 0, done.err
    assert sorted((workspace / ".porter" / "runs").iterdir()) == runs
    assert visible(workspace / "tao-pytorch") == before


def test_status_shows_every_gate(ported: tuple[Path, Done], e2e_cache: Path) -> None:
    done = run_porter(e2e_cache, "status", ported[0])
    assert done.code == 0
    assert all(gate.id in done.out for gate in GATES)


def test_the_ledger_lies_beside_the_checkpoint_with_what_was_measured(
    ported: tuple[Path, Done], e2e_cache: Path
) -> None:
    paths = run_porter(e2e_cache, "status", ported[0], "--json").json["paths"]
    ledger = json.loads(Path(paths["ledger"]).read_text())
    files = ledger["checkpoint"]
    assert hashlib.sha256(Path(paths["checkpoint"]).read_bytes()).hexdigest() == files["sha256"]
    assert Path(paths["safetensors"]).name == files["safetensors"]
    assert sum(ledger["fates"].values()) == len(ledger["rows"])
    assert "leftover" not in ledger["fates"]
    assert any(row["inert"] is not None for row in ledger["rows"])


def test_the_steps_that_gates_name_are_there(ported: tuple[Path, Done]) -> None:
    recorded = {path.stem for path in (ported[0] / ".porter" / "steps").glob("*.json")}
    # The kit and the wheel have neither a documentation tool nor a checker of headers.
    absent = {"5-docs-table", "5-licence-headers"}
    assert {f"{gate.phase}-{step}" for gate in GATES for step in gate.steps} - absent <= recorded


def test_one_gate_runs_again_by_name(ported: tuple[Path, Done], e2e_cache: Path) -> None:
    runs = ported[0] / ".porter" / "runs"
    before = {path.name for path in runs.iterdir()}
    done = run_porter(e2e_cache, "gate", "parser", ported[0], "--yes", "--json")
    assert done.code == 0, done.err
    assert [gate["gate"] for gate in done.json] == ["parser"]
    assert done.json[0]["state"] == "passed"
    new = {path.name.partition("-")[2] for path in runs.iterdir() if path.name not in before}
    assert "rtx-build" in new
    assert "run-scripts" not in new


def test_a_gate_that_is_none_is_told_from_those_near_it(ported: tuple[Path, Done], e2e_cache: Path) -> None:
    done = run_porter(e2e_cache, "gate", "parsers", ported[0])
    assert done.code == 2
    assert "near it: parser" in done.err


def test_gates_are_listed_with_state_and_command(ported: tuple[Path, Done], e2e_cache: Path) -> None:
    done = run_porter(e2e_cache, "gates", ported[0], "--json")
    listed = {gate["gate"]: gate for gate in done.json}
    assert list(listed) == [gate.id for gate in GATES]
    assert listed["engine-int8"]["state"] == "rehearsed"
    assert listed["parser"]["command"] == f"porter gate parser {ported[0]}"


def test_strict_counts_blocked_gates(ported: tuple[Path, Done], e2e_cache: Path) -> None:
    done = run_porter(e2e_cache, "resume", ported[0], "--yes", "--strict")
    assert done.code == 10
    assert "native-engine" in done.err


def test_a_run_can_be_repeated_by_hand(ported: tuple[Path, Done]) -> None:
    run = next((ported[0] / ".porter" / "runs").glob("*-predictions"))
    answer = run / "out" / "answer.json"
    before = answer.read_bytes()
    answer.unlink()
    done = subprocess.run(["sh", str(run / "command.sh")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(answer.read_bytes()) == json.loads(before)


def test_an_edit_of_a_person_is_kept_and_proven_again(ported: tuple[Path, Done], e2e_cache: Path) -> None:
    workspace, _ = ported
    script = workspace / "tao-pytorch/nvidia_tao_pytorch/cv/mini_vit/scripts/evaluate.py"
    edited = script.read_text().replace('"""Run the evaluation."""', '"""Run the evaluation, reviewed."""')
    script.write_text(edited)
    done = run_porter(e2e_cache, "resume", workspace, "--yes", "--json")
    assert done.code == 0, done.err
    assert script.read_text() == edited
    files = done.gates()["files"]["evidence"]["files"]
    assert files["tao-pytorch/nvidia_tao_pytorch/cv/mini_vit/scripts/evaluate.py"] == "kept"


def test_a_conflict_names_its_file_and_loses_nothing(ported: tuple[Path, Done], e2e_cache: Path) -> None:
    workspace, _ = ported
    spec = workspace / "tao-pytorch/nvidia_tao_pytorch/cv/mini_vit/experiment_specs/experiment_spec.yaml"
    pristine = spec.read_text()
    edited = pristine.replace("num_epochs: 25", "num_epochs: 40")
    assert edited != pristine
    spec.write_text(edited)
    options = workspace / "porter.toml"
    before = options.read_text()
    options.write_text(before + '\n[settings]\n"train.num_epochs" = "7"\n')
    done = run_porter(e2e_cache, "resume", workspace, "--yes")
    assert done.code == 7
    assert "experiment_spec.yaml" in done.err
    assert spec.read_text() == edited
    options.write_text(before)
    spec.write_text(pristine)
