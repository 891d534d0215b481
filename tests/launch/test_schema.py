"""The schema of one action, from what the converter makes of a whole dataclass."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from porter.errors import PorterError
from porter.launch.schema import action_schema
from tests.launch.answers import SCHEMA, SOURCE, TOY, answer, toy


def test_an_action_has_its_own_sections_and_the_shared_ones(tmp_path: Path) -> None:
    made = action_schema(answer(), toy(tmp_path), "evaluate", SOURCE)
    assert list(made["properties"]) == ["results_dir", "model", "train", "evaluate"]
    assert list(made["default"]) == ["results_dir", "model", "train", "evaluate"]
    assert made["required"] == ["train"]
    assert list(made["popular"]) == ["evaluate", "train"]
    trained = action_schema(answer(), toy(tmp_path), "train", SOURCE)
    assert "evaluate" not in trained["properties"]
    assert trained["automl_disabled_parameters"] == ["model"]


def test_lists_are_sorted_and_defaults_are_left_alone(tmp_path: Path) -> None:
    schema = copy.deepcopy(SCHEMA)
    schema["default"]["train"]["required"] = ["b", "a"]
    made = action_schema(answer(schema), toy(tmp_path), "train", SOURCE)
    assert made["automl_default_parameters"] == ["model.arch", "model.z", "train.lr"]
    assert made["properties"]["model"]["automl_disabled_parameters"] == ["model.a", "model.b"]
    assert made["properties"]["train"]["popular"] == ["epochs", "lr"]
    assert list(made["popular"]["train"]) == ["epochs", "lr"]
    assert made["default"]["train"]["required"] == ["b", "a"]


def shuffled(value: Any, chance: random.Random) -> Any:
    """Return the schema as another run of the converter might give it: sets have another order."""
    if isinstance(value, dict):
        lists = ("automl_default_parameters", "automl_disabled_parameters", "popular", "required")
        return {
            name: chance.sample(item, len(item))
            if name in lists and isinstance(item, list)
            else shuffled(item, chance)
            for name, item in value.items()
        }
    return value


def test_the_order_of_sets_does_not_show(tmp_path: Path) -> None:
    entry = toy(tmp_path)
    texts = {
        json.dumps(action_schema(answer(shuffled(SCHEMA, random.Random(seed))), entry, "train", SOURCE))
        for seed in range(8)
    }
    assert len(texts) == 1


def test_the_catalog_sets_ranges_and_takes_values_out(tmp_path: Path) -> None:
    made = action_schema(answer(), toy(tmp_path), "train", SOURCE)
    rate = made["properties"]["train"]["properties"]["lr"]
    assert (rate["minimum"], rate["maximum"], rate["automl_enabled"]) == (1e-7, 1e-5, True)
    assert "train.lr" not in made["automl_disabled_parameters"]
    arch = made["properties"]["model"]["properties"]["arch"]
    assert (arch["enum"], arch["option_weights"]) == (["tiny", "base"], [1, 2])


def test_an_optional_section_is_there_for_its_own_action(tmp_path: Path) -> None:
    filled = copy.deepcopy(SCHEMA)
    filled["properties"]["evaluate"]["properties"]["extra"] = {"type": "int"}
    asked = answer()
    asked = type(asked)(schema=asked.schema, filled={"evaluate": json.dumps(filled)})
    made = action_schema(asked, toy(tmp_path), "evaluate", SOURCE)
    assert "extra" in made["properties"]["evaluate"]["properties"]


def test_a_field_that_the_release_lacks_is_named(tmp_path: Path) -> None:
    entry = toy(tmp_path, TOY.replace('key = "train.lr"', 'key = "train.wd"'))
    with pytest.raises(PorterError, match=r"no field train\.wd"):
        action_schema(answer(), entry, "train", SOURCE)


def test_the_schema_says_where_it_comes_from(tmp_path: Path) -> None:
    made = action_schema(answer(), toy(tmp_path), "train", SOURCE)
    assert made["x_tao_schema"] == {
        "schema_version": 1,
        "model": "tao-train-toy",
        "network_arch": "toy",
        "action": "train",
        "schema_action": "train",
        "core_module": "tao.config.toy.default_config",
        "source": "tao-pytorch 7.0.1 c0ffee",
    }
