"""The checklist on a port to the embedded kit and to the released tao-deploy."""

from __future__ import annotations

import pytest

from tests.gates.consistency.mutations import DEPLOYED, TRAINER, Mutation
from tests.gates.consistency.port import Port, not_held

pytestmark = [pytest.mark.torch_env, pytest.mark.deploy_env]


def test_every_item_holds(whole_port: Port) -> None:
    assert {name: gate.summary for name, gate in whole_port.gates().items() if gate.state != "passed"} == {}


def test_what_the_clones_have_differently_is_named(whole_port: Port) -> None:
    gate = whole_port.gates()["consistency-schemas"]
    # The kit leaves descriptions out, which the release has.
    assert "descriptions" in gate.summary
    assert "dataset.num_classes" in gate.evidence["inherited"]["metadata.description"]
    assert {"dataset.num_classes", "model.backbone.type"} < set(gate.evidence["generated"])
    assert "train.seed" not in gate.evidence["generated"]


def test_mean_and_std_are_followed_from_the_spec_to_the_base_class(whole_port: Port) -> None:
    arguments = whole_port.gates()["consistency-normalisation"].evidence["arguments"]
    followed = {line.partition(" ")[2] for line in arguments}
    assert {"image_mean=cfg.dataset.augmentation.mean", "image_std=tuple(image_std)"} < followed
    assert {"image_std = image_std", "image_mean=self.image_mean"} < followed


@pytest.mark.parametrize("mutation", DEPLOYED, ids=str)
def test_a_change_fails_its_item_alone(whole_port: Port, mutation: Mutation) -> None:
    with whole_port.changed(mutation.file, mutation.old, mutation.new):
        found = not_held(whole_port)
    assert list(found) == [mutation.item]
    assert [words for words in mutation.said if words not in found[mutation.item]] == []


def test_every_item_has_a_change_that_fails_it(whole_port: Port) -> None:
    items = {name.removeprefix("consistency-") for name in whole_port.gates()}
    assert {row.item for row in (*TRAINER, *DEPLOYED)} == items
