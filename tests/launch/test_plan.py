"""The plan of a training, from records alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from porter.errors import DataError, SettingError, UsageError
from porter.launch import catalog
from porter.launch.plan import chosen_format, plan, with_profile
from porter.records.catalog import Origin
from porter.records.skills import SchemaAnswer
from porter.records.training import DataFacts, Mount, SearchOptions, Staged, TrainOptions, TrainPlan
from tests.launch.answers import SOURCE
from tests.launch.fields import CLASSIFIER, DINO, MAL, dino_answer, mal_answer, schema_of

TRAIN = DataFacts(
    uri="/home/me/train", kind="coco", images=40, annotations=60, categories=4, max_category_id=4
)
OTHER = DataFacts(uri="/home/me/val", kind="coco", images=9, annotations=9, categories=4, max_category_id=6)
REMOTE = DataFacts(uri="s3://bucket/train", kind="remote")
ANSWERS = {
    "dino": dino_answer(),
    "mal": mal_answer(),
    "classification_pyt": schema_of(CLASSIFIER),
}
IMAGE = "nvcr.io/nvidia/tao/tao-toolkit:7.1.0-pyt"


def planned(
    model: str,
    *settings: str,
    facts: Mapping[Origin, DataFacts] | None = None,
    answer: SchemaAnswer | None = None,
    present: tuple[str, ...] = (),
    **options: Any,
) -> TrainPlan:
    asked = TrainOptions(**{"train": "x", "image": IMAGE, "settings": settings} | options)
    data: Mapping[Origin, DataFacts] = {"train": TRAIN} if facts is None else facts
    found = catalog.entry(model)
    return plan(found, answer or ANSWERS[model], SOURCE, asked, data, present)


def dino(*settings: str, **options: Any) -> TrainPlan:
    return planned("dino", "num_classes=9", *settings, **options)


def test_the_spec_of_dino_has_only_what_differs() -> None:
    made = dino(facts={"train": TRAIN, "eval": OTHER})
    assert made.spec == {
        "dataset": {
            "train_data_sources": [
                {"image_dir": "/data/train/images", "json_file": "/data/train/annotations.json"}
            ],
            "val_data_sources": [
                {"image_dir": "/data/eval/images", "json_file": "/data/eval/annotations.json"}
            ],
            "num_classes": 9,
        },
        "results_dir": "/results",
        "model": {"pretrained_backbone_path": "/staged/weights/pretrained_dino_nvimagenet_resnet50"},
    }
    assert made.command == "dino train -e {config_path}"
    assert made.image == IMAGE
    assert made.mounts == (
        Mount(source="/home/me/train", target="/data/train"),
        Mount(source="/home/me/val", target="/data/eval"),
    )
    assert not [line for line in made.warnings if "validation" in line]


def test_the_spec_of_mal_has_plain_keys() -> None:
    made = planned("mal", "train.batch_size=1", "lr=1e-6")
    assert made.spec == {
        "dataset": {
            "train_img_dir": "/data/train/images",
            "train_ann_path": "/data/train/annotations.json",
            "val_img_dir": "/data/train/images",
            "val_ann_path": "/data/train/annotations.json",
        },
        "results_dir": "/results",
        # A template says 1, and an empty spec 3: what was asked for has to stand there.
        "train": {"batch_size": 1},
    }


def test_a_reused_set_is_said_aloud_and_mounted_once() -> None:
    made = dino()
    assert made.spec["dataset"]["val_data_sources"] == made.spec["dataset"]["train_data_sources"]
    assert [mount.target for mount in made.mounts] == ["/data/train"]
    assert [line for line in made.warnings if "there is no validation set" in line]
    assert [line for line in dino(facts={"train": TRAIN, "eval": TRAIN}).warnings if "for validation" in line]


def test_a_set_that_cannot_be_reused_is_asked_for() -> None:
    classes = DataFacts(uri="/d", kind="classes", images=4, classes={"a": 2, "b": 2})
    with pytest.raises(UsageError, match="No validation set was given") as caught:
        planned("classification_pyt", "num_classes=2", facts={"train": classes})
    assert "--eval-data" in caught.value.next_step


def test_archives_are_staged_under_the_name_without_their_ending() -> None:
    facts = DataFacts(uri="/d", kind="coco", images=40, max_category_id=1, archives=("images.tar.gz",))
    made = dino(facts={"train": facts})
    assert made.spec["dataset"]["train_data_sources"] == [
        {"image_dir": "/staged/train/images", "json_file": "/data/train/annotations.json"}
    ]
    assert Staged(source="/d/images.tar.gz", target="/staged/train/images", unpack=True) in made.staged


def test_s3_is_staged_and_said_not_to_be_checked() -> None:
    made = dino(facts={"train": REMOTE})
    assert made.mounts == ()
    assert made.staged[:2] == (
        Staged(source="s3://bucket/train/images.tar.gz", target="/staged/train/images", unpack=True),
        Staged(source="s3://bucket/train/annotations.json", target="/staged/train/annotations.json"),
    )
    assert [note for note in made.notes if "s3://bucket/train was not checked" in note]
    assert [note for note in made.notes if "num_classes was not held against" in note]


@pytest.mark.parametrize(
    ("platform", "images", "mounts", "staged"),
    [
        ("docker", "/data/train/images", 1, 0),
        ("slurm", "/data/train/images", 1, 0),
        ("kubernetes", "/staged/train/images", 0, 2),
        ("brev", "/staged/train/images", 0, 2),
        ("virtualenv", "/home/me/train/images", 0, 0),
    ],
)
def test_each_platform_finds_local_folders_in_its_own_way(
    platform: str, images: str, mounts: int, staged: int
) -> None:
    made = dino("backbone=fan_tiny", platform=platform)
    assert made.spec["dataset"]["train_data_sources"][0]["image_dir"] == images
    assert (len(made.mounts), len(made.staged)) == (mounts, staged)
    assert made.spec["results_dir"] == ("results" if platform == "virtualenv" else "/results")
    assert bool(made.image) == (platform != "virtualenv")


def test_gpus_set_number_and_ids() -> None:
    assert dino(gpus=2).spec["train"] == {"num_gpus": 2, "gpu_ids": [0, 1]}
    assert dino("train.num_gpus=2").spec["train"] == {"num_gpus": 2, "gpu_ids": [0, 1]}
    assert dino("train.gpu_ids=[2, 3]", gpus=2).spec["train"]["gpu_ids"] == [2, 3]
    assert "train" not in dino(gpus=1).spec


def test_gpus_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="contradict"):
        dino("train.num_gpus=4", gpus=2)
    with pytest.raises(UsageError, match="do not go together"):
        dino("train.gpu_ids=[0]", gpus=2)
    with pytest.raises(UsageError, match="contradict"):
        dino("train.num_nodes=3", nodes=2, platform="slurm")


def test_nodes_set_the_variables_of_each() -> None:
    made = dino(gpus=4, nodes=2, platform="slurm")
    assert made.spec["train"]["num_nodes"] == 2
    assert [node["NODE_RANK"] for node in made.environment] == ["0", "1"]
    for node in made.environment:
        assert set(node) == {"WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "NUM_GPU_PER_NODE"}
        assert (node["WORLD_SIZE"], node["NUM_GPU_PER_NODE"]) == ("2", "4")
    assert dino().environment == ()
    with pytest.raises(UsageError, match="one node"):
        dino(nodes=2)


def test_too_few_classes_are_refused_with_the_number_that_does() -> None:
    with pytest.raises(SettingError, match="too low") as caught:
        planned("dino", "num_classes=4", facts={"train": TRAIN, "eval": OTHER})
    assert caught.value.next_step == "--set dataset.num_classes=7"
    assert "category id of the data is 6" in caught.value.why


def test_a_class_count_is_asked_for() -> None:
    with pytest.raises(UsageError, match=r"needs dataset\.num_classes") as caught:
        planned("dino")
    assert caught.value.next_step == "--set dataset.num_classes=5"


def test_classes_of_folders_are_held_against_the_count_and_each_other() -> None:
    train = DataFacts(uri="/t", kind="classes", images=4, classes={"a": 2, "b": 2})
    other = DataFacts(uri="/v", kind="classes", images=1, classes={"c": 1})
    with pytest.raises(SettingError, match="too low"):
        planned("classification_pyt", "num_classes=1", facts={"train": train, "eval": train})
    with pytest.raises(DataError, match="1 classes of /v are not in /t"):
        planned("classification_pyt", "num_classes=2", facts={"train": train, "eval": other})


def test_a_search_is_on_where_the_network_has_one() -> None:
    route = dino().search
    assert (route.on, route.metric, route.direction) == (True, "val_mAP50", "maximize")
    assert route.parameters == ("dataset.batch_size", "train.optim.lr")
    assert dino(automl="on").search.reason == "asked for"
    assert not dino(automl="off").search.on


def test_what_is_set_is_not_varied() -> None:
    made = dino("batch_size=2")
    assert made.search.parameters == ("train.optim.lr",)
    assert "not varied, as a value is set: dataset.batch_size" in made.notes
    with pytest.raises(UsageError, match="AutoML cannot run"):
        dino("batch_size=2", "lr=1e-3", automl="on")


def test_mal_is_searched_by_what_the_catalog_lays_over() -> None:
    assert planned("mal").search.parameters == ("train.lr", "train.wd")


def test_a_search_of_boxes_alone_is_refused() -> None:
    route = planned("mal", "load_mask=false").search
    assert not route.on
    assert "dataset.load_mask=false" in route.reason
    with pytest.raises(UsageError, match="AutoML cannot run on mal") as caught:
        planned("mal", "model.load_mask=false", automl="on")
    assert "mIoU is no number" in caught.value.why


def test_a_schema_that_marks_nothing_gives_a_plain_training() -> None:
    bare = schema_of(DINO, searched=set())
    assert "enabled but not runnable" in dino(answer=bare).search.reason
    with pytest.raises(UsageError, match="AutoML cannot run"):
        dino(answer=bare, automl="on")


def test_the_default_checkpoint_is_that_of_the_backbone() -> None:
    start = dino().start
    assert start is not None
    assert (start.key, start.part) == ("model.pretrained_backbone_path", "backbone")
    made = dino("backbone=fan_tiny")
    assert made.start is None
    assert [note for note in made.notes if "from scratch" in note]
    assert dino("train.resume_training_checkpoint_path=/x.pth").start is None


def test_a_checkpoint_goes_to_the_key_that_it_fits() -> None:
    made = dino(base="/home/me/weights/mine.pth")
    assert made.spec["train"]["pretrained_model_path"] == "/data/weights/mine.pth"
    assert "model" not in made.spec
    assert made.mounts[-1] == Mount(source="/home/me/weights", target="/data/weights")
    backbone = dino(base="nvidia/tao/pretrained_dino_nvimagenet:resnet50").start
    assert backbone is not None
    assert backbone.key == "model.pretrained_backbone_path"
    with pytest.raises(UsageError, match="two checkpoints"):
        dino("train.pretrained_model_path=/x.pth", base="/home/me/weights/mine.pth")


def test_a_checkpoint_that_was_set_stands_as_it_was_typed() -> None:
    made = dino("model.pretrained_backbone_path=/x.pth")
    assert made.spec["model"]["pretrained_backbone_path"] == "/x.pth"
    assert made.staged == ()
    relative = planned("mal", "train.pretrained_model_path=w/x.pth", platform="virtualenv")
    assert relative.credentials == ()


def test_a_checkpoint_of_s3_is_staged_however_it_was_given() -> None:
    for made in (
        planned("mal", "train.pretrained_model_path=s3://bucket/x.pth"),
        planned("mal", base="s3://bucket/x.pth"),
    ):
        assert made.spec["train"]["pretrained_model_path"] == "/staged/weights/x.pth"
        assert made.staged == (Staged(source="s3://bucket/x.pth", target="/staged/weights/x.pth"),)
        assert "ACCESS_KEY" in [credential.name for credential in made.credentials]


def test_s3_that_nothing_stages_is_said() -> None:
    warnings = planned("mal", "dataset.val_img_dir=s3://bucket/images").warnings
    assert [line for line in warnings if "networks read no S3" in line]


def test_credentials_are_named_with_their_presence_alone() -> None:
    made = dino(facts={"train": REMOTE}, platform="slurm", present=("NGC_API_KEY", "AWS_ACCESS_KEY_ID"))
    assert {credential.name: credential.present for credential in made.credentials} == {
        "SLURM_USER": False,
        "SLURM_HOSTNAME": False,
        "SLURM_PARTITION": False,
        "SLURM_BASE_RESULTS_DIR": False,
        "NGC_KEY": True,
        "ACCESS_KEY": True,
        "SECRET_KEY": False,
    }
    assert planned("mal", platform="virtualenv").credentials == ()
    assert planned("mal", image="example.com/tao:1").credentials == ()
    names = [credential.name for credential in planned("mal", platform="brev", image="own:1").credentials]
    assert names == ["BREV_API_TOKEN", "S3_BUCKET_NAME", "ACCESS_KEY", "SECRET_KEY"]
    config, *others = planned("mal", platform="kubernetes", image="own:1").credentials
    assert (config.name, config.required) == ("KUBECONFIG", False)
    assert [one.name for one in others if one.required] == ["S3_BUCKET_NAME", "ACCESS_KEY", "SECRET_KEY"]


def test_a_checkpoint_that_is_set_to_nothing_is_training_from_scratch() -> None:
    made = dino("model.pretrained_backbone_path=")
    assert made.start is None
    assert not [credential for credential in made.credentials if "checkpoint" in credential.purpose]
    assert dino().start is not None


def test_the_learning_rate_of_mal_is_explained() -> None:
    notes = planned("mal", "lr=2e-6", gpus=2).notes
    assert (
        "the learning rate will be 1.2e-05: train.lr 2e-06 x train.batch_size 3 x 2 GPUs of a node" in notes
    )
    assert "strategy ddp_find_unused_parameters_true" in notes


def test_hardware_strategy_and_small_data_are_said() -> None:
    made = dino("batch_size=32", "train.distributed_strategy=fsdp", gpus=2)
    assert "strategy fsdp (train.distributed_strategy: ddp, fsdp)" in made.notes
    assert "hardware: 1 GPU with 24 GB or more, 4 recommended" in made.notes
    assert [line for line in made.warnings if "fewer than one batch" in line]


def test_a_data_key_that_was_set_wins_and_is_said() -> None:
    made = dino("dataset.val_data_sources=[{image_dir: /i, json_file: /j}]")
    assert made.spec["dataset"]["val_data_sources"] == [{"image_dir": "/i", "json_file": "/j"}]
    assert "--set dataset.val_data_sources takes the place of what the dataset gives" in made.warnings


def test_a_set_that_nothing_reads_is_said() -> None:
    fields = {"dataset.segment.root_dir", "dataset.segment.num_classes", "dataset.segment.palette"}
    kinds = {"num_classes": ("int", 2), "palette": ("list", [])}
    described = {key: kinds.get(key.rpartition(".")[2], ("string", "")) for key in fields}
    answer = schema_of(
        MAL | {key: {"type": kind, "default": default} for key, (kind, default) in described.items()}
    )
    files: dict[Origin, DataFacts] = {
        "train": DataFacts(uri="/t", kind="files"),
        "eval": DataFacts(uri="/v", kind="files"),
    }
    settings = ("dataset.segment.num_classes=3", "dataset.segment.palette=[{label_id: 0}]")
    made = planned("segformer", *settings, facts=files, answer=answer)
    assert "SegFormer reads no eval set of its own: /v is not used" in made.warnings
    assert made.spec["dataset"]["segment"]["root_dir"] == "/data/train"
    assert [mount.source for mount in made.mounts] == ["/t"]
    assert [note for note in made.notes if "only that its files are there" in note]


def test_an_image_of_another_release_is_said() -> None:
    assert [note for note in dino().notes if "other releases have other keys" in note]
    assert not [note for note in dino(image="own:7.0.1").notes if "other releases" in note]


def test_settings_choose_the_data_format() -> None:
    found = catalog.entry("mask2former")
    assert chosen_format(found, {}) == found.formats[0] == "coco_panoptic"
    assert chosen_format(found, found.by_format["coco"]) == "coco"


def test_the_small_profile_is_taken_only_where_it_is_asked_for() -> None:
    found = catalog.entry("dino")
    options, profile = with_profile(found, TrainOptions(automl="on"))
    assert profile is not None
    assert options.train == profile.train
    assert options.eval == profile.eval
    facts: dict[Origin, DataFacts] = {
        "train": DataFacts(uri=options.train, kind="remote"),
        "eval": DataFacts(uri=options.eval, kind="remote"),
    }
    made = plan(found, dino_answer(), SOURCE, options, facts, (), profile)
    assert made.spec["dataset"]["num_classes"] == 5
    assert made.spec["train"] == {"checkpoint_interval": 10}
    assert made.search.recommendations == 10
    assert [note for note in made.notes if "the small profile" in note]
    assert with_profile(found, TrainOptions(automl="on", train="x"))[1] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "No training data"),
        ({"automl": "off"}, "No training data"),
        ({"automl": "on", "eval": "x"}, "No training data"),
        ({"automl": "on", "settings": ("num_classes=5",)}, "No training data"),
        ({"automl": "on", "settings": ("dataset.num_classes=5",)}, "No training data"),
        ({"automl": "on", "settings": ("epochs=2",)}, "taken whole"),
        ({"automl": "on", "gpus": 2}, "taken whole"),
        ({"automl": "on", "base": "x"}, "taken whole"),
    ],
)
def test_the_small_profile_is_never_mixed(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        with_profile(catalog.entry("dino"), TrainOptions(**options))


def test_a_network_without_a_profile_needs_data() -> None:
    with pytest.raises(UsageError, match="No training data") as caught:
        with_profile(catalog.entry("mal"), TrainOptions(automl="on"))
    assert caught.value.next_step == "--train-data URI"


def test_a_checkpoint_of_one_backbone_is_not_given_to_trials_of_others() -> None:
    made = dino(search=SearchOptions(vary=("backbone=resnet_50,fan_tiny",)))
    assert made.start is None
    assert "pretrained_backbone_path" not in made.spec.get("model", {})
    assert any("training starts from scratch" in note for note in made.notes)
    assert dino(search=SearchOptions(vary=("lr",))).start is not None
