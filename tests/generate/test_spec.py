"""``--set`` changes defaults of the shipped spec, and only those that are free to choose."""

from __future__ import annotations

import pytest
import yaml

from porter.errors import UsageError
from porter.generate.schema import Override, Schema, build_schema
from porter.generate.spec import apply_settings, read_settings
from porter.records.reference import Reference


@pytest.fixture(scope="module")
def schema(reference: Reference) -> Schema:
    options = ("fp16", "bf16", "fp32")
    return build_schema(
        reference.config,
        reference.schema_plan,
        {"TrainConfig.precision": Override(value="fp32", options=options)},
    )


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("train.num_epochs", "5", 5),
        ("train.optim.lr", "1e-4", 1e-4),
        ("train.optim.lr", "1", 1),
        ("train.precision", "bf16", "bf16"),
        ("dataset.augmentation.random_flip.enable", "false", False),
        ("train.gpu_ids", "[0, 1]", [0, 1]),
        ("train.resume_training_checkpoint_path", "null", None),
        ("results_dir", "/results", "/results"),
        ("dataset.num_classes", "3", 3),
        ("gen_trt_engine.tensorrt.max_batch_size", "4", 4),
    ],
)
def test_values_have_the_types_of_the_schema(
    reference: Reference, schema: Schema, key: str, text: str, value: object
) -> None:
    assert read_settings({key: text}, reference, schema) == {key: value}


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("train.epochs", "5", "train has no field 'epochs'"),
        ("trian.num_epochs", "5", "has no field 'trian'"),
        ("train.num_epochs.x", "5", "has no field 'x'"),
        ("train.optim", "{}", "names a section"),
        ("train.num_epochs", "many", "not of the field's type"),
        ("train.num_epochs", "true", "not of the field's type"),
        ("train.num_epochs", "2.5", "not of the field's type"),
        ("train.precision", "int4", "not one of fp16, bf16, fp32"),
        ("train.num_epochs", "[1", "not YAML"),
        ("export.input_width", "64", "follows from the model's image processor"),
    ],
)
def test_what_does_not_fit_is_refused(
    reference: Reference, schema: Schema, key: str, text: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        read_settings({key: text}, reference, schema)


SPEC = """\
# a comment
train:
  num_epochs: 25  # why
  gpu_ids: [0]
  optim:
    lr: 0.00005
results_dir: ???
"""


def test_comments_and_order_stay() -> None:
    text = apply_settings(SPEC, {"train.num_epochs": 5})
    assert [line.split() for line in text.splitlines()] == [
        line.split() for line in SPEC.replace("25", "5").splitlines()
    ]


def test_a_new_key_joins_its_section() -> None:
    loaded = yaml.safe_load(apply_settings(SPEC, {"train.optim.momentum": 0.5, "wandb.enable": False}))
    assert loaded["train"]["optim"] == {"lr": 0.00005, "momentum": 0.5}
    assert loaded["wandb"] == {"enable": False}


def test_no_settings_change_nothing() -> None:
    assert apply_settings(SPEC, {}) is SPEC
