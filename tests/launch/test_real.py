"""The catalog and the packages against the dataclasses of the real tao-pytorch."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from porter.launch import catalog
from porter.launch.schema import leaf
from porter.records.sandbox import Environment
from porter.records.skills import SchemaAnswer, SchemaRequest
from porter.sandbox.base import run_probe
from porter.sandbox.host import HostSandbox
from tests.conftest import REAL_CACHE
from tests.e2e.clones import private_clone
from tests.e2e.conftest import run_porter
from tests.real_clones import real_clone
from tests.repositories import git

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]

Built = dict[str, tuple[Path, dict[str, Any]]]

_MERGE = """
import importlib, pathlib, sys
from omegaconf import OmegaConf
experiment = importlib.import_module(sys.argv[1]).ExperimentConfig
for path in sorted(pathlib.Path(sys.argv[2]).glob("spec_template_*.yaml")):
    OmegaConf.merge(OmegaConf.structured(experiment), OmegaConf.load(path))
    print(path.name)
"""


@pytest.mark.parametrize("name", catalog.names())
def test_every_spec_key_of_the_catalog_is_a_field(name: str, tao_sandbox: HostSandbox) -> None:
    found = catalog.entry(name)
    request = SchemaRequest(config=catalog.config_of(found, "in-repo"))
    clone = real_clone("tao-pytorch")
    answer = run_probe(tao_sandbox, "make_schema", request, SchemaAnswer, python_path=[clone])
    assert set(catalog.spec_keys(found)) - set(answer.keys) == set()
    assert {rewrite.old for rewrite in found.rewrites} & set(answer.keys) == set()
    properties = json.loads(answer.schema)["properties"]
    for source in (source for source in found.data if source.parts):
        described = leaf(properties, source.key)
        assert described is not None, source.key
        default = described["default"]
        assert isinstance(default, list) == source.list, source.key
        fields = default[0] if source.list else default
        assert set(source.parts) - {"classmap"} <= set(fields), source.key
        for name, part in source.parts.items():
            assert isinstance(fields.get(name), list) == part.list, (source.key, name)
    # What a search changes in the network has to reach evaluation, or the checkpoint does not fit.
    searched = json.loads(answer.schema)["automl_default_parameters"]
    assert {key for key in searched if key.startswith("model.")} <= set(found.automl.carried)
    assert searched or found.automl.overlay or not found.automl.enabled
    for refused in found.refused:
        options = (leaf(properties, refused.key) or {}).get("enum", refused.values)
        assert set(refused.values) <= set(options), refused.key


@pytest.mark.parametrize("name", catalog.names())
def test_actions_are_those_that_have_a_script(name: str) -> None:
    found = catalog.entry(name)
    for repo, kind, package in (
        ("tao-pytorch", "pytorch", "nvidia_tao_pytorch"),
        ("tao-deploy", "deploy", "nvidia_tao_deploy"),
    ):
        scripts = real_clone(repo) / package / "cv" / name / "scripts"
        there = {path.stem for path in scripts.glob("*.py")} - {"__init__", "convert"}
        asked = {
            action
            for action, chosen in found.actions.items()
            if chosen.image == kind or (kind == "deploy" and chosen.engine)
        }
        assert asked == there, repo


@pytest.fixture(scope="module")
def cache(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of its own that shares only the managed environments and the wheels' repositories."""
    folder = tmp_path_factory.mktemp("cache") / "porter"
    folder.mkdir()
    for name in ("envs", "embedded"):
        if (REAL_CACHE / name).is_dir():
            (folder / name).symlink_to(REAL_CACHE / name)
    return folder


