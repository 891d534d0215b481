from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import PorterError
from porter.probes.onnx_parity import _problems
from porter.records.weights import OnnxParityAnswer, OnnxParityRequest
from tests.probes.conftest import SIDE, Bench

pytestmark = pytest.mark.torch_env

_EXPORT = """
import sys, torch
sys.path[:0] = sys.argv[3:5]
from pathlib import Path
from omegaconf import OmegaConf
from tiny_network import build_model

config = OmegaConf.load(Path(sys.argv[4]) / "spec.yaml")
config.model.backbone.pretrained_backbone_path = sys.argv[1]
model = build_model(config).eval()
out = Path(sys.argv[2])
image = torch.ones(1, 3, 32, 32)

def export(name, model, inputs="input", axes=(0,)):
    dynamic = {each: {axis: "axis%d" % axis for axis in axes} for each in (inputs, "output")}
    torch.onnx.export(model, image, out / name, input_names=[inputs], output_names=["output"],
                      opset_version=17, dynamic_axes=dynamic, dynamo=False)

export("good.onnx", model)
export("fixed.onnx", model, inputs="image", axes=())
with torch.no_grad():
    model.blocks[0].norm1.weight.mul_(1.01)
export("other.onnx", model)
"""


@pytest.fixture(scope="module")
def exported(bench: Bench) -> Path:
    """A checkpoint and three exports of it, two of them wrong."""
    out = bench.folder("onnx")
    done = bench.convert("whole", bench.plan("whole"), out)
    target = bench.target()
    bench.python(_EXPORT, done.checkpoint, out, target.package_root, Path(target.spec).parent)
    return out


def ask(bench: Bench, folder: Path, name: str) -> OnnxParityAnswer:
    request = OnnxParityRequest(
        target=bench.target(),
        checkpoint=str(folder / "port.pth"),
        onnx=str(folder / name),
        work=str(folder),
        image_size=(SIDE, SIDE),
    )
    return bench.probe("onnx_parity", request, OnnxParityAnswer, write=[folder])


def test_a_good_export_is_equal_at_batches_one_two_and_five(bench: Bench, exported: Path) -> None:
    answer = ask(bench, exported, "good.onnx")
    assert answer.problems == ()
    assert [each.batches for each in answer.parities] == [(1,), (2,), (5,)]
    assert all(each.within and each.tolerance == 1e-4 for each in answer.parities)
    assert answer.agreement == 1.0
    assert (answer.inputs[0].name, answer.inputs[0].shape[1:]) == ("input", (3, SIDE, SIDE))
    assert isinstance(answer.inputs[0].shape[0], str)


@pytest.mark.parametrize(
    ("shape", "result", "more", "said"),
    [
        (["n", 3, 32, 32], ["n", 5], [], []),
        (["n", 3, "h", "w"], ["n", "h", "w"], [[32, 64]], []),
        (["n", 3, 32, 32], ["n", "h", "w"], [[32, 64]], ["height or width of input is fixed"]),
        (["n", "c", "h", "w"], ["n", 5], [[32, 64]], ["axis 1 of input is dynamic"]),
        (["n", 3, "h", 32], ["n", 5], [], ["axis 2 of input is dynamic"]),
    ],
)
def test_height_and_width_are_dynamic_where_they_are_asked_for_alone(
    shape: list[int | str], result: list[int | str], more: list[list[int]], said: list[str]
) -> None:
    request = {
        "channels": 3,
        "image_size": [32, 32],
        "more_sizes": more,
        "input_names": ["input"],
        "output_names": ["output"],
    }
    ends = [{"name": name, "shape": axes} for name, axes in (("input", shape), ("output", result))]
    found = _problems(request, ends[:1], ends[1:])
    assert [problem for problem in found if " takes " not in problem] == said
    assert bool(found) == bool(said)


def test_an_export_of_other_weights_is_seen(bench: Bench, exported: Path) -> None:
    assert not any(each.within for each in ask(bench, exported, "other.onnx").parities)


def test_names_and_axes_that_differ_are_named(bench: Bench, exported: Path) -> None:
    answer = ask(bench, exported, "fixed.onnx")
    assert "inputs are image, not input" in answer.problems
    assert "the batch axis of image is fixed" in answer.problems
    assert any(problem.startswith(f"batch 5 of {SIDE} x {SIDE} does not run") for problem in answer.problems)
    assert [each.within for each in answer.parities] == [True, False, False]


def test_a_file_that_is_no_graph_is_an_expected_failure(bench: Bench, exported: Path) -> None:
    (exported / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(PorterError) as caught:
        ask(bench, exported, "broken.onnx")
    assert "broken.onnx" in caught.value.what
