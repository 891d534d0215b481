"""Clones that do not belong together are refused, and the error names those that do."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import WorkspaceError
from porter.records.reference import Layout, Release, Repo
from porter.reference.fit import check_fit
from tests.repositories import git, repository


def release(repo: Repo, layout: Layout, version: str) -> Release:
    return Release(repo=repo, layout=layout, version=version, commit="0" * 40)


def clone(folder: Path, *tags: str, branch: str = "main") -> Path:
    made = repository(folder, {"README.md": "x"})
    for tag in tags:
        git(made, "tag", tag)
    if branch != "main":
        git(made, "branch", branch)
    return made


@pytest.mark.parametrize(
    ("layout", "trained", "deployed"),
    [("core", "6.26.3", "6.26.3"), ("in-repo", "7.0.1", "7.0.1"), ("in-repo", "7.0.1", "7.2.0")],
)
def test_one_layout_fits(layout: Layout, trained: str, deployed: str) -> None:
    check_fit(
        {
            "tao-pytorch": release("tao-pytorch", layout, trained),
            "tao-deploy": release("tao-deploy", layout, deployed),
        },
        {},
    )


@pytest.mark.parametrize(
    ("trained", "deployed", "tags", "branch", "suggested"),
    [
        (("core", "6.26.3"), ("in-repo", "7.2.0"), ("7.0.1",), "release/6.26.3", "release/6.26.3"),
        (("in-repo", "7.0.1"), ("core", "6.26.3"), ("v7.0.0", "7.0.1"), "main", "7.0.1"),
        (("in-repo", "7.0.0"), ("core", "6.26.3"), ("v7.0.0", "7.0.1"), "main", "v7.0.0"),
    ],
)
def test_a_mixed_set_is_refused_with_the_pairs_that_fit(
    tmp_path: Path,
    trained: tuple[Layout, str],
    deployed: tuple[Layout, str],
    tags: tuple[str, ...],
    branch: str,
    suggested: str,
) -> None:
    found: dict[Repo, Release] = {
        "tao-pytorch": release("tao-pytorch", *trained),
        "tao-deploy": release("tao-deploy", *deployed),
    }
    with pytest.raises(WorkspaceError, match="do not go together") as caught:
        check_fit(found, {"tao-deploy": clone(tmp_path / "deploy", *tags, branch=branch)})
    assert trained[1] in caught.value.what
    assert deployed[1] in caught.value.what
    assert "tao-pytorch 6.26.3 with tao-deploy 6.26.3" in caught.value.why
    assert "tao-pytorch 7.0.0 or 7.0.1 with tao-deploy 7.0.0 or 7.0.1" in caught.value.why
    assert caught.value.next_step.endswith(f"--base tao-deploy={suggested}")


def test_without_a_reference_that_fits_another_clone_is_asked_for(tmp_path: Path) -> None:
    found: dict[Repo, Release] = {
        "tao-pytorch": release("tao-pytorch", "core", "6.26.3"),
        "tao-deploy": release("tao-deploy", "in-repo", ""),
    }
    with pytest.raises(WorkspaceError, match="tao-deploy at 0000000000 do not go together") as caught:
        check_fit(found, {"tao-deploy": clone(tmp_path / "deploy", "7.0.1")})
    assert "--base tao-pytorch=REF" in caught.value.next_step


def test_a_core_of_another_line_is_refused_where_schemas_are_taken_from_it() -> None:
    found: dict[Repo, Release] = {
        "tao-pytorch": release("tao-pytorch", "core", "6.26.3"),
        "tao-core": release("tao-core", "core", "7.0.1"),
    }
    with pytest.raises(WorkspaceError, match=r"tao-core 7\.0\.1 do not go together") as caught:
        check_fit(found, {})
    assert "leave out --tao-core" in caught.value.next_step


def test_a_core_beside_schemas_of_its_own_may_be_any() -> None:
    found: dict[Repo, Release] = {
        "tao-pytorch": release("tao-pytorch", "in-repo", "7.0.1"),
        "tao-core": release("tao-core", "core", "7.3.0"),
    }
    check_fit(found, {})
