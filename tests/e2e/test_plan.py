"""`porter plan` computes everything and changes nothing that is the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Port
from tests.repositories import git

pytestmark = pytest.mark.torch_env


def test_a_plan_names_the_files_and_leaves_clone_and_folder_alone(
    porter: Port, mini_kit: Path, mini_model: Path, tmp_path: Path
) -> None:
    refs = git(mini_kit, "for-each-ref")
    worktrees = git(mini_kit, "worktree", "list")
    done = porter(
        "plan",
        mini_model,
        "--name",
        "planned_vit",
        "--tao-pytorch",
        mini_kit,
        "--yes",
        "--json",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    gates = done.gates()
    assert gates["ledger"]["state"] == "passed"
    files = gates["files"]["evidence"]["files"]
    assert files["tao-pytorch/nvidia_tao_pytorch/cv/planned_vit/scripts/train.py"] == "created"
    assert files["tao-pytorch/setup.py"] == "updated"
    assert "conversion" in done.json["not_run"]
    assert git(mini_kit, "for-each-ref") == refs
    assert git(mini_kit, "worktree", "list") == worktrees
    assert list(tmp_path.iterdir()) == []
