"""The package that holds a transformers model: complete, and its tests notice what is wrong with it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from porter.generate.context import ClassificationContext, classification_context
from porter.generate.fileplan import rendered
from porter.records.inspection import ProcessorFacts
from porter.records.plan import PlannedFile
from porter.records.probes import MakeModel
from porter.records.reference import Candidate, HeldModel, Reference, ReferenceChoice, StrategyChoice
from porter.records.sandbox import Environment
from porter.records.transplant import Lifted, LiftFacts, LiftRequest
from porter.records.validate import UnitTests
from porter.reference.hold import with_attention
from tests.e2e.conftest import deploy_clone
from tests.generate.test_l0 import (
    DEPLOY_IMPORTS,
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
from tests.models import read, serve
from tests.repositories import write

__all__ = ["deploy_clone"]

NAME = "held"
PACKAGE = f"nvidia_tao_pytorch/cv/{NAME}/"
TESTS = f"tests/cv_unit_test/{NAME}"
RESNET = HeldModel(
    architecture="ResNetForImageClassification",
    config={
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
    },
    attention="eager",
    heads=("classifier.1",),
    embed_dim=16,
    head_bias=True,
    stages=("resnet.embedder", "resnet.encoder.stages.0", "resnet.encoder.stages.1"),
    maps="hidden_states",
    batch_norms=True,
)
DINO = HeldModel(
    architecture="Dinov2ForImageClassification",
    config={
        "architectures": ["Dinov2ForImageClassification"],
        "model_type": "dinov2",
        "hidden_size": 24,
        "image_size": SIDE,
        "num_attention_heads": 2,
        "num_channels": 1,
        "num_hidden_layers": 1,
        "patch_size": 16,
    },
    attention="sdpa",
    heads=("classifier",),
    embed_dim=48,
    head_bias=True,
    stages=("dinov2.embeddings", "dinov2.encoder.layer.0"),
)
DISTILLED = HeldModel(
    architecture="DeiTForImageClassificationWithTeacher",
    config={
        "architectures": ["DeiTForImageClassificationWithTeacher"],
        "model_type": "deit",
        "hidden_size": 24,
        "image_size": SIDE,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_channels": 4,
        "num_hidden_layers": 1,
        "patch_size": 16,
    },
    attention="sdpa",
    heads=("cls_classifier", "distillation_classifier"),
    embed_dim=24,
    head_bias=True,
    combined=True,
    interpolates=(SIDE, SIDE),
    stages=("deit.embeddings", "deit.encoder.layer.0"),
)
MODELS = {"resnet": RESNET, "dino": DINO, "distilled": DISTILLED}


class Fed(NamedTuple):
    """What a model is fed: sizes, channels, and the processor that makes them."""

    size: tuple[int, int]
    channels: int
    processor: ProcessorFacts


FED = {
    "resnet": Fed((SIDE, SIDE), 3, PROCESSORS["square"]),
    # Grey, and smaller than what the model takes: the rest is black.
    "dino": Fed(
        (SIDE, SIDE),
        1,
        ProcessorFacts(kind="x", shortest_edge=28, crop=(SIDE, SIDE), mean=(0.4,), std=(0.3,)),
    ),
    # With transparency, no square, and the channels in the opposite order.
    "distilled": Fed((SIDE, 48), 4, ProcessorFacts(kind="x", size=(SIDE, 48), resample=3, flipped=True)),
}


def context(
    reference: Reference,
    held: HeldModel,
    *,
    name: str = NAME,
    lifted: Lifted | None = None,
    fed: Fed | None = None,
) -> ClassificationContext:
    fed = fed or next((FED[kind] for kind, model in MODELS.items() if model is held), FED["resnet"])
    facts = msgspec.structs.replace(
        inspection(fed.processor, labels=LABELS),
        architecture=held.architecture,
        image_size=fed.size,
        channels=fed.channels,
    )
    choice = ReferenceChoice(
        reference=reference,
        candidates=(Candidate(name=reference.name, score=70, reasons=("only one",)),),
        strategy=StrategyChoice(
            strategy="transplant" if lifted else "compose", reason="it fits all", held=held, lifted=lifted
        ),
    )
    return classification_context(facts, choice, name=name, year=2026)


def sources(values: ClassificationContext) -> dict[str, PlannedFile]:
    return {file.path: file for file in rendered(values, "tao-pytorch")}


def constants(source: str) -> dict[str, Any]:
    """Return what a module assigns, read without running it."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def test_the_config_is_carried_in_the_package(reference: Reference) -> None:
    files = sources(context(reference, RESNET))
    found = constants(files[f"{PACKAGE}model/hf_config.py"].content)
    assert found == {
        "HF_CONFIG": RESNET.config,
        "ATTENTION": "eager",
        "HEADS": ("classifier.1",),
        "EMBED_DIM": 16,
        "STAGES": RESNET.stages,
    }
    assert {Path(path).suffix for path in files} == {".py", ".yaml"}


