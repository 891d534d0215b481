"""Every family on the real tao-pytorch: generated package, TAO's own class, ONNX."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from porter.records.sandbox import Environment
from porter.reference.reader import read_reference
from porter.reference.release import read_release
from tests.native.cases import CASES, Case, Comparison
from tests.real_clones import real_clone

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]


@pytest.fixture(scope="module")
def comparison(
    tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Comparison]:
    """The process that imports the real clone, with the generated packages beside its networks."""
    clone = real_clone("tao-pytorch")
    work = tmp_path_factory.mktemp("native")
    (work / "cv").mkdir()
    reference = read_reference(clone, read_release("tao-pytorch", clone))
    made = Comparison(tao_environment, work, reference, clone)
    yield made
    made.close()


@pytest.mark.parametrize("name", sorted(CASES))
def test_sizes_that_the_registry_lacks(comparison: Comparison, name: str) -> None:
    measured = comparison.measure(CASES[name], onnx=True)
    assert measured.match.name == ""
    assert measured.numbers["as built"] < 5e-6
    assert measured.numbers["eager"] < 5e-6
    assert measured.numbers["onnx"] < 1e-5
    assert measured.numbers["spread"] > 1e-3


@pytest.mark.parametrize(
    ("case", "entry"),
    [
        (Case("swin", "SwinForImageClassification", {}, 224), "swin_tiny_patch4_window7_224"),
        (Case("convnext", "ConvNextForImageClassification", {}, 64), "convnext_tiny"),
        (Case("resnet", "ResNetForImageClassification", {}, 64), "resnet_50"),
        (Case("hiera", "HieraForImageClassification", {"depths": [1, 2, 7, 2]}, 224), "hiera_tiny_224"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_entries_of_the_registry(comparison: Comparison, case: Case, entry: str) -> None:
    measured = comparison.measure(case)
    assert measured.match.name == entry
    assert measured.numbers["as built"] < 5e-6
    assert measured.numbers["spread"] > 1e-3


def test_frozen_batch_norms_are_loaded(comparison: Comparison) -> None:
    assert comparison.measure(CASES["resnet basic"], freeze_norm=True).numbers["as built"] < 5e-6
