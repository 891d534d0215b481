"""What is generated for tao-deploy: whole, clean, NumPy-only, and as the clone at hand allows."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from porter import resources
from porter.errors import UsageError
from porter.generate.context import ClassificationContext, classification_context
from porter.generate.deploy import build_deploy_plan, deploy_context
from porter.generate.render import render
from porter.records.inspection import ProcessorFacts
from porter.records.plan import FilePlan
from porter.records.reference import DeployReference, Reference, Repo
from tests.deploy_trees import SETUP, deploy_files
from tests.generate.test_render import BICUBIC, CROP, SQUARE, choice, inspection
from tests.reference.test_deploy import read

TARGET = "nvidia_tao_deploy.cv.my_vit.entrypoint.my_vit:main"
PACKAGE = "nvidia_tao_deploy/cv/my_vit"


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> DeployReference:
    return read(tmp_path_factory.mktemp("deploy"), deploy_files())


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> DeployReference:
    """A tao-deploy without the optional hooks."""
    return read(tmp_path_factory.mktemp("older"), deploy_files(optional=False))


def context(
    reference: Reference, deploy: DeployReference, processor: ProcessorFacts = SQUARE, name: str = "my_vit"
) -> ClassificationContext:
    trainer = classification_context(inspection(processor), choice(reference), name=name, year=2026)
    return deploy_context(trainer, deploy, year=2026)


def plan(values: ClassificationContext, **settings: Any) -> FilePlan:
    named = {key.replace("__", "."): value for key, value in settings.items()}
    setups = {"setup.py": SETUP, "setup_l4t.py": SETUP}
    return build_deploy_plan(values, settings=named, setups=setups, console_target=TARGET)


def texts(found: FilePlan) -> dict[str, str]:
    return {file.path: file.content for file in found.files}


def test_the_plan_names_every_file_once_with_what_made_it(
    reference: Reference, deploy: DeployReference
) -> None:
    found = plan(context(reference, deploy))
    paths = [file.path for file in found.files]
    assert paths == sorted(set(paths))
    for name in (
        "engine_builder",
        "inferencer",
        "dataloader",
        "utils",
        "scripts/__init__",
        "entrypoint/my_vit",
    ):
        assert f"{PACKAGE}/{name}.py" in paths
    assert {file.repo for file in found.files} == {"tao-deploy"}
    assert {file.path for file in found.files if file.action == "edit"} == {"setup.py", "setup_l4t.py"}
    made = {file.path: file.produced_by for file in found.files}
    assert made[f"{PACKAGE}/utils.py"].endswith("cv/{{ name }}/utils.py.jinja")
    assert made["setup_l4t.py"] == "codemod add_console_script"


@pytest.mark.parametrize("name", ["my_vit", "model", "train", "cv", "tests"])
def test_every_file_names_its_template(
    reference: Reference, deploy: DeployReference, tmp_path: Path, name: str
) -> None:
    data = context(reference, deploy, name=name).template_data()
    repos: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")
    files = [file for repo in repos for file in render(data, repo, tmp_path / repo)]
    made = {(file.repo, file.path): file.produced_by for file in files}
    assert all((resources.tree("templates") / template).is_file() for template in made.values())
    assert len(set(made.values())) == len(made)
    tests = made["tao-deploy", f"tests/{name}/test_{name}.py"]
    assert tests.endswith("/tests/{{ name }}/test_{{ name }}.py.jinja")


def test_both_setup_files_declare_the_command(reference: Reference, deploy: DeployReference) -> None:
    found = texts(plan(context(reference, deploy)))
    for setup in ("setup.py", "setup_l4t.py"):
        assert f'"my_vit={TARGET}"' in found[setup]
        assert "dino=" in found[setup]


@pytest.mark.parametrize("processor", [SQUARE, BICUBIC, CROP])
def test_every_module_parses_has_the_header_and_imports_nothing_heavy(
    reference: Reference, deploy: DeployReference, processor: ProcessorFacts
) -> None:
    heavy = {"torch", "transformers", "timm", "nvidia_tao_pytorch", "pytorch_lightning", "porter"}
    for path, text in texts(plan(context(reference, deploy, processor))).items():
        if not path.endswith(".py") or path.startswith("setup"):
            continue
        owner = "the porter authors" if path.startswith("nvidia_tao_deploy/config/") else "SOMEBODY"
        assert text.startswith(f"# SPDX-FileCopyrightText: Copyright (c) 2026 {owner}."), path
        assert "{{" not in text, path
        assert "{%" not in text, path
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & heavy, path


def test_a_plain_square_needs_no_resize_and_others_have_the_processors(
    reference: Reference, deploy: DeployReference
) -> None:
    loaders = {
        kind: texts(plan(context(reference, deploy, processor)))[f"{PACKAGE}/dataloader.py"]
        for kind, processor in (("square", SQUARE), ("bicubic", BICUBIC), ("crop", CROP))
    }
    assert "_load_gt_image" not in loaders["square"]
    assert "from PIL" not in loaders["square"]
    assert "Image.Resampling.BICUBIC" in loaders["bicubic"]
    assert "crop(" not in loaders["bicubic"]
    assert "img.crop((left, top" in loaders["crop"]


def test_strong_typing_is_asked_for_where_the_clone_has_the_hook(
    reference: Reference, deploy: DeployReference, older: DeployReference
) -> None:
    new, old = (texts(plan(context(reference, clone))) for clone in (deploy, older))
    builder, script = f"{PACKAGE}/engine_builder.py", f"{PACKAGE}/scripts/gen_trt_engine.py"
    assert "_extra_network_flags" in new[builder]
    assert '"int8"' not in new[script].replace('== "int8"', "")
    assert "_extra_network_flags" not in old[builder]
    assert 'engine_kwargs["precision"] = "int8"' in old[script]


def test_specs_take_the_settings_of_sections_that_they_have(
    reference: Reference, deploy: DeployReference
) -> None:
    found = texts(
        plan(context(reference, deploy), gen_trt_engine__tensorrt__max_batch_size=32, train__seed=1)
    )
    specs = {
        name: yaml.safe_load(found[f"{PACKAGE}/specs/{name}.yaml"])
        for name in ("gen_trt_engine", "inference", "evaluate")
    }
    assert specs["gen_trt_engine"]["gen_trt_engine"]["tensorrt"]["max_batch_size"] == 32
    assert all("train" not in spec for spec in specs.values())
    assert specs["gen_trt_engine"]["gen_trt_engine"]["onnx_file"] == "${export.onnx_file}"
    assert {spec["results_dir"] for spec in specs.values()} == {"???"}


def test_a_network_that_tao_deploy_has_is_no_name(reference: Reference, deploy: DeployReference) -> None:
    with pytest.raises(UsageError, match="tao-deploy has a network of that name"):
        context(reference, deploy, name="dino")


def test_rendering_twice_gives_the_same_bytes(
    reference: Reference, deploy: DeployReference, tmp_path: Path
) -> None:
    assert texts(plan(context(reference, deploy))) == texts(plan(context(reference, deploy)))
