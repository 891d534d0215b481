"""Every family of image classifiers lifts into one file that computes the same without transformers."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from porter.records.sandbox import Environment
from tests.transplant.bench import Case, lint
from tests.transplant.families import EXPORTED, FAMILIES, NO_IMAGES, NOT_EXACT, REWRITTEN, TESTED

pytestmark = pytest.mark.torch_env

WITH_IMAGES = [name for name in TESTED if name not in NO_IMAGES]
# More than these would take longer than all other linters together.
PYLINTED = ("clip", "pvt_v2-linear", "swin")
UNTRAINED = {
    # A mask token that nothing is masked with, and the parts of a text model's pooling.
    "dinov2": 1,
    "dinov2_with_registers": 1,
    "clip": 2,
    "siglip": 11,
}


@pytest.mark.parametrize("name", TESTED)
def test_the_numbers_are_those_of_transformers(cases: dict[str, Case], name: str) -> None:
    trial = cases[name].trial
    assert (trial.error, trial.missing, trial.unexpected) == ("", (), ())
    assert trial.relative is not None
    if name in NOT_EXACT:
        assert 0 < trial.relative < 1e-6
    else:
        assert trial.max_abs == 0


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_the_comparison_is_not_blind(cases: dict[str, Case], name: str) -> None:
    control = cases[name].trial.control
    assert control is not None
    # The weights of BiT's convolutions are standardised: their scale hardly matters.
    assert control > (1e-8 if name == "bit" else 1e-3)


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_hidden_states_and_tuples_are_those_of_transformers(cases: dict[str, Case], name: str) -> None:
    seen = cases[name].seen
    assert seen["hidden"] > 1
    assert seen["hidden_difference"] <= (1e-5 if name in NOT_EXACT else 0)
    assert seen["tuple"]


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_it_is_built_with_other_classes_and_trains(cases: dict[str, Case], name: str) -> None:
    seen = cases[name].seen
    assert seen["logits"] == [4, 5]
    assert seen["finite"]
    assert seen["parameters"] - seen["gradients"] == UNTRAINED.get(name, 0)


@pytest.mark.parametrize("name", EXPORTED)
def test_it_exports_for_any_batch_size(cases: dict[str, Case], name: str) -> None:
    exported = cases[name].trial.exported
    assert exported is not None
    assert exported < 1e-4


@pytest.mark.parametrize("name", REWRITTEN)
def test_what_was_rewritten_is_said(cases: dict[str, Case], name: str) -> None:
    lifted = cases[name].lifted
    assert {tweak.name for tweak in lifted.tweaks} == REWRITTEN[name]
    assert all(tweak.places for tweak in lifted.tweaks)
    assert lifted.exact == (name not in NOT_EXACT)


@pytest.mark.parametrize("name", TESTED)
def test_it_imports_torch_and_the_standard_library_alone(cases: dict[str, Case], name: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse(cases[name].lifted.text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported - {"torch", "numpy"} <= sys.stdlib_module_names


@pytest.mark.parametrize("name", TESTED)
def test_whose_code_it_is_stays_said(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    head = case.lifted.text.partition('"""')[0]
    assert head.startswith("\n".join(case.lifted.header))
    assert "Apache License, Version 2.0" in head
    assert "Modified: " in head
    told = head.replace("\n# ", " ")
    assert f"transformers {case.facts.transformers}" in told
    assert all(origin.removeprefix("transformers.") in told for origin in case.lifted.origins)
    holders = {
        line.removeprefix("#").strip()
        for origin in case.lifted.origins
        for line in case.facts.sources[origin].splitlines()[:30]
        if line.removeprefix("#").strip().startswith("Copyright")
    }
    assert holders <= set(case.lifted.copyrights)
    assert all(f"# {holder}" in head for holder in case.lifted.copyrights)
    assert case.lifted.copyrights


@pytest.mark.parametrize("name", TESTED)
def test_loss_pruning_and_other_tasks_are_gone(cases: dict[str, Case], name: str) -> None:
    tree = ast.parse(cases[name].lifted.text)
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert [each for each in classes if "ForImageClassification" in each and "Output" not in each] == [
        FAMILIES[name][0]
    ]
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert "labels" not in arguments
    assert not any("prune" in each for each in functions)


def test_a_model_of_two_parts_leaves_the_text_out(cases: dict[str, Case]) -> None:
    text = cases["clip"].lifted.text
    assert "class CLIPVisionTransformer(" in text
    assert "class CLIPTextTransformer(" not in text
    assert "text_config" not in cases["clip"].lifted.config


def test_only_settings_that_are_read_are_kept(cases: dict[str, Case]) -> None:
    config = cases["resnet"].lifted.config
    assert config["hidden_sizes"] == [8, 16]
    assert "num_labels" not in config
    assert not {"id2label", "model_type", "transformers_version", "torch_dtype"} & set(config)


def test_the_linters_of_the_repositories_find_nothing(
    cases: dict[str, Case], deploy_environment: Environment, tmp_path: Path
) -> None:
    assert lint(deploy_environment, tmp_path, cases, PYLINTED) == []
