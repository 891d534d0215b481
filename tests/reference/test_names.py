"""A port may not take a name that the clone has given away."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.records.reference import Reference
from porter.reference.names import name_taken
from porter.reference.reader import read_reference
from porter.reference.release import read_release
from tests.reference.trees import tao_tree


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    clone: Path = tao_tree(tmp_path_factory.mktemp("tree") / "clone")
    return read_reference(clone, read_release("tao-pytorch", clone))


@pytest.mark.parametrize("name", ["vit_base", "vit2", "my_vit_384"])
def test_free_names(reference: Reference, name: str) -> None:
    assert name_taken(reference, name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ViT", "snake_case"),
        ("vit-base", "snake_case"),
        ("vit__base", "snake_case"),
        ("_vit", "snake_case"),
        ("2vit", "snake_case"),
        ("", "snake_case"),
        ("v" * 65, "snake_case"),
        ("vit\n", "snake_case"),
        ("class", "Python keyword"),
        ("match", "Python keyword"),
        ("dino", "tao-pytorch 7.0.1 has a console script of that name"),
        ("depth_net", "tao-pytorch 7.0.1 has a network of that name"),
        ("backbone_v2", "has a network of that name"),
        ("vit_base_patch16", "backbone registry of tao-pytorch 7.0.1"),
        ("core", "all networks share"),
        ("timm", "imports a module of that name"),
    ],
)
def test_names_that_are_gone(reference: Reference, name: str, reason: str) -> None:
    assert reason in (name_taken(reference, name) or "")
