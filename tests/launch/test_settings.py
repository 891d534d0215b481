"""Settings of a spec against the schema of a release."""

from __future__ import annotations

import json
from typing import Any

import pytest

from porter.errors import SettingError, UsageError
from porter.launch import catalog
from porter.launch.settings import Fields, read
from porter.records.skills import Difference
from tests.launch.fields import DINO, MAL, dino_answer, mal_answer, schema_of

DINO_FIELDS, MAL_FIELDS = Fields(dino_answer()), Fields(mal_answer())


def dino(*pairs: str) -> dict[str, Any]:
    return read(pairs, catalog.entry("dino"), DINO_FIELDS).values


@pytest.mark.parametrize(
    ("pair", "key", "value"),
    [
        ("train.num_epochs=5", "train.num_epochs", 5),
        ("epochs=5", "train.num_epochs", 5),
        ("lr=1e-4", "train.optim.lr", 1e-4),
        ("lr=1", "train.optim.lr", 1.0),
        ("model.aux_loss=FALSE", "model.aux_loss", False),
        ("lr_steps=[3, 4]", "train.optim.lr_steps", [3, 4]),
        ("model.backbone=fan_tiny", "model.backbone", "fan_tiny"),
        ("export.input_channel=1", "export.input_channel", 1),
        ("results_dir=a=b", "results_dir", "a=b"),
        ("results_dir=5", "results_dir", "5"),
        ("quantize.backend_kwargs={a: 1}", "quantize.backend_kwargs", {"a": 1}),
        ("dataset.val_data_sources=null", "dataset.val_data_sources", None),
    ],
)
def test_values_have_the_type_of_their_field(pair: str, key: str, value: Any) -> None:
    values = dino(pair)
    assert values == {key: value}
    assert type(values[key]) is type(value)


def test_numbers_of_a_mixed_list_may_be_written_either_way() -> None:
    assert read(["train.margin_rate=[0, 1e-1]"], catalog.entry("mal"), MAL_FIELDS).values == {
        "train.margin_rate": [0, 0.1]
    }


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("train.num_epoch=5", "near it: train.num_epochs"),
        ("train.lr=1", "near it: train.optim.lr"),
        ("modle.backbone=fan_tiny", "near it: model.backbone"),
        ("train.optim=1", "is a section of the spec"),
        ("train.num_epochs=many", "it takes a whole number"),
        ("train.num_epochs=1.5", "it takes a whole number"),
        ("train.num_epochs=0", "it takes at least 1"),
        ("train.num_epochs=null", "it takes a whole number"),
        ("model.num_feature_levels=6", "it takes 1 to 5"),
        ("lr=fast", "it takes a number"),
        ("lr=nan", "it takes a number"),
        ("lr=-1", "it takes at least 0"),
        ("model.aux_loss=2", "it takes true or false"),
        ("lr_steps=3", "it takes a list"),
        ("lr_steps=[a]", "it takes a list"),
        ("lr_steps=[1.5]", "it takes a list"),
        ("lr_steps=[", "it takes a list"),
        ("quantize.backend_kwargs=1", "it takes fields"),
        ("model.backbone=fan_tinny", "--set model.backbone=fan_tiny"),
        ("export.input_channel=2", "it takes: 1, 3"),
    ],
)
def test_what_a_field_does_not_take_is_refused(pair: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        dino(pair)
    assert said in str(caught.value)
    assert caught.value.next_step


def test_a_pair_needs_both_halves() -> None:
    for pair in ("train.num_epochs", "=5"):
        with pytest.raises(UsageError, match="expected key=value"):
            dino(pair)


def test_two_values_for_one_key_are_refused_and_two_equal_ones_are_not() -> None:
    assert dino("epochs=5", "train.num_epochs=5") == {"train.num_epochs": 5}
    with pytest.raises(UsageError, match="two values"):
        dino("epochs=5", "train.num_epochs=6")


def test_a_secret_in_a_uri_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingError) as caught:
        dino("train.pretrained_model_path=s3://me:hunter2@bucket/x.pth")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "said"),
    [("vit-deit-tiny/16", "raises ValueError"), ("vit-mae-huge/14", "no heads of its width")],
)
def test_what_mal_cannot_build_is_refused_with_the_reason(arch: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        read([f"model.arch={arch}"], catalog.entry("mal"), MAL_FIELDS)


def test_older_keys_are_rewritten_with_a_warning() -> None:
    settings = read(["model.crop_size=384", "model.load_mask=false"], catalog.entry("mal"), MAL_FIELDS)
    assert settings.values == {"dataset.crop_size": 384, "dataset.load_mask": False}
    assert [warning.split(":")[0] for warning in settings.warnings] == [
        "model.crop_size is taken for dataset.crop_size",
        "model.load_mask is taken for dataset.load_mask",
    ]


def test_an_older_key_is_held_against_the_new_field() -> None:
    with pytest.raises(SettingError, match="at least 256"):
        read(["model.crop_size=128"], catalog.entry("mal"), MAL_FIELDS)


def test_the_default_is_that_of_an_empty_spec() -> None:
    assert MAL_FIELDS.default("train.batch_size") == 3
    assert not MAL_FIELDS.is_default("train.batch_size", 1)
    assert MAL_FIELDS.is_default("train.batch_size", 3)
    assert DINO_FIELDS.default("dataset.train_data_sources") is None
    assert DINO_FIELDS.is_default("results_dir", None)


def test_a_text_that_means_true_is_true() -> None:
    answer = schema_of(MAL, (Difference(key="dataset.load_mask", value="TRUE", default_value=True),))
    assert Fields(answer).is_default("dataset.load_mask", True)
    assert not Fields(answer).is_default("dataset.load_mask", False)


def test_true_is_not_one() -> None:
    assert not DINO_FIELDS.is_default("train.num_gpus", True)


def test_fields_of_an_optional_section_are_known() -> None:
    section = {"type": "collection", "properties": {"mode": {"type": "int", "default": 1}}}
    answer = schema_of(
        DINO | {"distill": {"type": "collection"}},
        filled={"distill": json.dumps({"properties": {"distill": section}})},
    )
    fields = Fields(
        type(answer)(schema=answer.schema, filled=answer.filled, keys=(*answer.keys, "distill.mode"))
    )
    assert read(["distill.mode=2"], catalog.entry("dino"), fields).values == {"distill.mode": 2}
