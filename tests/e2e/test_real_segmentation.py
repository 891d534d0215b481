"""A segmentation model on real tao-pytorch and tao-deploy: every gate, and four images learnt by heart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from porter.demo import make_model
from porter.gates.catalogue import GATES
from porter.records.runs import ScriptsOutcome, ScriptsRequest, ScriptStep
from porter.records.sandbox import Environment, Mount
from porter.sandbox.base import run_probe
from porter.sandbox.host import HostSandbox
from tests.conftest import REAL_CACHE
from tests.e2e.clones import private_clone
from tests.e2e.conftest import Done, run_porter
from tests.real_clones import real_clone

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]

NAME = "mini_seg"
LABELS = ("wall", "floor", "sky", "tree")
CONFIG = {
    "hidden_sizes": [16, 32, 40, 64],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 5, 8],
    "decoder_hidden_size": 48,
}
PROCESSOR = {
    "image_processor_type": "SegformerImageProcessor",
    "size": {"height": 64, "width": 64},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
LEARNING = (
    "dataset.segment.batch_size=4",
    "dataset.segment.workers=0",
    "dataset.segment.augmentation.random_flip.enable=false",
    "dataset.segment.augmentation.random_color.enable=false",
    "dataset.segment.augmentation.with_scale_random_crop.enable=false",
    "train.num_epochs=120",
    "train.checkpoint_interval=120",
    "train.validation_interval=120",
    "train.optim.lr=0.003",
    "train.optim.weight_decay=0",
)
"""What turns the shipped spec into a training that learns its images by heart: 120 steps over all four."""


@pytest.fixture(scope="module")
def ported(e2e_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """Workspace and end of the port of a small SegFormer."""
    folder = tmp_path_factory.mktemp("segmentation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        model = make_model(
            folder / "org-mini-seg",
            architecture="SegformerForSemanticSegmentation",
            config=CONFIG,
            processor=PROCESSOR,
            labels=LABELS,
        )
    clone = private_clone(real_clone("tao-pytorch"), folder / "clone")
    deploy = private_clone(real_clone("tao-deploy"), folder / "deploy")
    arguments = ("--tao-pytorch", clone, "--tao-deploy", deploy, "--name", NAME, "--yes", "--json")
    return folder / "port", run_porter(e2e_cache, "port", model, *arguments, "--workspace", folder / "port")


def test_every_gate_of_a_cpu_machine_passes(ported: tuple[Path, Done]) -> None:
    done = ported[1]
    assert done.code == 0, done.err
    needed = {gate.id: "rehearsed" if gate.stand_in else "passed" for gate in GATES if gate.cpu}
    states = {name: gate["state"] for name, gate in done.gates().items()}
    assert {name: states.get(name) for name in needed} == needed


def palette(*levels: int) -> str:
    """Return the spec entry of a palette in which the classes look like grey *levels*."""
    entries = [
        f"{{seg_class: {name}, mapping_class: {name}, label_id: {number}, rgb: [{grey}]}}"
        for number, (name, grey) in enumerate(zip(LABELS, levels, strict=True))
    ]
    return f"dataset.segment.palette=[{', '.join(entries)}]"


@pytest.fixture(scope="module")
def learned(
    ported: tuple[Path, Done], tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    """Mean IoU on the four images that were trained on: as they are, and with something wrong."""
    workspace, folder = ported[0], tmp_path_factory.mktemp("learning")
    data, results = folder / "data", folder / "results"
    made = workspace / ".porter" / "data"
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (data / kind / split).mkdir(parents=True)
            for path in sorted((made / kind / "train").iterdir())[:4]:
                shutil.copyfile(path, data / kind / split / path.name)
    results.mkdir()
    permuted, unlabelled = palette(1, 0, 2, 3), palette(0, 1, 2, 255)
    usual = (f"dataset.segment.root_dir={data}", *LEARNING)
    trained = f"evaluate.checkpoint={results}/train/{NAME}_model_latest.pth"
    steps = [
        ScriptStep(mode="train", results_dir=str(results), overrides=usual),
        *(
            ScriptStep(mode="evaluate", results_dir=str(results / name), overrides=(*usual, trained, *more))
            for name, more in {"right": (), "permuted": (permuted,), "unlabelled": (unlabelled,)}.items()
        ),
    ]
    request = ScriptsRequest(
        name=NAME,
        config_root="nvidia_tao_pytorch.config",
        spec=str(
            workspace / f"tao-pytorch/nvidia_tao_pytorch/cv/{NAME}/experiment_specs/experiment_spec.yaml"
        ),
        steps=tuple(steps),
    )
    outcome = run_probe(
        HostSandbox(tao_environment, folder / "runs"),
        "run_scripts",
        request,
        ScriptsOutcome,
        mounts=(
            Mount(path=str(workspace / "tao-pytorch")),
            Mount(path=str(data)),
            Mount(path=str(results), writable=True),
        ),
        python_path=(workspace / "tao-pytorch",),
    )
    assert [step.error for step in outcome.steps if not step.ok] == []
    return {
        name: json.loads((results / name / "evaluate" / "results.json").read_text())["mIoU"]
        for name in ("right", "permuted", "unlabelled")
    }


def test_four_images_are_learnt(learned: dict[str, float]) -> None:
    assert learned["right"] >= 0.9


def test_a_permuted_palette_and_labels_for_what_has_none_are_seen(learned: dict[str, float]) -> None:
    assert learned["permuted"] < 0.6
    assert learned["unlabelled"] < 0.8
