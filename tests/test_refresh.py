"""The committed facts about transformers, and how they are read out of wheels."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from porter import refresh, tasks
from porter.resources import tree

OLD_CONFIGS = """
from collections import OrderedDict
CONFIG_MAPPING_NAMES = OrderedDict([("vit", "ViTConfig"), ("gone-type", "GoneConfig")])
"""
OLD_MODELS = """
MODEL_MAPPING_NAMES = OrderedDict([("vit", "ViTModel"), ("funnel", ("FunnelModel", "FunnelBaseModel"))])
MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES = OrderedDict(
    [("vit", "ViTForImageClassification"), ("gone-type", ("GoneFor", "GoneForWithTeacher"))]
)
"""
VIT = """
class ViTConfig(PretrainedConfig):
    model_type = "vit"
    def __init__(self, hidden_size=768, image_size=224, num_channels=3, names=None, **kwargs):
        pass
"""
NEW_MAPPINGS = """
CONFIG_MAPPING_NAMES: OrderedDict[str, str] = OrderedDict[str, str]([("vit", "ViTConfig")])
"""
NEW_CONFIGS = """
from .auto_mappings import CONFIG_MAPPING_NAMES
CONFIG_MAPPING_NAMES.update({"added": "AddedConfig"})
CONFIG_MAPPING_NAMES = OrderedDict(**{"first": "FirstConfig"}, **CONFIG_MAPPING_NAMES)
"""
NEW_MODELS = """
MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES = OrderedDict([("vit", "ViTForImageClassification")])
MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES = OrderedDict([*list(OTHER.items()), ("added", "AddedForGeneration")])
"""


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Two releases of a small library; the second keeps its configs where release 5 does."""
    auto = "transformers/models/auto/"
    for version, files in {
        refresh.DEFAULTS_VERSION: {
            f"{auto}configuration_auto.py": OLD_CONFIGS,
            f"{auto}modeling_auto.py": OLD_MODELS,
            "transformers/models/vit/configuration_vit.py": VIT,
        },
        "5.0.0": {
            f"{auto}configuration_auto.py": NEW_CONFIGS,
            f"{auto}auto_mappings.py": NEW_MAPPINGS,
            f"{auto}modeling_auto.py": NEW_MODELS,
        },
    }.items():
        with zipfile.ZipFile(tmp_path / f"transformers-{version}-py3-none-any.whl", "w") as wheel:
            for name, text in files.items():
                wheel.writestr(name, text)
    return tmp_path


def test_facts_are_read_without_importing_anything(wheels: Path) -> None:
    facts = refresh.model_types(wheels, (refresh.DEFAULTS_VERSION, "5.0.0"))
    assert facts["model_types"] == {
        "added": {"since": "5.0.0"},
        "first": {"since": "5.0.0"},
        "gone-type": {"until": "4.57.6"},
        "vit": {},
    }
    assert facts["architectures"] == {
        "AddedForGeneration": {"heads": ["MULTIMODAL_LM"], "model_types": ["added"], "since": "5.0.0"},
        "FunnelBaseModel": {"heads": ["MODEL"], "model_types": ["funnel"], "until": "4.57.6"},
        "FunnelModel": {"heads": ["MODEL"], "model_types": ["funnel"], "until": "4.57.6"},
        "GoneFor": {"heads": ["IMAGE_CLASSIFICATION"], "model_types": ["gone-type"], "until": "4.57.6"},
        "GoneForWithTeacher": {
            "heads": ["IMAGE_CLASSIFICATION"],
            "model_types": ["gone-type"],
            "until": "4.57.6",
        },
        "ViTForImageClassification": {"heads": ["IMAGE_CLASSIFICATION"], "model_types": ["vit"]},
        "ViTModel": {"heads": ["MODEL"], "model_types": ["vit"], "until": "4.57.6"},
    }
    assert facts["inputs"] == {"vit": {"image_size": 224, "num_channels": 3}}
    assert json.loads(refresh.compact(facts)) == facts


def test_committed_facts_are_as_the_tool_writes_them() -> None:
    path = tree("references") / "model_types.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert refresh.compact(facts) == path.read_text(encoding="utf-8")
    assert tuple(facts["versions"]) == refresh.VERSIONS
    path = tree("references") / "processor_defaults.json"
    assert refresh.compact(json.loads(path.read_text(encoding="utf-8"))) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "version", "known"),
    [
        ("vit", "4.30.0", True),
        ("vit", "4.57.6", True),
        ("ijepa", "4.44.2", False),
        ("ijepa", "4.57.6", True),
        ("van", "4.57.6", True),
        ("van", "4.57.99", True),
        ("van", "5.0.0", False),
        ("van", "5.99.0", False),
    ],
)
def test_which_release_knows_a_type(name: str, version: str, known: bool) -> None:
    assert tasks.knows(tasks.releases().model_types[name], version) is known


def test_every_head_that_transformers_has_is_judged_or_says_nothing() -> None:
    silent = {"MODEL", "PRETRAINING", "MODEL_WITH_LM_HEAD", "IMAGE", "BACKBONE"}
    judged = {head for entry in tasks.table().task for head in entry.heads}
    judged |= {head for entry in tasks.table().rejected for head in entry.heads}
    assert {
        head for known in tasks.releases().architectures.values() for head in known.heads
    } <= judged | silent


def test_every_image_classifier_of_transformers_is_taken_for_one() -> None:
    for name, known in tasks.releases().architectures.items():
        if "IMAGE_CLASSIFICATION" in known.heads and "shieldgemma2" not in known.model_types:
            verdict = tasks.by_architecture(name, known.model_types[0])
            assert verdict.tasks == ("image-classification",), name