@pytest.fixture(scope="module")
def built(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The packages of DINO and MAL, and what the command said of each."""
    folder, clone = tmp_path_factory.mktemp("skills"), real_clone("tao-pytorch")
    made = {}
    for name in ("dino", "mal"):
        arguments = ("skills", "build", name, "--tao-pytorch", clone, "--output", folder / name)
        done = run_porter(cache, *arguments, "--format", "json")
        assert done.code == 0, done.err
        made[name] = folder / name, done.json
    return made


def test_the_clone_stays_as_it_is(built: Built) -> None:
    clone = real_clone("tao-pytorch")
    assert git(clone, "status", "--porcelain") == ""


def test_a_second_build_has_the_same_bytes(built: Built, cache: Path, tmp_path: Path) -> None:
    clone = real_clone("tao-pytorch")
    arguments = ("skills", "build", "dino", "--tao-pytorch", clone, "--output", tmp_path / "again")
    done = run_porter(cache, *arguments, "--format", "json", env={"PYTHONHASHSEED": "7"})
    assert done.json["files"] == built["dino"][1]["files"]


def test_every_template_fits_the_dataclasses(built: Built, tao_environment: Environment) -> None:
    clone = real_clone("tao-pytorch")
    for name, (folder, _) in built.items():
        module = f"nvidia_tao_pytorch.config.{name}.default_config"
        merged = subprocess.run(
            [tao_environment.python, "-B", "-c", _MERGE, module, str(folder / "references")],
            env={"PYTHONPATH": str(clone)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(merged.stdout.split()) == len(catalog.entry(name).actions)


@pytest.mark.parametrize("name", ["dino", "classification_pyt"])
def test_engines_have_templates_that_fit_tao_deploys_dataclasses(
    name: str, cache: Path, tmp_path: Path, tao_environment: Environment
) -> None:
    clone = real_clone("tao-deploy")
    arguments = ("--tao-pytorch", real_clone("tao-pytorch"), "--tao-deploy", clone, "--format", "json")
    done = run_porter(cache, "skills", "build", name, *arguments, "--output", tmp_path / name)
    assert done.code == 0, done.err
    assert done.json["notes"] == []
    folder = tmp_path / "deploy"
    folder.mkdir()
    for path in (tmp_path / name / "references").glob("spec_template_deploy_*.yaml"):
        shutil.copy(path, folder / path.name.replace("_deploy", ""))
    merged = subprocess.run(
        [
            tao_environment.python,
            "-B",
            "-c",
            _MERGE,
            f"nvidia_tao_deploy.config.{name}.default_config",
            folder,
        ],
        env={"PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(merged.stdout.split()) == 3
    for action, section, key in (
        ("gen_trt_engine", "gen_trt_engine", "onnx_file"),
        ("evaluate", "evaluate", "trt_engine"),
        ("inference", "inference", "trt_engine"),
    ):
        assert key in yaml.safe_load((folder / f"spec_template_{action}.yaml").read_text())[section]
    assert git(clone, "status", "--porcelain") == ""


def test_a_package_says_where_its_templates_for_engines_would_come_from(built: Built) -> None:
    manifests = {
        name: json.loads((folder / "schemas" / "manifest.json").read_text())["x_porter"]
        for name, (folder, _) in built.items()
    }
    assert "no clone of tao-deploy" in manifests["dino"]["deploy"]["missing"]
    assert "no clone of tao-deploy" in built["dino"][1]["notes"][0]
    assert "deploy" not in manifests["mal"]
    assert built["mal"][1]["notes"] == []


def test_differences_are_those_of_the_facts(built: Built) -> None:
    pairs = {
        name: {item["key"]: (item["value"], item["default_value"]) for item in said["differences"]}
        for name, (_, said) in built.items()
    }
    dino, mal = pairs["dino"], pairs["mal"]
    assert (dino["export.input_width"], dino["export.input_height"]) == ((640, 960), (640, 544))
    assert dino["dataset.val_data_sources"] == (None, [{"image_dir": "", "json_file": ""}])
    assert (mal["train.batch_size"], mal["train.min_lr_rate"]) == ((3, 1), (0.2, 0.02))


def schema(built: Built, name: str, action: str) -> dict[str, Any]:
    text = (built[name][0] / "schemas" / f"{action}.schema.json").read_text()
    made: dict[str, Any] = json.loads(text)
    return made


def test_defaults_of_dino_are_those_of_the_facts(built: Built) -> None:
    default = schema(built, "dino", "train")["default"]
    model, dataset, train = default["model"], default["dataset"], default["train"]
    assert (model["backbone"], model["num_queries"], model["num_select"]) == ("resnet_50", 300, 300)
    assert (model["num_feature_levels"], model["return_interm_indices"]) == (4, [1, 2, 3, 4])
    assert (dataset["batch_size"], dataset["num_classes"], train["num_epochs"]) == (4, 91, 10)
    optim = train["optim"]
    assert (optim["lr"], optim["lr_backbone"], optim["lr_steps"]) == (2e-4, 2e-5, [11])
    assert (optim["weight_decay"], optim["monitor_name"]) == (1e-4, "val_loss")
    searched = schema(built, "dino", "train")["automl_default_parameters"]
    assert "train.optim.weight_decay" in searched
    assert "teacher" in schema(built, "dino", "distill")["default"]["distill"]
    export = schema(built, "dino", "export")["default"]["export"]
    assert (export["opset_version"], export["batch_size"]) == (17, -1)
    engine = schema(built, "dino", "gen_trt_engine")["default"]["gen_trt_engine"]["tensorrt"]
    assert (engine["data_type"], engine["workspace_size"]) == ("FP32", 1024)


def test_mal_is_searched_by_hand_and_without_broken_sizes(
    built: Built,
) -> None:
    made = schema(built, "mal", "train")
    assert made["automl_default_parameters"] == ["train.lr", "train.wd"]
    rate = made["properties"]["train"]["properties"]["lr"]
    assert rate["minimum"] < rate["default"] < rate["maximum"]
    arch = made["properties"]["model"]["properties"]["arch"]
    assert arch["enum"] == ["vit-deit-small/16", "vit-mae-base/16", "vit-mae-large/16"]
    assert made["properties"]["dataset"]["properties"]["crop_size"]["minimum"] == 256
    info = yaml.safe_load((built["mal"][0] / "references" / "skill_info.yaml").read_text())
    assert info["spec_params"]["inference"]["inference.label_dump_path"] == "create_inference_result_file_mal"


def test_dataclasses_of_6_26_3_come_from_tao_core(cache: Path, tmp_path: Path) -> None:
    if not list((REAL_CACHE / "embedded").glob("tao-core-6.26.3-*")):
        pytest.skip("tao-core 6.26.3 is not in the cache; a port of that release puts it there")
    clone = private_clone(real_clone("tao-pytorch"), tmp_path / "clone")
    git(clone, "checkout", "-q", "bb8b234")
    done = run_porter(
        cache,
        "skills",
        "build",
        "mal",
        "--tao-pytorch",
        clone,
        "--output",
        tmp_path / "mal",
        "--format",
        "json",
    )
    assert done.code == 0, done.err
    source = done.json["source"]
    assert (source["repository"], source["version"]) == ("tao-core", "6.26.3")
    assert source["config"] == "nvidia_tao_core.config.mal.default_config:ExperimentConfig"
    assert not list((cache / "skills").iterdir())


def test_a_clone_without_the_network_is_told_apart(cache: Path, tmp_path: Path) -> None:
    clone = private_clone(real_clone("tao-pytorch"), tmp_path / "clone")
    shutil.rmtree(clone / "nvidia_tao_pytorch" / "config" / "mal")
    done = run_porter(cache, "skills", "build", "mal", "--tao-pytorch", clone, "--output", tmp_path / "mal")
    assert done.code == 4, done.err
    assert "nvidia_tao_pytorch.config.mal.default_config cannot be imported" in done.err
    assert not (tmp_path / "mal").exists()
    assert not list((cache / "skills").iterdir())
