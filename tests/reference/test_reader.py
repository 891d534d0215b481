"""The whole reference: what is in the clone, what is absent, what stops a port."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import UsageError, WorkspaceError
from porter.records.base import from_json, to_json
from porter.records.reference import ConfigClass, ConfigField, Reference, Repo
from porter.reference.reader import read_reference
from porter.reference.release import read_release
from tests.real_clones import real_clone
from tests.reference.trees import CONFIG, CV, FILES, NETWORK, PL_MODULE, script, tao_tree
from tests.repositories import git, repository, write

MODULE = "nvidia_tao_pytorch.cv.classification_pyt"


def read(clone: Path, *, revision: str = "HEAD", others: dict[Repo, Path] | None = None) -> Reference:
    release = read_release("tao-pytorch", clone, revision=revision)
    return read_reference(clone, release, others=others)


def field(reference: Reference, owner: str, name: str) -> ConfigField:
    classes: dict[str, ConfigClass] = {item.name: item for item in reference.config}
    return next(item for item in classes[owner].fields if item.name == name)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return read(tao_tree(tmp_path_factory.mktemp("tree") / "clone"))


def test_the_lightning_module(reference: Reference) -> None:
    facts = reference.pl_module
    methods = {method.name: method for method in facts.methods}

    assert facts.module == f"{MODULE}.model.classifier_pl_model"
    assert facts.bases == ("nvidia_tao_pytorch.core.module.TAOLightningModule",)
    assert facts.attributes == ("checkpoint_filename", "first", "second", "rest", "model")
    assert methods["__init__"].parameters == ("experiment_spec", "export")
    assert methods["__init__"].defaults == ("export",)
    assert methods["_get_parameter_groups"].static
    assert methods["_get_parameter_groups"].parameters == ("model", "weight_decay", "skip_names")
    assert reference.hooks[:2] == ("_build_model", "on_save_checkpoint")
    assert "_get_parameter_groups" in reference.hooks
    assert "configure_optimizers" not in reference.hooks


def test_conventions(reference: Reference) -> None:
    assert reference.checkpoint_filename == "classifier_model"
    assert reference.tao_model == "classification"
    assert reference.tags == {"classification": "model.", "changenet:radio": "a."}
    assert (reference.onnx_inputs, reference.onnx_outputs) == (("input",), ("output",))
    assert reference.image_suffixes == ("jpg", "JPEG")
    assert reference.header == (
        "# SPDX-FileCopyrightText: Copyright (c) {year} Somebody. All rights reserved.",
        "# SPDX: some",
    )
    assert reference.data_module.bases == ("pytorch_lightning.LightningDataModule",)
    assert reference.symbols["onnx_exporter"] == f"{MODULE}.utils.onnx_export.ONNXExporter"
    assert reference.config_package == "nvidia_tao_pytorch.config.classification_pyt"


def test_names_of_every_domain_are_taken(reference: Reference) -> None:
    assert set(reference.console_scripts) == {"classification_pyt", "dino", "mae"}
    # depth_net has only a config, nvdinov2 only a folder beside another domain's network.
    assert {"classification_pyt", "dino", "mae", "depth_net", "nvdinov2"} <= set(reference.networks)


def test_scripts(reference: Reference) -> None:
    runners = {runner.script: runner for runner in reference.scripts}

    assert set(runners) == {"train", "evaluate", "inference", "export"}
    assert runners["train"].spec_present
    assert runners["inference"].config_name == "infer"
    assert not runners["inference"].spec_present
    assert runners["export"].mode == "export"
    assert runners["train"].schema_module == "nvidia_tao_pytorch.config.classification_pyt.default_config"


def test_files_by_role(reference: Reference) -> None:
    by_role: dict[str, list[bool]] = {}
    for file in reference.files:
        by_role.setdefault(file.role, []).append(file.present)

    assert len(by_role) == 12
    assert by_role["config"] == [True, False]
    assert not any(present for role in by_role if role.startswith("deploy") for present in by_role[role])
    assert all(len(file.sha256) == 64 * file.present for file in reference.files)


def test_a_reference_survives_its_json_form(reference: Reference) -> None:
    assert from_json(to_json(reference), Reference) == reference


def test_config_classes_and_the_bases_they_inherit_from(reference: Reference) -> None:
    classes = {item.name: item for item in reference.config}

    assert set(classes) == {"HeadConfig", "ExperimentConfig", "CommonExperimentConfig", "LoggerConfig"}
    assert classes["ExperimentConfig"].bases == (
        "nvidia_tao_pytorch.config.common.common_config.CommonExperimentConfig",
    )
    assert [item.name for item in classes["ExperimentConfig"].fields] == ["head"]


def test_config_values_are_what_the_field_helpers_make_of_them(reference: Reference) -> None:
    def values(owner: str, name: str) -> tuple[object, object]:
        item = field(reference, owner, name)
        return item.value, item.default_value

    assert values("HeadConfig", "workers") == ("8", "1")
    assert values("HeadConfig", "policy") == (None, "")
    assert values("HeadConfig", "topk") == ([1], [1])
    assert values("HeadConfig", "angles") == ([90, 180], [90])
    assert values("HeadConfig", "extra") == ([], [])
    assert values("HeadConfig", "plain") == (3, 3)
    # The helper replaces an empty default by the value, and MISSING is a value.
    assert values("CommonExperimentConfig", "checkpoint") == ("???", "???")
    assert values("CommonExperimentConfig", "results_dir") == ("", "")
    assert values("ExperimentConfig", "head") == ("HeadConfig", "HeadConfig")


def test_config_metadata(reference: Reference) -> None:
    assert field(reference, "HeadConfig", "type").options == ("linear", "other")
    assert field(reference, "HeadConfig", "policy").options == ("a", "b")
    assert field(reference, "HeadConfig", "policy").metadata == {"popular": "yes"}
    assert field(reference, "HeadConfig", "policy").type == "Optional[str]"
    assert field(reference, "HeadConfig", "extra").helper == ""
    assert field(reference, "CommonExperimentConfig", "results_dir").description == "Where results go."
    assert field(reference, "CommonExperimentConfig", "logger").arguments == {
        "project": "mine",
        "tags": ["b"],
    }


def test_deploy_files_are_seen_where_the_clone_is_given(tmp_path: Path) -> None:
    path = "nvidia_tao_deploy/cv/classification_pyt/scripts/gen_trt_engine.py"
    deploy = repository(tmp_path / "deploy", {path: "pass\n"})

    reference = read(tao_tree(tmp_path / "clone"), others={"tao-deploy": deploy})

    present = [file.path for file in reference.files if file.present and file.role.startswith("deploy")]
    assert present == [path]


def test_the_port_itself_is_no_part_of_the_clone(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone")
    before = read(clone)
    write(clone, {f"{CV}/vit_mine/__init__.py": "", "setup.py": "", f"{NETWORK}/model/utils.py": "broken("})
    git(clone, "add", "-N", ".")

    assert read(clone) == before


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        (
            f"{NETWORK}/model/classifier_pl_model.py",
            PL_MODULE.replace("def _build_model(", "def build_it("),
            "model.py of tao-pytorch 7.0.1 ({commit}) has no method ClassifierPlModel._build_model.",
        ),
        (
            f"{NETWORK}/model/classifier_pl_model.py",
            PL_MODULE.replace("class ClassifierPlModel", "class Other"),
            "classifier_pl_model.py of tao-pytorch 7.0.1 ({commit}) has no ClassifierPlModel.",
        ),
        (
            f"{NETWORK}/model/classifier_pl_model.py",
            PL_MODULE.replace('"classifier_model"', "name()"),
            "has no literal self.checkpoint_filename.",
        ),
        (
            f"{NETWORK}/model/classifier_pl_model.py",
            PL_MODULE.replace('["tao_model"]', '["model"]'),
            'has no literal checkpoint["tao_model"].',
        ),
        (f"{NETWORK}/utils/onnx_export.py", "def other(): pass\n", "onnx_export.py of tao-pytorch 7.0.1"),
        (
            f"{NETWORK}/dataloader/dataset.py",
            "class CLDataset: pass\n",
            "default of get_image_file_names(suffix)",
        ),
        (f"{NETWORK}/scripts/train.py", "def main(): pass\n", "function decorated by hydra_runner"),
        (
            f"{NETWORK}/scripts/export.py",
            script("export").replace("['input']", "f()"),
            "literal list input_names",
        ),
        (f"{CONFIG}/classification_pyt/default_config.py", "", "default_config.py of tao-pytorch 7.0.1"),
        (
            f"{NETWORK}/scripts/evaluate.py",
            None,
            "tao-pytorch 7.0.1 ({commit}) has no " + f"{NETWORK}/scripts/",
        ),
        (f"{NETWORK}/model/utils.py", "def broken(:\n", f"{NETWORK}/model/utils.py line 1"),
    ],
)
def test_what_a_port_needs_and_does_not_find_stops_it(
    tmp_path: Path, path: str, text: str | None, complaint: str
) -> None:
    clone = tao_tree(tmp_path / "clone", {path: text})

    with pytest.raises(WorkspaceError) as stopped:
        read(clone)

    assert complaint.replace("{commit}", git(clone, "rev-parse", "HEAD")[:7]) in stopped.value.what


def test_a_symbol_behind_a_re_export_is_found(tmp_path: Path) -> None:
    clone = tao_tree(
        tmp_path / "clone",
        {
            f"{NETWORK}/utils/onnx_export.py": "from .deeper import ONNXExporter\n",
            f"{NETWORK}/utils/__init__.py": "",
            f"{NETWORK}/utils/deeper.py": "if True:\n    class ONNXExporter: pass\n",
        },
    )

    assert read(clone).symbols["onnx_exporter"] == f"{MODULE}.utils.deeper.ONNXExporter"


def test_the_core_layout_leaves_the_config_to_tao_core(tmp_path: Path) -> None:
    changes: dict[str, str | None] = {path: None for path in FILES if path.startswith(CONFIG)}
    changes["docker/requirements-pip.txt"] = "transformers<5.0.0\n"
    changes["docker/requirements-pip-pytorch.txt"] = (
        "timm==1.0.14\npytorch-lightning==2.5.0.post0\ntorchmetrics==1.6.1\n"
    )
    clone = tao_tree(tmp_path / "clone", changes)
    core = repository(
        tmp_path / "core",
        {
            path.replace("nvidia_tao_pytorch", "nvidia_tao_core"): text.replace(
                "nvidia_tao_pytorch.config", "nvidia_tao_core.config"
            )
            for path, text in FILES.items()
            if path.startswith(CONFIG)
        },
    )

    alone, together = read(clone), read(clone, others={"tao-core": core})

    assert alone.config_package == "nvidia_tao_core.config.classification_pyt"
    assert alone.config == ()
    assert not next(file for file in alone.files if file.role == "config").present
    assert {item.name for item in together.config} >= {"ExperimentConfig", "CommonExperimentConfig"}


def test_an_unknown_network_is_a_usage_error(tmp_path: Path) -> None:
    clone = tao_tree(tmp_path / "clone")

    with pytest.raises(UsageError, match="cannot follow a TAO network named 'dino'"):
        read_reference(clone, read_release("tao-pytorch", clone), "dino")


@pytest.mark.real_tao
def test_the_real_reference_is_whole() -> None:
    reference = read(
        real_clone("tao-pytorch"), revision="d99ff77", others={"tao-deploy": real_clone("tao-deploy")}
    )

    assert all(file.present for file in reference.files)
    assert reference.checkpoint_filename == "classifier_model"
    assert reference.image_suffixes == ("jpg", "png", "JPEG")
    assert reference.tags["classification"] == "model."
    assert reference.tags["visual_changenet_segment:radio"] == "model.backbone.radio."
    assert {"codetr", "nvpanoptix3d", "radio", "segic", "stylegan_xl"} <= set(reference.networks)
    assert {runner.script for runner in reference.scripts} == {
        "train",
        "evaluate",
        "inference",
        "export",
        "quantize",
        "distill",
    }
    assert all(runner.spec_present for runner in reference.scripts)
    assert field(reference, "DatasetConfig", "workers").default_value == 1
    assert field(reference, "EvaluateConfig", "checkpoint").value == "???"
    assert field(reference, "OptimConfig", "policy").options == ("linear", "step", "cosine", "multistep")
    assert len(field(reference, "BackboneConfig", "type").options) == 107
    assert field(reference, "ModelQuantizationConfig", "backend").helper == "STR_FIELD"


@pytest.mark.real_tao
def test_the_real_core_layout() -> None:
    reference = read(real_clone("tao-pytorch"), revision="bb8b234")

    assert reference.release.layout == "core"
    assert reference.config == ()
    assert reference.header[0] == "# Copyright (c) {year}, NVIDIA CORPORATION.  All rights reserved."
    assert reference.hooks[0] == "_build_model"
