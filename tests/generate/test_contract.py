"""Generated trainers of segmentation and depth import, and override, what tao-pytorch 7.0.1 has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

import msgspec
import pytest

from porter.records.inspection import QueryFacts
from porter.records.plan import PlannedFile
from porter.reference.contract import Contract, Parameter, SymbolFacts, contract_path, load_contract
from tests import depth_net as depth
from tests import segformer as segmentation
from tests.generate import test_depth, test_depth_held, test_segmentation_held

assert segmentation.COMPOSE.held is not None
_OWN = re.compile(r"\b(seg_demo|depth_demo|held_demo)\b")
QUERIES = msgspec.structs.replace(segmentation.COMPOSE.held, queries=QueryFacts(mask_size=(384, 384)))
BY_QUERIES = msgspec.structs.replace(segmentation.COMPOSE, held=QUERIES)
assert segmentation.NATIVE.backbone is not None
BACKBONE = segmentation.NATIVE.backbone.target

CASES: dict[str, Mapping[str, PlannedFile]] = {
    "segformer, native": test_segmentation_held.planned(test_segmentation_held.values(segmentation.NATIVE)),
    "segformer, held": test_segmentation_held.planned(test_segmentation_held.values(segmentation.COMPOSE)),
    "segformer, queries": test_segmentation_held.planned(test_segmentation_held.values(BY_QUERIES)),
    "depth_net, relative": test_depth.planned(depth.inspection()),
    "depth_net, metric": test_depth.planned(depth.inspection(**test_depth.METRIC)),
    "depth_net, held": test_depth_held.planned(test_depth_held.values(test_depth_held.found("dpt"))),
}


def symbols_of(network: str) -> dict[str, SymbolFacts]:
    """Return what the release has of the network and in common, by ``package.module:Name``."""
    release = depth.depth_net().release
    every: list[Contract] = [load_contract(contract_path(release, name)) for name in ("", network)]
    return {name: facts for contract in every for name, facts in contract.symbols.items()}


def departures(files: Mapping[str, PlannedFile], symbols: Mapping[str, SymbolFacts]) -> list[str]:
    """Return in what generated modules depart from the release."""
    found = []
    for path, file in files.items():
        # The schema extends what the reader found in the clone, and says nothing by itself.
        if not path.endswith(".py") or "/config/" in path or "/" not in path:
            continue
        module = ast.parse(file.content)
        names = dict(_imported(module))
        taken = {local: name for local, name in names.items() if not _OWN.search(name)}
        # Of some classes the contract has single methods; the backbone is what phase 2 found in the clone.
        known = {each for name in symbols for each in (name, name.rpartition(".")[0])} | {BACKBONE}
        found += [f"{path}: {name}" for name in taken.values() if name not in known]
        for node in module.body:
            if isinstance(node, ast.ClassDef):
                found += [f"{path}: {each}" for each in _overriding(node, taken, symbols)]
    return found


def _imported(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("nvidia_tao_pytorch"):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}:{alias.name}"


def _overriding(
    node: ast.ClassDef, names: Mapping[str, str], symbols: Mapping[str, SymbolFacts]
) -> Iterator[str]:
    """Yield the methods of a class that take other parameters than those that they override."""
    bases = [symbols.get(names.get(base.id, "")) for base in node.bases if isinstance(base, ast.Name)]
    for method in node.body:
        # A constructor is called by its own class's name alone.
        if not isinstance(method, ast.FunctionDef) or method.name == "__init__":
            continue
        for base in bases:
            theirs = base.methods.get(method.name) if base else None
            if theirs and not _takes(method.args, theirs.parameters):
                yield f"{node.name}.{method.name}"


def _takes(ours: ast.arguments, theirs: tuple[Parameter, ...]) -> bool:
    given = [each.arg for each in (*ours.posonlyargs, *ours.args)][1:]
    wanted = [each.name for each in theirs if each.kind == "positional"]
    return given[: len(wanted)] == wanted or ours.vararg is not None


@pytest.mark.parametrize("case", CASES)
def test_what_is_generated_stands_on_the_release(case: str) -> None:
    network, _, _ = case.partition(",")
    assert departures(CASES[case], symbols_of(network)) == []


def test_a_name_or_a_parameter_that_is_gone_is_seen() -> None:
    files, symbols = CASES["segformer, held"], symbols_of("segformer")
    base = "nvidia_tao_pytorch.cv.segformer.model.segformer_pl_model:SegFormerPlModel"
    without = {name: facts for name, facts in symbols.items() if name != base}
    assert any(each.endswith(base) for each in departures(files, without))

    methods = dict(symbols[base].methods)
    hook = methods["_visualize_predictions"]
    methods["_visualize_predictions"] = msgspec.structs.replace(hook, parameters=hook.parameters[1:])
    changed = msgspec.structs.replace(symbols[base], methods=methods)
    assert any("_visualize_predictions" in each for each in departures(files, {**symbols, base: changed}))