def test_every_file_names_its_template(reference: Reference) -> None:
    from porter import resources

    files = sources(context(reference, RESNET))
    assert f"{PACKAGE}model/backbone.py" in files
    assert all((resources.tree("templates") / file.produced_by).is_file() for file in files.values())


def test_only_what_a_model_has_is_in_its_backbone(reference: Reference) -> None:
    convolutions = sources(context(reference, RESNET))[f"{PACKAGE}model/backbone.py"].content
    tokens = sources(context(reference, DINO))[f"{PACKAGE}model/backbone.py"].content
    assert "_freeze_bn_norm" in convolutions
    assert "_BatchNorm" not in tokens
    assert "NotImplementedError" in tokens
    assert "NotImplementedError" not in convolutions


def test_schema_and_spec_name_the_new_backbone_and_its_width(reference: Reference) -> None:
    values = context(reference, DINO)
    assert (values.backbone, values.embed_dim) == (NAME, 48)
    spec = sources(values)[f"{PACKAGE}experiment_specs/experiment_spec.yaml"].content
    assert f'type: "{NAME}"' in spec
    assert "in_channels: 48" in spec


def test_a_name_that_the_registry_has_is_not_registered_again(reference: Reference) -> None:
    values = context(reference, RESNET, name="vit_base_patch16")
    assert values.backbone == "vit_base_patch16_hf"
    backbone = sources(values)["nvidia_tao_pytorch/cv/vit_base_patch16/model/backbone.py"].content
    assert "def vit_base_patch16_hf(**kwargs):" in backbone


def test_hostile_settings_stay_literals(reference: Reference) -> None:
    config = {**RESNET.config, 'a"b\n': ['"""\nimport os', {"{{ 7*7 }}": "\\"}]}
    held = msgspec.structs.replace(RESNET, config=config)
    source = sources(context(reference, held))[f"{PACKAGE}model/hf_config.py"].content
    assert constants(source)["HF_CONFIG"] == config


LIFTED = Lifted(
    architecture="ResNetForImageClassification",
    transformers="4.57.6",
    text='# Copyright 2020 Somebody\n"""{{ no }} {% template %}"""\n',
    header=("# Copyright 2020 Somebody",),
    config={"depths": [1, 1], "_attn_implementation": "eager"},
    origins=("transformers.models.resnet.modeling_resnet",),
    copyrights=("Copyright 2020 Somebody",),
)


def test_what_was_lifted_is_a_file_as_it_stands(reference: Reference) -> None:
    held = msgspec.structs.replace(RESNET, config=LIFTED.config)
    files = sources(context(reference, held, lifted=LIFTED))
    network = files[f"{PACKAGE}model/network.py"]
    assert network.content == LIFTED.text
    assert network.produced_by == "transplant of ResNetForImageClassification from transformers 4.57.6"
    settings = constants(files[f"{PACKAGE}model/hf_config.py"].content)
    assert settings["HF_CONFIG"] == LIFTED.config
    assert "ATTENTION" not in settings
    composed = sources(context(reference, RESNET))
    assert set(files) - set(composed) == {network.path}


