"""A port of what is out of the ordinary, all at once: two heads that begin anew, and odd images.

The images are no squares and have transparency; the image processor resizes with torchvision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from porter.demo import make_model
from porter.gates.catalogue import GATES
from porter.records.sandbox import Environment
from tests.conftest import REAL_CACHE
from tests.e2e.conftest import LABELS, UNEVEN_PROCESSOR, Done, Port, run_porter

pytestmark = pytest.mark.torch_env

CONFIG = {
    "hidden_size": 32,
    "image_size": [32, 48],
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_channels": 4,
    "num_hidden_layers": 2,
    "patch_size": 16,
}
PROCESSOR = UNEVEN_PROCESSOR | {
    "image_mean": [0.48, 0.46, 0.41, 0.5],
    "image_std": [0.27, 0.26, 0.28, 0.25],
    "image_processor_type": "ViTImageProcessorFast",
    "resample": 3,
    "size": {"height": 32, "width": 48},
}
HEADS = {"hf.cls_classifier", "hf.distillation_classifier"}


@pytest.fixture(scope="module")
def distilled(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DeiT that averages the logits of two heads."""
    folder = tmp_path_factory.mktemp("model") / "org-mini-deit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        return make_model(
            folder,
            architecture="DeiTForImageClassificationWithTeacher",
            config=CONFIG,
            processor=PROCESSOR,
            labels=LABELS,
        )


@pytest.fixture(scope="module")
def tuned(
    e2e_cache: Path, distilled: Path, mini_kit: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Done]:
    """The workspace of a port to three classes, up to phase 3, and how the command ended."""
    workspace = tmp_path_factory.mktemp("tuned") / "port"
    where = ("--tao-pytorch", mini_kit, "--workspace", workspace, "--branch", "feature/tuned")
    more = ("--set", "dataset.num_classes=3", "--until", "3", "--yes", "--json")
    done = run_porter(e2e_cache, "port", distilled, "--name", "mini_deit", *where, *more)
    return workspace, done


def test_every_gate_passes(tuned: tuple[Path, Done]) -> None:
    _, done = tuned
    assert done.code == 0, done.err
    gates = done.gates()
    ran = {gate.id: gates[gate.id]["state"] for gate in GATES if gate.phase in (1, 2, 3)}
    assert set(ran.values()) == {"passed"}, ran


def test_the_ledger_begins_both_heads_anew(tuned: tuple[Path, Done]) -> None:
    noted = json.loads((tuned[0] / ".porter" / "steps" / "3-ledger-noted.json").read_text())
    rows: list[dict[str, Any]] = noted["result"]["ledger"]["rows"]
    new = [row for row in rows if row["targets"][0].rpartition(".")[0] in HEADS]
    assert len(new) == 4
    assert all("4 classes there, 3 here" in row["reason"] for row in new)
    assert all("initialised" in row["fate"] for row in new)
    assert {row["fate"] for row in rows if row not in new} == {"renamed"}


def test_what_both_heads_are_given_is_compared_and_what_they_make_predicted(
    tuned: tuple[Path, Done],
) -> None:
    gates = tuned[1].gates()
    assert {each["output"] for each in gates["parity-tao"]["evidence"]["parities"]} == {"features"}
    assert gates["predictions"]["evidence"]["max_abs"] <= 1e-6
    assert gates["predictions"]["evidence"]["rows"] > 0


def test_spec_schema_and_class_file_have_the_new_number(tuned: tuple[Path, Done]) -> None:
    package = tuned[0] / "tao-pytorch/nvidia_tao_pytorch"
    spec = package / "cv/mini_deit/experiment_specs/experiment_spec.yaml"
    assert "num_classes: 3" in spec.read_text()
    assert (tuned[0] / "results/checkpoint/classes.txt").read_text().count("\n") == 3


def test_images_have_four_channels_and_are_no_squares(tuned: tuple[Path, Done]) -> None:
    gates = tuned[1].gates()
    levels = gates["preprocessing"]["evidence"]["levels"]
    assert 0 < max(levels.values()) <= 8
    assert "ViTImageProcessorFast resizes with torchvision" in gates["preprocessing"]["summary"]
    spec = tuned[0] / "tao-pytorch/nvidia_tao_pytorch/cv/mini_deit/experiment_specs/experiment_spec.yaml"
    text = spec.read_text()
    assert "img_height: 32\n  img_width: 48\n" in text
    assert "input_channel: 4\n  input_width: 48\n  input_height: 32\n" in text


def test_images_of_another_size_are_refused_in_whose_words(tuned: tuple[Path, Done]) -> None:
    gate = tuned[1].gates()["parity-tao"]
    other = gate["evidence"]["other_size"]
    # transformers' own interpolation takes a position embedding for squares.
    assert (other["size"], other["interpolated"], other["relative"]) == ([64, 96], True, None)
    assert "images of 64 x 96 are refused by transformers: " in gate["summary"]


@pytest.mark.parametrize(("count", "said"), [("1", "no number of classes"), ("many", "no number of classes")])
def test_a_number_that_is_none_is_refused_at_once(
    porter: Port, distilled: Path, mini_kit: Path, tmp_path: Path, count: str, said: str
) -> None:
    more = ("--tao-pytorch", mini_kit, "--workspace", tmp_path / "port", "--yes")
    done = porter("port", distilled, "--name", "odd", *more, "--set", f"dataset.num_classes={count}")
    assert done.code == 2
    assert said in done.err
