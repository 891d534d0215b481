"""What porter knows of a Hugging Face model type: ``references/models/<model_type>.toml``.

Most values are formulas (see :mod:`porter.reference.formulas`) over the fields of the model's config, the
``[values]`` of the file, ``architecture`` and ``image_size``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from porter.records.base import Record, Task
from porter.records.inspection import Inspection
from porter.records.reference import Pooling
from porter.reference.formulas import FormulaError, evaluate
from porter.resources import tree

_MODEL_TYPE = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Condition(Record, frozen=True, kw_only=True):
    """What must hold of the config.

    Attributes:
        holds: formula.
        field: the field that the reason is about.
    """

    holds: str
    field: str
    reason: str


class Adjustment(Record, frozen=True, kw_only=True):
    """An argument that is passed where the model differs from what an entry or the class makes.

    Attributes:
        argument: argument of the class.
        value: formula.
        neutral: formula that is true where the class's own default is the model's value.
        difference: sentence for the report; names in braces are filled in.
    """

    argument: str
    value: str
    neutral: str
    difference: str


class Fix(Record, frozen=True, kw_only=True):
    """Attributes that are set on modules of the finished backbone.

    Attributes:
        modules: formula for a list of paths; none: nothing is set.
        attribute, value: what is set, to what (a formula).
        comment: sentence for the generated code; difference: one for the report. Names in braces are
            filled in.
    """

    modules: str
    attribute: str
    value: str
    comment: str
    difference: str


class TrainingOnly(Record, frozen=True, kw_only=True):
    """A config field that changes training but no inference."""

    field: str
    neutral: Any
    difference: str


class Native(Record, frozen=True, kw_only=True):
    """What a backbone must be to compute what the Hugging Face model computes.

    Attributes:
        remap: name of the remap rules.
        target: the backbone's class.
        facts: formula by argument of the class, for what makes the architecture.
        defaults: what the class takes for an argument that an entry leaves out.
        positional: names of the arguments that entries pass by position.
        inert: arguments that an entry may pass as it likes: they change no number in evaluation.
        image_argument: the argument that takes the image size; empty where the class fits every size.
        own_size: image size of an entry that passes none.
        position_embedding: whether ``pos_embed`` has the class token first and then a square grid.
        head: path of the head; features: formula for the width of what it is given.
        widths: formula for the channels of the feature maps that a decoder is given; empty for none.
        layers: formula for the numbers of the blocks whose outputs a decoder is given; empty for none.
        sizes: by the name that the network itself has for them, what ``facts``, ``features`` and ``widths``
            come to; of an architecture that is the network's own.
        pooling: what the head is given, where that is not what the class gives it.
        batch_norms: whether there are any.
    """

    remap: str
    target: str
    facts: dict[str, str]
    defaults: dict[str, Any]
    conditions: tuple[Condition, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    fixes: tuple[Fix, ...] = ()
    training_only: tuple[TrainingOnly, ...] = ()
    positional: tuple[str, ...] = ()
    inert: tuple[str, ...] = ()
    image_argument: str = ""
    own_size: int = 224
    position_embedding: bool = False
    head: str
    features: str
    widths: str = ""
    layers: str = ""
    sizes: dict[str, dict[str, Any]] = {}
    pooling: Pooling | None = None
    batch_norms: bool = False


class ModelFacts(Record, frozen=True, kw_only=True):
    """One model type.

    Attributes:
        config: what transformers takes where config.json is silent.
        values: formulas, each of which may use those before it.
    """

    model_type: str
    config: dict[str, Any]
    values: dict[str, str] = {}
    native: Native


@functools.cache
def model_facts(model_type: str, task: Task = "image-classification") -> ModelFacts | None:
    """Return what porter knows of a Hugging Face model type for *task*; None where it knows nothing.

    Those of another task than image classification lie in a file that has it in its name.
    """
    stem = model_type if task == "image-classification" else f"{model_type}.{task}"
    path = tree("references") / "models" / f"{stem}.toml"
    if not _MODEL_TYPE.fullmatch(model_type) or not path.is_file():
        return None
    return msgspec.toml.decode(path.read_bytes(), type=ModelFacts)


def config_of(facts: ModelFacts, inspection: Inspection) -> dict[str, Any]:
    """Return the names that the formulas of *facts* may use; square pairs become one number.

    A value that cannot be computed is left out: what needs it cannot be computed either.
    """
    config = _merged(facts.config, inspection.config)
    if inspection.image_size is not None:
        config["image_size"] = list(inspection.image_size)
    config["architecture"] = inspection.architecture
    names = {key: single(value) for key, value in config.items()}
    for name, formula in facts.values.items():
        found = computed(formula, names)
        if found is not None:
            names[name] = found
    return names


def _merged(defaults: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return *config* over *defaults*; the config of a part over that part's defaults."""
    merged = dict(defaults)
    for key, value in config.items():
        below = defaults.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merged(below, value)
        elif value is not None:
            merged[key] = value
    return merged


def computed(formula: str, names: Mapping[str, Any]) -> Any:
    """Return the value of *formula*; None where it has none."""
    try:
        return evaluate(formula, names)
    except FormulaError:
        return None


def single(value: Any) -> Any:
    """Return the number of a pair of twice the same number; anything else as it is."""
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
        return value[0]
    return value