def test_nothing_that_is_generated_for_it_imports_transformers(reference: Reference) -> None:
    files = sources(context(reference, RESNET, lifted=LIFTED)).values()
    imported = {
        name.partition(".")[0]
        for file in files
        if file.path.endswith(".py")
        for node in ast.walk(ast.parse(file.content))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([str(node.module)] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    assert "torch" in imported
    assert not {"transformers", "timm"} & imported


@pytest.mark.parametrize("model", [*MODELS, "lifted"])
def test_the_files_are_clean_and_know_nothing_of_porter(
    reference: Reference, tmp_path: Path, model: str
) -> None:
    lifted = LIFTED if model == "lifted" else None
    files = sources(context(reference, MODELS.get(model, RESNET), lifted=lifted))
    write(tmp_path, {path: file.content for path, file in files.items()})
    for path, file in files.items():
        body = file.content.partition('"""')[2]
        assert not re.search(r"\bporter\b", body)
        if TESTS in path:
            assert max(map(len, file.content.splitlines())) <= 110
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,W,F,D", "--ignore"]
    command += ["E501,D107,D200,D203,D205,D212,D213,D400,D401,D4", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def change(
    old: str,
    new: str,
    fails: str,
    *,
    kind: str = "resnet",
    file: str = "backbone.py",
    tests: str = "test_model",
) -> Run:
    return Run(
        file=f"{PACKAGE}model/{file}",
        old=old,
        new=new,
        tests=f"{TESTS}/{tests}.py",
        fails=fails,
        kind=kind,
    )


CHANGES = {
    "statistics-that-move": change(
        "                module.eval()\n        return self",
        "                pass\n        return self",
        "test_frozen_batch",
    ),
    "the-base-class-freezes": change("def _freeze_bn_norm(", "def _unused(", "test_frozen_batch"),
    "stages-from-one": change("enumerate(STAGES)", "enumerate(STAGES, 1)", "test_stages_are_frozen"),
    "the-head-stays": change(
        "            setattr(self.hf", "            getattr(self.hf", "test_the_head_is_replaced"
    ),
    "a-head-stays": change(
        "        for path in HEADS:",
        "        for path in HEADS[:1]:",
        "test_the_head_is_replaced",
        kind="distilled",
    ),
    "a-head-is-left-out": change(
        "for name in HEADS)", "for name in HEADS[:1])", "test_the_head_makes_logits", kind="distilled"
    ),
    "unflipped": change(
        "[img.flip(0) for img in imgs]",
        "imgs",
        "test_pixels_are_normalised",
        kind="distilled",
        file="../dataloader/pl_data_module.py",
        tests="test_dataloader",
    ),
    "without-transparency": change(
        'file.convert("RGBA")',
        'file.convert("RGB").convert("RGBA")',
        "test_the_whole_image_is_resized",
        kind="distilled",
        file="../dataloader/pl_data_module.py",
        tests="test_dataloader",
    ),
    "at-one-size": change(
        "tuple(x.shape[-2:]) != IMAGE_SIZE", "False", "test_images_of_another_size", kind="distilled"
    ),
    "squares": change(
        "augmentor.img_size_dynamic = True",
        "augmentor.img_size_dynamic = False",
        "test_batches",
        kind="distilled",
        file="../dataloader/pl_data_module.py",
        tests="test_dataloader",
    ),
    "in-colour": change(
        "dataset.__class__ = HeldDataset",
        "pass",
        "test_batches",
        kind="dino",
        file="../dataloader/pl_data_module.py",
        tests="test_dataloader",
    ),
    "one-head-from-the-file": change(
        "for layer in HEADS)",
        "for layer in HEADS[:1])",
        "test_a_head_of_another_size",
        kind="distilled",
        file="classifier.py",
    ),
    "a-hook-stays": change("            hook.remove()", "            pass", "test_the_head_makes_logits"),
    "maps-backwards": change(").hidden_states)", ").hidden_states)[::-1]", "test_feature_maps"),
    "maps-of-tokens": change(
        "        raise NotImplementedError(",
        "        return list(",
        "test_there_are_no_feature_maps",
        kind="dino",
    ),
    "head-from-the-file": change(
        "    if not fits:", "    if False:", "test_a_head_of_another_size", file="classifier.py"
    ),
    "another-library": change(
        "import torch\n",
        "import torch\nimport transformers\n",
        "test_the_network_needs_no_transformers",
        kind="lifted",
        file="network.py",
    ),
    "any-weights": change(
        "    if wrong or missing:", "    if False:", "test_weights_that_do", file="classifier.py"
    ),
}


@pytest.fixture(scope="module")
def lifted(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Lifted:
    """The ResNet of the installed transformers."""
    from porter.transplant.lift import lift
    from porter.transplant.reach import SKIP

    folder = tmp_path_factory.mktemp("lifted")
    given = {key: value for key, value in RESNET.config.items() if key not in ("architectures", "model_type")}
    made = MakeModel(folder=str(folder / "model"), architecture=RESNET.architecture, config=given)
    wanted = LiftRequest(folder=made.folder, architecture=RESNET.architecture, skip=SKIP)
    _, facts = serve(tao_environment, folder, [("make_demo_model", made), ("lift_facts", wanted)])
    found = lift(read(facts, LiftFacts)).lifted
    assert found is not None
    return found


@pytest.fixture(scope="module")
def runs(
    reference: Reference,
    kit: Path,
    lifted: Lifted,
    tao_environment: Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Run, UnitTests]:
    """How the generated tests end, whole and with every change."""
    folder = tmp_path_factory.mktemp("held-runs")
    settings = with_attention(lifted.config, "eager")
    own = msgspec.structs.replace(RESNET, config=settings)
    values = {kind: context(reference, held) for kind, held in MODELS.items()}
    values["lifted"] = context(reference, own, lifted=lifted)
    roots = {}
    for kind, each in values.items():
        roots[kind] = folder / kind
        shutil.copytree(kit / "nvidia_tao_pytorch", roots[kind] / "nvidia_tao_pytorch")
        lay(roots[kind], each, "tao-pytorch")
    whole = [Run(tests=TESTS, kind=kind) for kind in values]
    options = ("-m", "cv_unit", "-W", "ignore")
    imports = (*TRAINER_IMPORTS, "transformers.models.auto.modeling_auto")
    return run_all(
        roots, tao_environment, [*whole, *CHANGES.values()], folder / "out", imports=imports, options=options
    )


@pytest.mark.torch_env
@pytest.mark.parametrize("kind", [*MODELS, "lifted"])
def test_the_generated_tests_pass(runs: dict[Run, UnitTests], kind: str) -> None:
    tests = runs[Run(tests=TESTS, kind=kind)]
    assert tests.failed == {}
    assert tests.passed > 40
    assert set(tests.skipped) <= {"there is no GPU"}


@pytest.mark.torch_env
@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_backbone_is_noticed(runs: dict[Run, UnitTests], name: str) -> None:
    assert_noticed(runs, CHANGES[name])


DEPLOY_TESTS = f"tests/{NAME}"
DEPLOY_LOADER = f"nvidia_tao_deploy/cv/{NAME}/dataloader.py"
DEPLOY_CHANGES = {
    "unflipped": Run(
        file=DEPLOY_LOADER,
        old="preprocessing(image)[::-1]",
        new="preprocessing(image)",
        tests=DEPLOY_TESTS,
        fails="test_pixels_are_normalised",
    ),
    "grey-to-the-base-class": Run(
        file=DEPLOY_LOADER,
        old='self.model_img_mode = "rgb"',
        new="pass",
        tests=DEPLOY_TESTS,
        fails="test_pixels_are_normalised",
    ),
}


@pytest.fixture(scope="module")
def deploy_runs(
    reference: Reference,
    deploy_clone: Path,
    deploy_environment: Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Run, UnitTests]:
    """How the tests of the deploy package of the oddest model end, whole and with every change."""
    from porter.generate.deploy import deploy_context
    from porter.reference.deploy import read_deploy
    from porter.reference.release import read_release

    found = read_deploy(deploy_clone, read_release("tao-deploy", deploy_clone), reference.name)
    lay(deploy_clone, deploy_context(context(reference, DISTILLED), found, year=2026), "tao-deploy")
    runs = [Run(tests=DEPLOY_TESTS), *DEPLOY_CHANGES.values()]
    out = tmp_path_factory.mktemp("held-deploy") / "out"
    return run_all({"square": deploy_clone}, deploy_environment, runs, out, imports=DEPLOY_IMPORTS)


@pytest.mark.deploy_env
def test_the_deploy_tests_of_odd_images_pass(deploy_runs: dict[Run, UnitTests]) -> None:
    tests = deploy_runs[Run(tests=DEPLOY_TESTS)]
    assert tests.failed == {}
    assert tests.passed > 30


@pytest.mark.deploy_env
@pytest.mark.parametrize("name", DEPLOY_CHANGES)
def test_a_wrong_loader_of_odd_images_is_noticed(deploy_runs: dict[Run, UnitTests], name: str) -> None:
    assert_noticed(deploy_runs, DEPLOY_CHANGES[name])
