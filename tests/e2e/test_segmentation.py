"""A small SegFormer on real tao-pytorch: every gate up to ONNX, and masks of other classes are seen."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from porter.demo import make_model
from porter.gates.catalogue import GATES
from porter.records.base import from_json
from porter.records.runs import MaskPredictionsAnswer
from porter.records.weights import PreprocessAnswer
from tests.conftest import REAL_CACHE
from tests.e2e.clones import private_clone
from tests.e2e.conftest import LABELS, UNEVEN_PROCESSOR, Done, run_porter
from tests.real_clones import real_clone
from tests.repositories import git

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]

CONFIG = {
    "hidden_sizes": [8, 16, 24, 32],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 3, 4],
    "sr_ratios": [4, 2, 2, 1],
    "decoder_hidden_size": 16,
}
PROCESSOR = UNEVEN_PROCESSOR | {
    "image_processor_type": "SegformerImageProcessor",
    "size": {"height": 64, "width": 64},
    "do_reduce_labels": True,
}
NAME = "mini_seg"


@pytest.fixture(scope="module")
def ported(e2e_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Done]:
    """Clone, workspace and end of the port."""
    folder = tmp_path_factory.mktemp("segmentation")
    clone = private_clone(real_clone("tao-pytorch"), folder / "clone")
    model = folder / "org-mini-segformer"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        make_model(
            model,
            architecture="SegformerForSemanticSegmentation",
            config=CONFIG,
            processor=PROCESSOR,
            labels=LABELS,
        )
    arguments = ("port", model, "--name", NAME, "--tao-pytorch", clone, "--workspace", folder / "port")
    return clone, folder / "port", run_porter(e2e_cache, *arguments, "--until", "3", "--yes", "--json")


def test_every_gate_up_to_onnx_passes(ported: tuple[Path, Path, Done]) -> None:
    clone, _, done = ported
    assert done.code == 0, done.err
    needed = {gate.id for gate in GATES if gate.cpu and 1 <= gate.phase <= 3}
    states = {name: gate["state"] for name, gate in done.gates().items() if name in needed}
    assert states == dict.fromkeys(needed, "passed")
    seen = done.gates()["predictions"]["evidence"]
    assert seen["equal"] == 1.0
    assert seen["classes"] > 1
    assert git(clone, "status", "--porcelain") == ""


def repeated(workspace: Path, probe: str) -> tuple[int, bytes]:
    """Run the command of a probe again, as the advice of a failed gate says; return its answer."""
    run = sorted((workspace / ".porter" / "runs").glob(f"*-{probe}"))[-1]
    answer = run / "out" / "answer.json"
    answer.unlink()
    done = subprocess.run(["sh", str(run / "command.sh")], capture_output=True, check=False)
    return done.returncode, answer.read_bytes()


@contextlib.contextmanager
def changed(file: Path, old: str, new: str) -> Iterator[None]:
    before = file.read_text()
    assert before.count(old) == 1
    file.write_text(before.replace(old, new))
    try:
        yield
    finally:
        file.write_text(before)


def test_a_palette_in_another_order_is_seen_in_the_masks(ported: tuple[Path, Path, Done]) -> None:
    workspace = ported[1]
    code, answer = repeated(workspace, "preprocess-parity")
    assert code == 0
    assert from_json(answer, PreprocessAnswer).within
    masks = workspace / "tao-pytorch" / "nvidia_tao_pytorch" / "cv" / NAME / "utils" / "masks.py"
    with changed(masks, "[colours[code] for code", "[(colours[code] + 1) % num_classes for code"):
        code, answer = repeated(workspace, "preprocess-parity")
    found = from_json(answer, PreprocessAnswer)
    assert code == 0
    assert not found.within
    # The images are as before: the masks alone tell.
    assert found.worst <= found.tolerance
    assert all(check.labels for check in found.checks if check.dataset == "val")


def test_masks_of_other_classes_are_no_predictions_of_the_model(ported: tuple[Path, Path, Done]) -> None:
    workspace = ported[1]
    masks = workspace / "results" / "gates" / "converted" / "inference" / "mask_labels"
    code, answer = repeated(workspace, "mask-predictions")
    good = from_json(answer, MaskPredictionsAnswer)
    assert (code, good.equal, good.problems) == (0, 1.0, ())
    kept = {path: path.read_bytes() for path in masks.iterdir()}
    try:
        for path in kept:
            with Image.open(path) as opened:
                turned = opened.point([(level + 1) % len(LABELS) for level in range(256)])
            path.unlink()
            turned.save(path)
        code, answer = repeated(workspace, "mask-predictions")
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
    bad = from_json(answer, MaskPredictionsAnswer)
    assert (code, bad.equal) == (0, 0.0)
    assert any("has not the areas of" in problem for problem in bad.problems)
