"""The checklist on a port to the embedded kit, without tao-deploy."""

from __future__ import annotations

from typing import Any

import pytest

from porter.errors import SandboxError
from porter.gates.catalogue import GATES
from tests.gates.consistency.mutations import TRAINER, Mutation
from tests.gates.consistency.port import NAME, PREFIX, Port, not_held

pytestmark = pytest.mark.torch_env


def test_every_item_of_the_catalogue_is_decided_in_its_order(kit_port: Port) -> None:
    wanted = [gate.id for gate in GATES if gate.id.startswith(PREFIX)]
    assert list(kit_port.gates()) == wanted
    assert {row.item for row in TRAINER} | {"schemas"} == {name.removeprefix(PREFIX) for name in wanted}


def test_without_tao_deploy_an_item_is_blocked_and_says_how_to_go_on(kit_port: Port) -> None:
    for gate in kit_port.gates().values():
        assert gate.state == "blocked"
        assert "holds in tao-pytorch" in gate.summary
        assert "porter resume" in gate.summary


@pytest.mark.parametrize("mutation", TRAINER, ids=str)
def test_a_change_fails_its_item_alone(kit_port: Port, mutation: Mutation) -> None:
    with kit_port.changed(mutation.file, mutation.old, mutation.new):
        found = not_held(kit_port)
    assert list(found) == [mutation.item]
    assert [words for words in mutation.said if words not in found[mutation.item]] == []


def test_a_spec_that_is_no_yaml_fails_with_its_name(kit_port: Port) -> None:
    spec = f"tao-pytorch/nvidia_tao_pytorch/cv/{NAME}/experiment_specs/experiment_spec.yaml"
    with kit_port.changed(spec, "wandb:", "wandb: ["):
        found = not_held(kit_port)
    assert "experiment_spec.yaml: it is no YAML" in found["spec-keys"]
    assert "experiment_spec.yaml: dataset.img_size has 'no value'" in found["image-size"]


def test_a_schema_that_does_not_import_is_named(kit_port: Port) -> None:
    schema = f"tao-pytorch/nvidia_tao_pytorch/config/{NAME}/default_config.py"
    with (
        kit_port.changed(
            schema, "import default_config as classification", "import defaults as classification"
        ),
        pytest.raises(SandboxError, match=f"config.{NAME}.default_config cannot be imported"),
    ):
        kit_port.gates()


@pytest.mark.parametrize(
    ("exported", "item", "said"),
    [
        ({"names": ("pixel_values", "output")}, "onnx-names", "exported ONNX: inputs is ['pixel_values']"),
        ({"names": ("input", "logits")}, "onnx-names", "exported ONNX: outputs is ['logits']"),
        ({"batch": 1}, "batch", "exported ONNX: axis 0 of input is 1, export.batch_size is -1"),
        (
            {"size": (224, 192)},
            "image-size",
            "exported ONNX: input (height, width) is (224, 192)",
        ),
    ],
)
def test_another_graph_fails_its_item_alone(
    kit_port: Port, exported: dict[str, Any], item: str, said: str
) -> None:
    kit_port.export(**exported)
    try:
        found = not_held(kit_port)
    finally:
        kit_port.export()
    assert list(found) == [item]
    assert said in found[item]


def test_what_was_changed_back_holds_again(kit_port: Port) -> None:
    assert not_held(kit_port) == {}
