"""A small matrix for real: a model that is ported, one that is turned away, one that cannot be made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clones import CONFIG
from tests.e2e.conftest import SMALL_PROCESSOR, Done, run_porter
from tests.repositories import git

pytestmark = pytest.mark.torch_env


def _toml(value: Any) -> str:
    """Return a value as inline TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


LIST = f"""
[defaults]
budget = 1800
labels = ["zebra", "ant"]

[[rows]]
name = "mini-vit"
model.architecture = "ViTForImageClassification"
model.config = {_toml(CONFIG)}
model.processor = {_toml(SMALL_PROCESSOR)}
settings = {{ "train.num_epochs" = 1 }}

[[rows]]
name = "headless"
expected = "refused"
task = "image-classification"
model.architecture = "DINOv3ViTModel"
model.config = {{ hidden_size = 48, num_hidden_layers = 1, num_attention_heads = 3, patch_size = 8 }}
model.processor = {_toml(SMALL_PROCESSOR)}

[[rows]]
name = "broken"
model.architecture = "ViTForImageClassification"
model.config = {{ patch_size = 0 }}
"""


@pytest.fixture(scope="module")
def ran(e2e_cache: Path, mini_kit: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done, str]:
    """The folder of a matrix up to phase 3, how the command ended, and the clone's branches before it."""
    root = tmp_path_factory.mktemp("matrix")
    (root / "list.toml").write_text(LIST)
    before = git(mini_kit, "for-each-ref") + git(mini_kit, "worktree", "list")
    return root, _matrix(e2e_cache, root, mini_kit), before


def _matrix(cache: Path, root: Path, clone: Path, *more: str) -> Done:
    arguments = ("matrix", root / "list.toml", "--workspace", root / "book", "--tao-pytorch", clone)
    return run_porter(cache, *arguments, "--until", "3", "--json", *more)


def rows(root: Path) -> dict[str, Any]:
    matrix = json.loads((root / "book" / "matrix.json").read_bytes())
    return {row["name"]: row for row in matrix["rows"]}


def test_the_ported_row_has_its_measurements(ran: tuple[Path, Done, str]) -> None:
    row = rows(ran[0])["mini-vit"]
    assert (row["state"], row["reason"]) == ("ported", ""), row
    assert (row["strategy"], row["model_type"], row["closed"]) == ("native", "vit", True)
    assert row["source_tensors"] > row["target_tensors"] > 0
    hops = {hop["gate"]: hop for hop in row["hops"]}
    assert 0 < hops["parity-tao"]["relative"] <= 1e-5
    assert 0 < hops["parity-onnx"]["relative"] <= 1e-4
    assert len(hops["parity-onnx"]["batches"]) == 3
    assert (row["trained"], row["reloaded"], row["preprocessing"]) == (True, True, 0.0)
    assert 3e8 < row["peak_bytes"] < 8e9
    assert 5 < row["seconds"] < 1800


def test_rows_that_end_otherwise_say_why(ran: tuple[Path, Done, str]) -> None:
    root, done, _ = ran
    found = rows(root)
    assert (found["headless"]["state"], found["headless"]["as_expected"]) == ("refused", True)
    assert "has no head" in found["headless"]["reason"]
    assert str(root) not in found["headless"]["reason"]
    assert found["broken"]["state"] == "failed"
    assert "ZeroDivisionError" in found["broken"]["reason"]
    assert done.code == 1
    assert "1 of 3 rows did not end as the list expects: broken." in done.err
    assert done.json["totals"] == {"failed": 1, "ported": 1, "refused": 1}


def test_the_clone_is_as_it_was(ran: tuple[Path, Done, str], mini_kit: Path) -> None:
    assert git(mini_kit, "for-each-ref") + git(mini_kit, "worktree", "list") == ran[2]


def test_a_second_run_ports_nothing_again(
    ran: tuple[Path, Done, str], mini_kit: Path, e2e_cache: Path
) -> None:
    root = ran[0]
    before = rows(root)
    log = root / "book" / "rows" / "mini-vit" / "log.txt"
    written = log.stat().st_mtime_ns
    done = _matrix(e2e_cache, root, mini_kit, "--only", "mini-*", "--only", "headless")
    assert log.stat().st_mtime_ns == written
    assert rows(root) == before
    assert done.code == 0, "the row that failed was not asked for"
    assert "| mini-vit |" in (root / "book" / "matrix.md").read_text()
