"""The catalog: what its reader refuses, and what it says of DINO and MAL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from porter.errors import PorterError, UsageError
from porter.launch import catalog
from porter.records.catalog import CatalogEntry, DataSource
from tests.launch.answers import TOY, toy, write_toy

NETWORKS = {
    *("classification_pyt", "deformable_detr", "depth_net", "dino", "grounding_dino", "mal"),
    *("mask2former", "oneformer", "rtdetr", "segformer", "visual_changenet"),
}


def source(found: CatalogEntry, action: str, key: str) -> DataSource:
    return next(item for item in found.data if item.key == key and action in item.actions)


def test_every_file_reads_and_can_be_run() -> None:
    assert set(catalog.names()) == NETWORKS
    for name in catalog.names():
        found = catalog.entry(name)
        assert {"train", "evaluate", "inference"} <= set(found.actions)
        for action, chosen in found.actions.items():
            assert chosen.command == f"{name} {action} -e {{config_path}}"
            assert chosen.image == ("deploy" if action == "gen_trt_engine" else "pytorch")
            assert chosen.rules["results_dir"] == "output_dir"
        assert any(item.origin == "train" for item in found.data if "train" in item.actions)
        assert found.errors
        assert found.base


def test_a_small_file_reads(tmp_path: Path) -> None:
    assert toy(tmp_path).actions["evaluate"].engine == "evaluate.trt_engine"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Toy"', 'title = "Toy', "line 2"),
        ('title = "Toy"', 'title = "Toy"\ntitle = "Toy"', "overwrite"),
        ('title = "Toy"', 'title = "Toy"\ntilte = "Toy"', "tilte"),
        ('title = "Toy"\n', "", "title"),
        ("memory_gb = 16", 'memory_gb = "much"', "hardware.memory_gb"),
        ('direction = "maximize"', 'direction = "up"', "metric.direction"),
        ('results_dir = "output_dir"', 'results_dir = "somewhere"', "somewhere"),
        ('name = "toy"', 'name = "boy"', "name = 'boy'"),
        ("toy train -e {config_path}", "toy train", "actions.train"),
        ('actions = ["train"]\norigin', 'actions = ["trian"]\norigin', "trian"),
        ('formats = ["a"]', 'formats = ["c"]', "dataset.labels is for c"),
        ('formats = ["b"]\nvalue', 'formats = ["a"]\nvalue', "dataset.labels of train with a is there twice"),
        ('value = { path = "a.json", kind = "file" }\n', "", "either a value or parts"),
        ('pattern = "one|two"', 'pattern = "(one"', "no regular expression"),
        ("[metric]", "[by_format.c]\nx = 1\n[metric]", "by_format.c"),
        (
            "[metric]",
            '[[inputs]]\nkey = "a"\ntitle = "a"\nreason = "a"\nactions = ["trian"]\n[metric]',
            "inputs: a is for trian",
        ),
        (
            "[[rewrites]]",
            '[[rewrites]]\nold = "model.crop"\nnew = "x"\nreason = "x"\n[[rewrites]]',
            "model.crop is there twice",
        ),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TOY
    with pytest.raises(PorterError) as error:
        toy(tmp_path, TOY.replace(old, new, 1))
    assert error.value.what == "The catalog's toy.toml cannot be used."
    assert said in error.value.why
    assert str(tmp_path / "toy.toml") in error.value.next_step


def test_a_file_that_is_no_text_or_not_there_is_the_same_error(tmp_path: Path) -> None:
    path = write_toy(tmp_path)
    path.write_bytes(b"\xff\xfe")
    for broken in (path, tmp_path / "nowhere.toml"):
        with pytest.raises(PorterError, match="cannot be used"):
            catalog.read(broken)


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UsageError) as error:
        catalog.entry("dinno")
    assert error.value.why == "near it: dino, grounding_dino"
    assert error.value.next_step == "porter models lists them all"


def test_a_name_that_is_a_path_is_just_unknown() -> None:
    for name in ("../networks/segformer", "", "dino.toml"):
        with pytest.raises(UsageError, match="no model"):
            catalog.entry(name)


def test_an_unknown_action_names_the_nearest_and_the_next_command() -> None:
    with pytest.raises(UsageError) as error:
        catalog.image("dino", "evalute")
    assert error.value.why.startswith("near it: evaluate")
    assert error.value.next_step == "porter image dino --action train"
    with pytest.raises(UsageError, match="mal has no action 'export'"):
        catalog.image("mal", "export")


def test_the_deploy_image_runs_engines_alone() -> None:
    built, trained = catalog.image("dino", "gen_trt_engine"), catalog.image("dino", "evaluate")
    assert (built.kind, built.engine_image) == ("deploy", "")
    assert built.image == trained.engine_image != trained.image
    assert catalog.image("mal", "evaluate").engine_image == ""


def test_an_image_of_its_own_comes_before_the_shared_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = toy(tmp_path, f'{TOY}\n[images]\ndeploy = "toys:1"\n')
    monkeypatch.setattr(catalog, "entry", lambda name: own)
    assert catalog.image("toy", "inference").image == "toys:1"
    assert catalog.image("toy", "train").image == catalog.image("toy", "evaluate").image != "toys:1"


def test_the_scope_leaves_out_networks_without_a_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = toy(tmp_path, TOY.replace("enabled = true", "enabled = false"))
    monkeypatch.setattr(catalog, "names", lambda: ("toy",))
    monkeypatch.setattr(catalog, "entry", lambda name: plain)
    assert [row.name for row in catalog.rows()] == ["toy"]
    assert catalog.rows("automl") == ()
    with pytest.raises(UsageError, match="--scope hpo"):
        catalog.rows("hpo")


def test_dino_has_what_the_facts_say() -> None:
    dino = catalog.entry("dino")
    assert tuple(dino.actions) == (
        *("train", "distill", "quantize", "evaluate", "export", "inference", "gen_trt_engine"),
    )
    assert dino.formats == ("coco", "coco_raw")
    for action in ("train", "distill", "quantize"):
        train = source(dino, action, "dataset.train_data_sources")
        validation = source(dino, action, "dataset.val_data_sources")
        assert (train.list, train.required, train.reuses) == (True, True, None)
        assert (validation.list, validation.required, validation.reuses) == (True, True, "train")
        assert {name: (part.path, part.kind) for name, part in validation.parts.items()} == {
            "image_dir": ("images.tar.gz", "folder"),
            "json_file": ("annotations.json", "file"),
        }
    assert not source(dino, "evaluate", "dataset.test_data_sources").list
    assert source(dino, "inference", "dataset.infer_data_sources").parts["image_dir"].list
    calibration = source(dino, "gen_trt_engine", "gen_trt_engine.tensorrt.calibration.cal_image_dir")
    assert calibration.value is not None
    assert calibration.value.list
    metric = dino.metric
    assert (metric.key, metric.direction, metric.text) == ("val_mAP50", "maximize", True)
    assert "kpi" in metric.refused
    assert dino.inputs[0].at_least == "max_category_id + 1"
    assert {
        *("model.backbone", "model.num_queries", "model.dropout_ratio", "dataset.num_classes"),
        *("model.enc_layers", "model.dec_layers"),
    } <= set(dino.automl.carried)
    assert {base.key: base.part for base in dino.base} == {
        "model.pretrained_backbone_path": "backbone",
        "train.pretrained_model_path": "model",
    }
    hardware = dino.hardware
    assert (hardware.gpus, hardware.recommended_gpus, hardware.memory_gb) == (1, 4, 24)


def test_dinos_small_profile_goes_together() -> None:
    profile = catalog.entry("dino").profile
    assert profile is not None
    assert profile.settings == {
        "dataset.num_classes": profile.classes + 1,
        "train.num_epochs": 10,
        "train.checkpoint_interval": 10,
        "train.validation_interval": 1,
        "train.num_gpus": 1,
    }
    assert profile.recommendations == 10
    assert all(catalog.entry(name).profile is None for name in catalog.names() if name != "dino")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", "memory"),
        ("RuntimeError: selected index k out of range", "num_select"),
        ("omegaconf.errors.ConfigKeyError: Key 'trian' not in 'ExperimentConfig'", "dataclasses"),
        ("`Trainer.fit` stopped: No training batches.", "fewer images"),
        (
            "ValueError: num_feature_levels: 4 does not match the size of return_interm_indices: [1]",
            "num_feature",
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/data/images/1.jpg'", "not in image_dir"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/data/annotations.json'",
            "annotation file",
        ),
        ("RuntimeError: CUDA error: device-side assert triggered", "category id"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 's3://b/annotations.json'", "S3"),
        (
            "FileNotFoundError: No such file or directory: '/results/dino_model_latest.pth'",
            "root of the parent",
        ),
    ],
)
def test_the_first_pattern_that_fits_a_line_of_dinos_log_is_the_right_one(line: str, cause: str) -> None:
    errors = catalog.entry("dino").errors
    assert cause in next(error.cause for error in errors if re.search(error.pattern, line))


def test_mal_has_what_the_facts_say() -> None:
    mal = catalog.entry("mal")
    assert tuple(mal.actions) == ("train", "evaluate", "inference")
    for key in ("dataset.val_img_dir", "dataset.val_ann_path"):
        assert source(mal, "train", key).reuses == "train"
    assert mal.actions["inference"].rules["inference.label_dump_path"] == "create_inference_result_file_mal"
    assert (mal.metric.key, mal.metric.text) == ("mIoU", False)
    assert {value for refused in mal.refused for value in refused.values} == {
        *("vit-deit-tiny/16", "vit-mae-huge/14"),
    }
    assert {rewrite.old: rewrite.new for rewrite in mal.rewrites} == {
        "model.crop_size": "dataset.crop_size",
        "model.load_mask": "dataset.load_mask",
    }
    assert {overlay.key for overlay in mal.automl.overlay} == {"train.lr", "train.wd"}
    assert mal.automl.refused[0].values == (False,)
    assert mal.launch.strategy == "ddp_find_unused_parameters_true"
    assert not mal.launch.choices
    assert any("multiplied" in note for note in mal.launch.notes)
