"""The probe that has TAO's converter make a schema, on small packages of the test's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from porter.probes import make_schema
from porter.records.base import from_json, to_json
from porter.records.skills import SchemaAnswer
from porter.weights.kernel.serve import ProbeError

# Its answers have the form of the real one's; the real one is in tests/launch/test_real.py.
CONVERTER = """
import dataclasses

def dataclass_to_json(instance):
    return None if hasattr(instance, "broken") else instance

def create_json_schema(instance):
    properties, default = {}, {}
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value):
            properties[field.name] = create_json_schema(value)
        else:
            properties[field.name] = {"default": field.metadata.get("default_value", value)}
        default[field.name] = properties[field.name]["default"]
    return {"type": "object", "properties": properties, "default": default}
"""

CONFIG = """
from dataclasses import dataclass, field
from typing import Any, Optional

def said(value, default):
    return field(default=value, metadata={"default_value": default})

@dataclass
class Teacher:
    depth: int = 3

@dataclass
class Distill:
    teacher: Teacher = field(default_factory=Teacher)
    bound: float = float("inf")

@dataclass
class Train:
    batch_size: int = said(3, 1)
    lr: float = said(1e-6, 1e-6)
    path: Optional[str] = said(None, "")
    padded: bool = said("TRUE", True)

@dataclass
class ExperimentConfig:
    train: Train = field(default_factory=Train)
    distill: Optional[Distill] = None
    sources: Any = said(None, [{"image_dir": ""}])

@dataclass
class Broken:
    broken: int = 1

class Plain:
    pass
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A converter and a config package, importable for the test alone."""
    folder = tmp_path / "nvidia_tao_core" / "api_utils"
    folder.mkdir(parents=True)
    (folder / "dataclass2json_converter.py").write_text(CONVERTER)
    (tmp_path / "toy_config.py").write_text(CONFIG)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def imported() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] in ("nvidia_tao_core", "toy_config")]


def ask(name: str = "ExperimentConfig") -> dict[str, Any]:
    try:
        return make_schema.run({"config": f"toy_config:{name}"})
    finally:
        for module in [
            item for item in sys.modules if item.split(".")[0] in ("nvidia_tao_core", "toy_config")
        ]:
            del sys.modules[module]


def test_the_answer_fits_its_record(packages: Path) -> None:
    assert from_json(to_json(ask()), SchemaAnswer).keys


def test_keys_have_sections_and_those_that_are_none(packages: Path) -> None:
    assert ask()["keys"] == [
        *("distill", "distill.bound", "distill.teacher", "distill.teacher.depth"),
        *("sources", "train", "train.batch_size", "train.lr", "train.padded", "train.path"),
    ]


def test_differences_are_those_that_change_a_run(packages: Path) -> None:
    assert ask()["differences"] == [
        {"key": "train.batch_size", "value": 3, "default_value": 1},
        {"key": "sources", "value": None, "default_value": [{"image_dir": ""}]},
    ]


def test_an_optional_section_is_filled_in_a_schema_of_its_own(packages: Path) -> None:
    answer = ask()
    assert json.loads(answer["schema"])["default"]["distill"] is None
    assert json.loads(answer["filled"]["distill"])["default"]["distill"]["bound"] == float("inf")


def test_what_cannot_be_imported_says_why(packages: Path) -> None:
    with pytest.raises(ProbeError) as error:
        make_schema.run({"config": "nowhere.default_config:ExperimentConfig"})
    assert "ModuleNotFoundError" in error.value.answer["error"]["why"]


@pytest.mark.parametrize("name", ["Nothing", "Plain"])
def test_what_is_no_dataclass_is_refused(packages: Path, name: str) -> None:
    with pytest.raises(ProbeError, match=f"no dataclass {name}"):
        ask(name)


def test_a_converter_that_gives_up_is_an_error(packages: Path) -> None:
    with pytest.raises(ProbeError, match="could not read the dataclass"):
        ask("Broken")
