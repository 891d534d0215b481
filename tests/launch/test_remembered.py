"""Ported networks in the catalog: remembered by name, or found in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from porter import cache
from porter.errors import PorterError, UsageError, WorkspaceError
from porter.launch import catalog, remembered
from porter.records.options import PortOptions
from porter.workspace import Workspace
from tests.launch.workspaces import finished


def ported_rows() -> dict[str, str]:
    return {row.name: row.workspace for row in catalog.rows() if row.workspace}


def test_a_port_is_a_model_by_its_name(tmp_path: Path) -> None:
    workspace = finished(tmp_path / "port")
    found = catalog.entry("tiny_vit")
    assert (found.name, found.workspace) == ("tiny_vit", str(workspace.root))
    assert catalog.origin("tiny_vit") == workspace.root
    assert catalog.origin("dino") is None
    assert ported_rows() == {"tiny_vit": str(workspace.root)}
    assert "tiny_vit" not in catalog.names()


def test_a_port_is_a_model_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = finished(tmp_path / "porter-tiny")
    shutil.rmtree(cache.root())
    monkeypatch.chdir(tmp_path)
    for model in (str(workspace.root), "./porter-tiny", "porter-tiny"):
        assert catalog.origin(model) == workspace.root, model
    with pytest.raises(UsageError, match="no model 'tiny_vit'"):
        catalog.entry("tiny_vit")


def test_what_runs_an_action_says_where_its_code_is(tmp_path: Path) -> None:
    workspace = finished(tmp_path / "port")
    trained = catalog.image("tiny_vit", "train")
    assert (trained.command, trained.code) == (
        "tiny_vit train -e {config_path}",
        str(workspace.root / "tao-pytorch"),
    )
    assert catalog.image("tiny_vit", "gen_trt_engine").code == str(workspace.root / "tao-deploy")
    assert catalog.image("dino", "train").code == ""


@pytest.mark.parametrize(
    ("gone", "said"),
    [("", "gone from"), ("results", "cannot be trained"), ("tao-pytorch", "cannot be trained")],
)
def test_a_port_that_is_gone_is_left_out_and_named(tmp_path: Path, gone: str, said: str) -> None:
    workspace = finished(tmp_path / "port")
    shutil.rmtree(workspace.root / gone)
    assert ported_rows() == {}
    with pytest.raises(WorkspaceError, match=said) as error:
        catalog.entry("tiny_vit")
    assert str(workspace.root) in error.value.what


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    cache.root().mkdir(parents=True)
    (cache.root() / "catalog").write_text("mine")
    with pytest.raises(WorkspaceError, match="cannot keep") as error:
        finished(tmp_path / "port")
    assert "PORTER_CACHE" in error.value.next_step


def test_an_entry_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    finished(tmp_path / "one", "one_net")
    broken = finished(tmp_path / "two", "two_net")
    remembered.entry_of(broken, "two_net").write_text("name = ")
    assert list(ported_rows()) == ["one_net"]
    with pytest.raises(PorterError, match=r"two_net\.toml cannot be used") as error:
        catalog.entry("two_net")
    assert f"porter gate catalog-entry {broken.root}" in error.value.next_step


def test_what_is_remembered_of_nothing_is_passed_over(tmp_path: Path) -> None:
    finished(tmp_path / "port")
    for name, text in (("half", "{"), ("other", '{"path": "/"}'), (".draft.json.porter-tmp", "{}")):
        (cache.root() / "catalog" / f"{name}.json").write_text(text)
    assert list(remembered.known()) == ["tiny_vit"]


def test_a_port_never_takes_a_name_of_taos_own(tmp_path: Path) -> None:
    workspace = finished(tmp_path / "port", "dino")
    assert catalog.entry("dino").title == "DINO"
    assert catalog.origin("dino") is None
    assert [row.workspace for row in catalog.rows() if row.name == "dino"] == [""]
    assert catalog.origin(str(workspace.root)) == workspace.root


def test_the_newest_port_of_a_name_counts(tmp_path: Path) -> None:
    finished(tmp_path / "old")
    newer = finished(tmp_path / "new")
    assert catalog.origin("tiny_vit") == newer.root


def test_a_port_without_an_entry_says_what_is_next(tmp_path: Path) -> None:
    Workspace.create(tmp_path / "port", PortOptions(source="m", name="tiny_vit"))
    with pytest.raises(WorkspaceError, match="cannot be trained") as error:
        catalog.entry(str(tmp_path / "port"))
    assert "results/catalog/tiny_vit.toml" in error.value.why
    assert f"porter resume {tmp_path / 'port'}" in error.value.next_step


def test_a_folder_that_is_no_port_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkspaceError, match="no porter workspace"):
        catalog.entry(str(tmp_path))
    (tmp_path / "tiny_vit").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no model"):
        catalog.entry("tiny_vit")


def test_the_nearest_may_be_a_port(tmp_path: Path) -> None:
    finished(tmp_path / "port")
    with pytest.raises(UsageError) as error:
        catalog.entry("tiny_vitt")
    assert "tiny_vit" in error.value.why


def test_a_search_is_no_condition_of_a_port(tmp_path: Path) -> None:
    workspace = finished(tmp_path / "port")
    path = remembered.entry_of(workspace, "tiny_vit")
    path.write_text(path.read_text().replace("enabled = true", "enabled = false"))
    assert "tiny_vit" not in [row.name for row in catalog.rows("automl")]
    assert list(ported_rows()) == ["tiny_vit"]


def test_no_file_says_which_workspace_it_is_of(tmp_path: Path) -> None:
    workspace = finished(tmp_path / "port")
    path = remembered.entry_of(workspace, "tiny_vit")
    assert "workspace" not in path.read_text()
    path.write_text(f'workspace = "/elsewhere"\n{path.read_text()}')
    with pytest.raises(PorterError, match="cannot be used"):
        catalog.entry("tiny_vit")
