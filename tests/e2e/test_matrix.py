"""A small matrix for real: a model that is ported, one that is turned away, one that cannot be made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from porter.matrix import listing
from tests.e2e.conftest import Done, run_porter
from tests.repositories import git

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.torch_env


SUBSET = ("vit", "dinov3-vit")
"""The rows of the shipped list that every test run goes through again."""


def _list() -> str:
    """Return the subset as a list, with a row that cannot be made."""
    shipped = tomllib.loads(listing.shipped().read_text())
    rows = [row for row in shipped["rows"] if row["name"] in SUBSET]
    config = {"patch_size": 0}
    rows.append({"name": "broken", "model": {"architecture": "ViTForImageClassification", "config": config}})
    defaults = {**shipped["defaults"], "budget": 1800}
    return tomli_w.dumps({**shipped, "defaults": defaults, "rows": rows})


@pytest.fixture(scope="module")
def ran(e2e_cache: Path, mini_kit: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done, str]:
    """The folder of a matrix up to phase 3, how the command ended, and the clone's branches before it."""
    root = tmp_path_factory.mktemp("matrix")
    (root / "list.toml").write_text(_list())
    before = git(mini_kit, "for-each-ref") + git(mini_kit, "worktree", "list")
    return root, _matrix(e2e_cache, root, mini_kit), before


def _matrix(cache: Path, root: Path, clone: Path, *more: str) -> Done:
    arguments = ("matrix", root / "list.toml", "--workspace", root / "book", "--tao-pytorch", clone)
    return run_porter(cache, *arguments, "--until", "3", "--json", *more)


def rows(root: Path) -> dict[str, Any]:
    matrix = json.loads((root / "book" / "matrix.json").read_bytes())
    return {row["name"]: row for row in matrix["rows"]}


def test_the_ported_row_has_its_measurements(ran: tuple[Path, Done, str]) -> None:
    row = rows(ran[0])["vit"]
    assert (row["state"], row["reason"]) == ("ported", ""), row
    assert (row["model_type"], row["closed"]) == ("vit", True)
    assert row["strategy"]
    assert min(row["source_tensors"], row["target_tensors"]) > 0
    hops = {hop["gate"]: hop for hop in row["hops"]}
    assert 0 <= hops["parity-tao"]["relative"] <= 1e-5
    assert 0 < hops["parity-onnx"]["relative"] <= 1e-4
    assert len(hops["parity-onnx"]["batches"]) == 3
    assert (row["trained"], row["reloaded"], row["preprocessing"]) == (True, True, 0.0)
    assert 3e8 < row["peak_bytes"] < 8e9
    assert 5 < row["seconds"] < 1800


def test_rows_that_end_otherwise_say_why(ran: tuple[Path, Done, str]) -> None:
    root, done, _ = ran
    found = rows(root)
    assert (found["dinov3-vit"]["state"], found["dinov3-vit"]["as_expected"]) == ("refused", True)
    assert "has no head" in found["dinov3-vit"]["reason"]
    assert str(root) not in found["dinov3-vit"]["reason"]
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
    log = root / "book" / "rows" / "vit" / "log.txt"
    written = log.stat().st_mtime_ns
    done = _matrix(e2e_cache, root, mini_kit, "--only", "vit", "--only", "dinov3-*")
    assert log.stat().st_mtime_ns == written
    assert rows(root) == before
    assert done.code == 0, "the row that failed was not asked for"
    assert "| vit |" in (root / "book" / "matrix.md").read_text()
