"""The kit has no name of its own, and lacks only what it leaves out on purpose."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter.embedded.materialise import materialise_tao_pytorch
from porter.reference.contract import compare, contract_path, load_contract
from porter.reference.names import console_scripts
from porter.reference.reader import read_reference
from porter.reference.release import read_release
from tests.embedded import left_out
from tests.embedded.conftest import KIT
from tests.real_clones import real_clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return materialise_tao_pytorch(tmp_path_factory.mktemp("cache"))


def test_the_kit_is_read_as_the_release_whose_contract_it_keeps(clone: Path) -> None:
    release = read_release("tao-pytorch", clone)
    assert (release.version, release.layout) == ("7.0.1", "in-repo")
    contract = load_contract(contract_path(release))
    found = compare(contract, clone, release)

    # Entries of backbones other than plain ViTs.
    entries = {f"backbone {entry.name}" for entry in contract.backbones if not entry.module.endswith(".vit")}
    missing = {item.symbol for item in found if item.kind == "missing"} - entries
    without_module = {symbol for symbol in missing if symbol.partition(":")[0] in left_out.MODULES}
    assert missing - without_module == set(left_out.SYMBOLS)
    assert {symbol.partition(":")[0] for symbol in without_module} == set(left_out.MODULES)
    assert {item.symbol for item in found if item.kind == "changed"} == set(left_out.CHANGED)
    added = [item.symbol.rpartition(".")[2] for item in found if item.kind == "added"]
    assert [name for name in added if not name.startswith("_")] == []


def test_phase_two_reads_the_kit_as_a_reference(clone: Path) -> None:
    reference = read_reference(clone, read_release("tao-pytorch", clone))
    assert {"_build_model", "_write_prediction_row", "_forward_pass"} <= set(reference.hooks)
    assert reference.checkpoint_filename == "classifier_model"
    assert reference.tags[reference.tao_model] == "model."
    assert (reference.onnx_inputs, reference.onnx_outputs) == (("input",), ("output",))
    assert reference.image_suffixes == ("jpg", "png", "JPEG")
    assert sorted(script.mode for script in reference.scripts) == ["evaluate", "export", "inference", "train"]
    assert all(script.spec_present for script in reference.scripts)
    assert [entry.name for entry in reference.backbones] == [
        "vit_base_patch16",
        "vit_huge_patch14",
        "vit_large_patch16",
    ]


def test_the_console_script_points_at_a_function_that_exists() -> None:
    [(name, target)] = console_scripts((KIT / "setup.py").read_text()).items()
    module, _, function = target.partition(":")
    tree = ast.parse((KIT / f"{module.replace('.', '/')}.py").read_text())
    assert name == "classification_pyt"
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_file_carries_the_licence_header() -> None:
    for path in KIT.rglob("*.py"):
        text = path.read_text()
        assert not text or text.splitlines()[1] == "# SPDX-License-Identifier: Apache-2.0", path


@pytest.mark.real_tao
def test_every_public_name_of_the_kit_is_one_of_the_real_tree() -> None:
    real = real_clone("tao-pytorch")
    for path in sorted(KIT.glob("nvidia_tao_pytorch/**/*.py")):
        name = path.relative_to(KIT)
        theirs = dict(_signatures(ast.parse((real / name).read_text()), ""))
        for symbol, parameters in _signatures(ast.parse(path.read_text()), ""):
            if not symbol.rpartition(".")[2].startswith("_") and symbol not in left_out.INHERITED:
                assert theirs.get(symbol) == parameters, f"{name}: {symbol}"


def _signatures(node: ast.AST, owner: str) -> Iterator[tuple[str, list[str]]]:
    for item in ast.iter_child_nodes(node):
        if isinstance(item, ast.ClassDef):
            yield f"{owner}{item.name}", []
            yield from _signatures(item, f"{owner}{item.name}.")
        elif isinstance(item, ast.FunctionDef):
            yield f"{owner}{item.name}", [argument.arg for argument in item.args.args]
