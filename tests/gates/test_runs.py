"""The gates of phase 3 fail on what they are there to catch."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from porter.gates.runs import _arguments_gate, _module_gate, _script_gate
from porter.generate.context import ClassificationContext
from porter.records.reference import Reference
from porter.records.runs import ModuleFacts, ScriptOutcome, TaskArguments
from tests.generate.test_render import context, inspection

FACTS = ModuleFacts(
    model_class="timm.VisionTransformer",
    built_class="timm.VisionTransformer",
    hooks={"_build_model": "nvidia_tao_pytorch.cv.vit_demo.model.classifier_pl_model.VitDemoPlModel"},
    checkpoint_filename="vit_demo_model",
    parameters=3,
    trainable=3,
    in_no_group=(),
    in_two_groups=(),
    frozen_in_group=(),
    trainable_when_frozen=("head.bias", "head.weight"),
    head=("head.bias", "head.weight"),
    trainer={"devices": "[0, 1]", "accelerator": "'gpu'"},
    reference_trainer={"devices": "[0, 1]", "accelerator": "'gpu'"},
    tasks={"evaluate": TaskArguments(trainer={"devices": "[0, 1]"}, expected={"devices": "[0, 1]"})},
)
TRAINED = ScriptOutcome(
    mode="train",
    ok=True,
    error="",
    seconds=1.0,
    status="RUNNING",
    message="Train finished successfully.",
    kpi={"train_loss": 0.5},
    files={"vit_demo_model_latest.pth": 9, "status.json": 9},
    logs=("version_1",),
)


NEEDED = ("vit_demo_model_latest.pth", "status.json")


@pytest.fixture
def values(reference: Reference) -> ClassificationContext:
    return context(reference, inspection())


def changed(record: Any, changes: dict[str, Any]) -> Any:
    return msgspec.structs.replace(record, **changes)


def test_what_is_right_passes(reference: Reference, values: ClassificationContext, tmp_path: Any) -> None:
    assert _module_gate(reference, FACTS, values).state == "passed"
    assert _arguments_gate(FACTS).state == "passed"
    assert _script_gate(TRAINED, NEEDED, tmp_path, {}).state == "passed"


def test_a_reference_whose_own_script_fails_proves_nothing_of_train() -> None:
    broken = changed(
        FACTS, {"reference_trainer": {}, "reference_error": "Key 'sync_batchnorm' not in 'SFTrainExpConfig'"}
    )
    gate = _arguments_gate(broken)
    assert (gate.state, "sync_batchnorm" in gate.summary) == ("blocked", True)
    other = {"evaluate": TaskArguments(trainer={"devices": "[0]"}, expected={"devices": "[0, 1]"})}
    assert _arguments_gate(changed(broken, {"tasks": other})).state == "failed"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_class": "other.Model"}, "not the generated"),
        ({"hooks": {"_build_model": "reference.ClassifierPlModel"}}, "not the generated class's"),
        ({"checkpoint_filename": "classifier_model"}, "checkpoint_filename"),
        ({"in_no_group": ("blocks.0",)}, "in no optimizer group"),
        ({"in_two_groups": ("blocks.0",)}, "in two optimizer groups"),
        ({"frozen_in_group": ("blocks.0",)}, "frozen, yet"),
        ({"trainable_when_frozen": ()}, "nothing trains"),
        ({"trainable_when_frozen": ("blocks.0", "head.bias", "head.weight")}, "not the head alone"),
    ],
)
def test_the_module_gate_fails(
    reference: Reference, values: ClassificationContext, changes: dict[str, Any], said: str
) -> None:
    gate = _module_gate(reference, changed(FACTS, changes), values)
    assert gate.state == "failed"
    assert said in gate.summary


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer": {"devices": "1", "accelerator": "'cpu'"}},
        {"trainer": {"devices": "[0, 1]"}},
        {"tasks": {"evaluate": TaskArguments(trainer={"devices": "1"}, expected={"devices": "[0, 1]"})}},
    ],
)
def test_other_trainer_arguments_fail(changes: dict[str, Any]) -> None:
    assert _arguments_gate(changed(FACTS, changes)).state == "failed"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ok": False, "error": "Traceback\nKeyError: 'BACKBONE'"}, "KeyError"),
        ({"files": {"status.json": 9}}, "left no vit_demo_model_latest.pth"),
        ({"files": {"vit_demo_model_latest.pth": 0, "status.json": 9}}, "left no"),
        ({"message": "Resuming training"}, "status.json ends with"),
        ({"logs": ()}, "TensorBoard"),
        ({"kpi": {"train_loss": "nan"}}, "is no number"),
    ],
)
def test_the_script_gate_fails(tmp_path: Any, changes: dict[str, Any], said: str) -> None:
    gate = _script_gate(changed(TRAINED, changes), NEEDED, tmp_path, {})
    assert gate.state == "failed"
    assert said in gate.summary


def test_a_loss_that_is_nan_has_its_cause(tmp_path: Any) -> None:
    gate = _script_gate(changed(TRAINED, {"kpi": {"train_loss": "nan"}}), NEEDED, tmp_path, {})
    assert gate.cause == "The loss became NaN."
