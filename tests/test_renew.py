from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from porter.errors import WorkspaceError
from porter.records.options import PortOptions
from porter.renew import changes, renew
from porter.workspace import Workspace

THERE = PortOptions(
    source="org/model",
    name="vit",
    task="image-classification",
    revision="a",
    branch="feature/add-vit",
    base="release/7",
    clones={"tao-pytorch": "/one"},
    settings={"train.num_epochs": "3"},
    year=2024,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", THERE)


def test_what_is_not_given_stays(workspace: Workspace) -> None:
    assert renew(workspace, PortOptions(source="org/model")) == THERE
    assert changes(THERE, THERE) == ()


def test_settings_and_clones_are_added_and_the_rest_is_replaced(workspace: Workspace) -> None:
    given = PortOptions(
        source="org/model",
        revision="b",
        data="/images",
        clones={"tao-deploy": "/two"},
        settings={"train.num_epochs": "5", "train.seed": "7"},
    )
    new = renew(workspace, given)
    assert new.settings == {"train.num_epochs": "5", "train.seed": "7"}
    assert new.clones == {"tao-pytorch": "/one", "tao-deploy": "/two"}
    assert (new.revision, new.data, new.name, new.year, new.base) == (
        "b",
        "/images",
        "vit",
        2024,
        "release/7",
    )
    assert changes(THERE, new) == (
        "revision: a -> b",
        "data: none -> /images",
        "set train.num_epochs: 3 -> 5",
        "set train.seed: default -> 7",
        "clone tao-deploy: none -> /two",
    )
    assert workspace.load() == THERE


@pytest.mark.parametrize(
    "other",
    [
        {"source": "org/other"},
        {"name": "swin"},
        {"task": "object-detection"},
        {"embedded": True},
        {"branch": "other"},
        {"base": "other"},
    ],
)
def test_what_makes_another_port_is_refused(workspace: Workspace, other: dict[str, Any]) -> None:
    with pytest.raises(WorkspaceError) as caught:
        renew(workspace, PortOptions(**{"source": "org/model", **other}))
    (name,) = other
    assert f"{name} is " in caught.value.why
    assert "another --workspace" in caught.value.next_step


def test_clones_for_a_port_into_the_kit_are_refused(tmp_path: Path) -> None:
    kit = Workspace.create(tmp_path / "kit", PortOptions(source="org/model", embedded=True))
    with pytest.raises(WorkspaceError, match="other options"):
        renew(kit, PortOptions(source="org/model", clones={"tao-deploy": "/two"}))
