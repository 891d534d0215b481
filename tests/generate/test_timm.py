"""The package that holds a timm model: complete, and its tests notice what is wrong with it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from porter.generate.context import ClassificationContext, classification_context
from porter.records.reference import Candidate, Reference, ReferenceChoice, StrategyChoice, TimmModel
from porter.records.sandbox import Environment
from porter.records.validate import UnitTests
from tests.generate.test_compose import constants, sources
from tests.generate.test_l0 import (
    LABELS,
    PROCESSORS,
    SIDE,
    TRAINER_IMPORTS,
    Run,
    assert_noticed,
    lay,
    run_all,
)
from tests.generate.test_render import inspection
from tests.repositories import write

NAME = "wrapped"
PACKAGE = f"nvidia_tao_pytorch/cv/{NAME}/"
BACKBONE = f"{PACKAGE}model/timm_backbone.py"
TESTS = f"tests/cv_unit_test/{NAME}"
CONVOLUTIONS = TimmModel(
    architecture="test_byobnet",
    heads=("head.fc",),
    embed_dim=256,
    stages=("stem", *(f"stages.{index}" for index in range(4))),
    maps=True,
    batch_norms=True,
    same_code=True,
)
# timm gives its feature maps too; that it gives none is what the package is told here.
TWO_HEADS = TimmModel(
    architecture="deit_tiny_distilled_patch16_224",
    arguments={"img_size": SIDE, "depth": 2, "embed_dim": 48},
    heads=("head", "head_dist"),
    embed_dim=48,
    stages=("patch_embed", "blocks.0", "blocks.1", "norm"),
    same_code=True,
)
MODELS = {"convolutions": CONVOLUTIONS, "two heads": TWO_HEADS}


def context(reference: Reference, timm: TimmModel) -> ClassificationContext:
    facts = msgspec.structs.replace(
        inspection(PROCESSORS["crop"], labels=LABELS), image_size=(SIDE, SIDE), model_type="timm_wrapper"
    )
    choice = ReferenceChoice(
        reference=reference,
        candidates=(Candidate(name=reference.name, score=70, reasons=("only one",)),),
        strategy=StrategyChoice(strategy="timm", reason="timm has it", timm=timm),
    )
    return classification_context(facts, choice, name=NAME, year=2026)


def test_the_model_is_named_in_the_package(reference: Reference) -> None:
    from porter import resources

    files = sources(context(reference, TWO_HEADS))
    assert constants(files[BACKBONE].content) == {
        "ARCHITECTURE": "deit_tiny_distilled_patch16_224",
        "ARGUMENTS": {"img_size": SIDE, "depth": 2, "embed_dim": 48},
        "HEADS": ("head", "head_dist"),
        "STAGES": TWO_HEADS.stages,
    }
    assert f"{PACKAGE}model/backbone.py" not in files
    assert all((resources.tree("templates") / file.produced_by).is_file() for file in files.values())
    spec = files[f"{PACKAGE}experiment_specs/experiment_spec.yaml"].content
    assert f'type: "{NAME}"' in spec
    assert "in_channels: 48" in spec


def test_hostile_arguments_stay_literals(reference: Reference) -> None:
    arguments = {'a"b\n': ['"""\nimport os', {"{{ 7*7 }}": "\\"}]}
    hostile = msgspec.structs.replace(CONVOLUTIONS, arguments=arguments)
    source = sources(context(reference, hostile))[BACKBONE].content
    assert constants(source)["ARGUMENTS"] == arguments


def test_half_pixels_are_rounded_as_the_processor_does(reference: Reference) -> None:
    facts = msgspec.structs.replace(inspection(PROCESSORS["crop"], labels=LABELS), image_size=(SIDE, SIDE))
    assert facts.processor is not None
    even = msgspec.structs.replace(facts.processor, margin="even")
    choice = ReferenceChoice(
        reference=reference,
        candidates=(),
        strategy=StrategyChoice(strategy="timm", reason="timm has it", timm=CONVOLUTIONS),
    )
    for processor, margin in ((facts.processor, "(width - self.width) // 2"), (even, "round((width - ")):
        found = msgspec.structs.replace(facts, processor=processor)
        files = sources(classification_context(found, choice, name=NAME, year=2026))
        assert margin in files[f"{PACKAGE}dataloader/pl_data_module.py"].content


@pytest.mark.parametrize("model", MODELS)
def test_the_files_are_clean_and_know_nothing_of_porter(
    reference: Reference, tmp_path: Path, model: str
) -> None:
    files = sources(context(reference, MODELS[model]))
    write(tmp_path, {path: file.content for path, file in files.items()})
    for path, file in files.items():
        assert not re.search(r"\bporter\b", file.content.partition('"""')[2])
        if TESTS in path:
            assert max(map(len, file.content.splitlines())) <= 110
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,W,F,D", "--ignore"]
    command += ["E501,D107,D200,D203,D205,D212,D213,D400,D401,D4", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def change(
    old: str, new: str, fails: str, *, kind: str = "convolutions", file: str = "timm_backbone.py"
) -> Run:
    return Run(
        file=f"{PACKAGE}model/{file}",
        old=old,
        new=new,
        tests=f"{TESTS}/test_model.py",
        fails=fails,
        kind=kind,
    )


CHANGES = {
    "statistics-that-move": change(
        "                module.eval()\n        return self",
        "                pass\n        return self",
        "test_frozen_batch",
    ),
    "the-head-stays": change(
        "        self.timm_model.reset_classifier(", "        dict(", "test_the_head_is_replaced"
    ),
    "features-of-the-head": change("pre_logits=True", "pre_logits=False", "test_the_head_is_replaced"),
    "maps-backwards": change(
        "intermediates_only=True)", "intermediates_only=True)[::-1]", "test_feature_maps"
    ),
    "one-head-of-two": change(
        'HEADS = ("head", "head_dist")', 'HEADS = ("head",)', "test_a_head_of_another_size", kind="two heads"
    ),
    "one-head-is-trained": change(
        "nn.ModuleList(classifier)", "classifier[0]", "test_a_frozen_backbone", kind="two heads"
    ),
}


@pytest.fixture(scope="module")
def runs(
    reference: Reference, kit: Path, tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[Run, UnitTests]:
    """How the generated tests end, whole and with every change."""
    folder = tmp_path_factory.mktemp("wrapped-runs")
    roots = {}
    for kind, timm in MODELS.items():
        roots[kind] = folder / kind.replace(" ", "-")
        shutil.copytree(kit / "nvidia_tao_pytorch", roots[kind] / "nvidia_tao_pytorch")
        lay(roots[kind], context(reference, timm), "tao-pytorch")
    whole = [Run(tests=f"{TESTS}/test_model.py", kind=kind) for kind in MODELS]
    options = ("-m", "cv_unit", "-W", "ignore")
    return run_all(
        roots,
        tao_environment,
        [*whole, *CHANGES.values()],
        folder / "out",
        imports=TRAINER_IMPORTS,
        options=options,
    )


@pytest.mark.torch_env
@pytest.mark.parametrize("kind", MODELS)
def test_the_generated_tests_pass(runs: dict[Run, UnitTests], kind: str) -> None:
    tests = runs[Run(tests=f"{TESTS}/test_model.py", kind=kind)]
    assert tests.failed == {}
    assert tests.passed > 10


@pytest.mark.torch_env
@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_backbone_is_noticed(runs: dict[Run, UnitTests], name: str) -> None:
    assert_noticed(runs, CHANGES[name])
