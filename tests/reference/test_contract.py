"""The committed contract is what the real release has, and a clone that departs is caught."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from porter.records.base import to_json
from porter.reference.contract import (
    Difference,
    compare,
    contract_path,
    extract,
    load_contract,
    own_networks,
)
from porter.reference.release import read_release
from tests.real_clones import real_clone
from tests.reference.trees import CONFIG, CV, DEFAULT_CONFIG, NETWORK, PL_MODULE, VIT, tao_tree
from tests.repositories import git

COMMITTED = Path(__file__).parents[2] / "references" / "contract" / "tao-pytorch-7.0.1.json"


def departures(tmp_path: Path, path: str, text: str | None) -> tuple[Difference, ...]:
    before = tao_tree(tmp_path / "before")
    after = tao_tree(tmp_path / "after", {path: text})
    contract = extract(before, read_release("tao-pytorch", before))
    return compare(contract, after, read_release("tao-pytorch", after))


def test_a_clone_does_not_depart_from_itself(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone")
    release = read_release("tao-pytorch", clone)

    assert compare(extract(clone, release), clone, release) == ()


@pytest.mark.parametrize(
    ("path", "text", "symbol", "kind"),
    [
        (
            f"{NETWORK}/model/classifier_pl_model.py",
            PL_MODULE.replace("export=False", "export=True"),
            "nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model:ClassifierPlModel.__init__",
            "changed",
        ),
        (
            f"{NETWORK}/model/classifier_pl_model.py",
            PL_MODULE.replace("def test_step(", "def on_test_start("),
            "nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model:ClassifierPlModel.test_step",
            "missing",
        ),
        (
            f"{NETWORK}/model/classifier_pl_model.py",
            PL_MODULE.replace("self.model =", "self.net ="),
            "nvidia_tao_pytorch.cv.classification_pyt.model.classifier_pl_model:ClassifierPlModel.model",
            "missing",
        ),
        (
            f"{NETWORK}/utils/onnx_export.py",
            "",
            "nvidia_tao_pytorch.cv.classification_pyt.utils.onnx_export:ONNXExporter",
            "missing",
        ),
        (
            f"{CONFIG}/classification_pyt/default_config.py",
            DEFAULT_CONFIG.replace("arrList=[1]", "arrList=[5]"),
            "nvidia_tao_pytorch.config.classification_pyt.default_config:HeadConfig.topk",
            "changed",
        ),
        (
            f"{CV}/backbone_v2/vit.py",
            VIT.replace("depth=32", "depth=31"),
            "backbone vit_huge_patch14",
            "changed",
        ),
    ],
)
def test_a_changed_clone_is_caught(tmp_path: Path, path: str, text: str, symbol: str, kind: str) -> None:
    found = departures(tmp_path, path, text)

    assert (symbol, kind) in {(item.symbol, item.kind) for item in found}
    assert all(item.detail for item in found)


def test_methods_count_where_a_base_class_has_them(tmp_path: Path) -> None:
    clone = tao_tree(
        tmp_path / "clone",
        {
            "nvidia_tao_pytorch/core/cookbooks/tlt_pytorch_cookbook.py": (
                "from nvidia_tao_pytorch.core.cookbooks.cookbook import Cookbook\n"
                "class TLTPyTorchCookbook(Cookbook): pass\n"
            ),
            "nvidia_tao_pytorch/core/cookbooks/cookbook.py": (
                "class Cookbook:\n    @classmethod\n    def set_passphrase(cls, passphrase: str): pass\n"
            ),
        },
    )

    symbols = extract(clone, read_release("tao-pytorch", clone)).symbols

    name = "nvidia_tao_pytorch.core.cookbooks.tlt_pytorch_cookbook:TLTPyTorchCookbook.set_passphrase"
    call = symbols[name].call
    assert call is not None
    assert (call.kind, [item.name for item in call.parameters]) == ("classmethod", ["passphrase"])


def test_signatures_are_kept_in_full(tmp_path: Path) -> None:
    source = "def hydra_runner(path='.', /, name=None, *rest, schema, more=[1], **others): pass\n"
    clone = tao_tree(tmp_path / "clone", {"nvidia_tao_pytorch/core/hydra/hydra_runner.py": source})

    symbols = extract(clone, read_release("tao-pytorch", clone)).symbols
    call = symbols["nvidia_tao_pytorch.core.hydra.hydra_runner:hydra_runner"].call

    assert call is not None
    assert [(item.name, item.kind, item.default) for item in call.parameters] == [
        ("path", "positional", "'.'"),
        ("name", "positional", "None"),
        ("rest", "*", None),
        ("schema", "keyword", None),
        ("more", "keyword", "[1]"),
        ("others", "**", None),
    ]


def test_the_command_prints_a_contract_and_refuses_what_is_no_clone(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone")
    command = [sys.executable, "-m", "porter.reference.contract"]

    printed = subprocess.run([*command, str(clone)], capture_output=True, check=True).stdout
    refused = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, check=False, text=True)

    assert printed == to_json(extract(clone, read_release("tao-pytorch", clone)))
    assert refused.returncode == 4
    assert "is not a folder" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_committed_contract_holds_facts_only() -> None:
    contract = load_contract(COMMITTED)

    assert (contract.repo, contract.version, contract.layout) == ("tao-pytorch", "7.0.1", "in-repo")
    assert len(contract.symbols) > 100
    assert "descri" not in COMMITTED.read_text()
    assert COMMITTED.read_bytes() == to_json(contract)


@pytest.mark.real_tao
@pytest.mark.parametrize("network", ["", *own_networks()])
def test_the_real_clone_is_the_committed_contract(network: str) -> None:
    clone = real_clone("tao-pytorch")
    release = read_release("tao-pytorch", clone, revision="d99ff77")
    committed = contract_path(release, network)

    assert network or committed.name == COMMITTED.name
    assert compare(load_contract(committed), clone, release, network) == ()
    assert to_json(extract(clone, release, network)) == committed.read_bytes()


@pytest.mark.real_tao
def test_a_change_in_the_real_clone_is_caught(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", "--shared", "--no-checkout", str(real_clone("tao-pytorch")), str(copy))
    git(copy, "read-tree", "d99ff77")
    path = "nvidia_tao_pytorch/core/entrypoint.py"
    source = git(copy, "show", f"d99ff77:{path}").replace("network=None", "network_name=None")
    blob = subprocess.run(
        ["git", "-C", str(copy), "hash-object", "-w", "--stdin"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    git(copy, "update-index", "--cacheinfo", f"100644,{blob},{path}")
    commit = git(copy, "commit-tree", git(copy, "write-tree"), "-p", "d99ff77", "-m", "renamed")

    found = compare(load_contract(COMMITTED), copy, read_release("tao-pytorch", copy, revision=commit))

    assert [(item.symbol, item.kind) for item in found] == [
        ("nvidia_tao_pytorch.core.entrypoint:launch", "changed")
    ]
    assert "network=None" in found[0].detail
    assert "network_name=None" in found[0].detail
