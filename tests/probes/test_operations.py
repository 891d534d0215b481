from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from porter.records.base import to_json
from porter.records.inspection import TensorInfo
from porter.records.weights import Operation
from tests.probes.conftest import Bench

pytestmark = pytest.mark.torch_env

_EXECUTE = """
import json, sys, torch
from pathlib import Path
from timm.layers import resample_abs_pos_embed
from porter.weights.kernel.archive import write_safetensors
from porter.weights.kernel.files import ModelFolder, SPELLING
from porter.weights.kernel.operations import execute

root = Path(sys.argv[1])
torch.manual_seed(0)
tensors = {
    "a": torch.randn(4, 3), "b": torch.randn(2, 3), "half": torch.randn(4, 3).bfloat16(),
    "position": torch.randn(1, 17, 8), "ids": torch.arange(6), "flags": torch.tensor([True, False]),
    "empty": torch.empty(0, 3), "scalar": torch.tensor(2.5), "table": torch.randn(17, 8),
    "large": torch.randn(300, 1000).bfloat16(), "deep": torch.randn(5, 70000, 1),
}
layout = {name: (SPELLING[each.dtype], tuple(each.shape)) for name, each in tensors.items()}
write_safetensors(root / "m.safetensors", tensors.items(), layout)
from safetensors.torch import load_file
again = load_file(root / "m.safetensors")
source = ModelFolder(root)
made = {}
for step in json.loads((root / "steps.json").read_text()):
    made[step["target"]["name"]] = execute(step, source)
wanted = {
    "copy": tensors["a"], "wide": tensors["half"].float(), "ids": tensors["ids"], "flags": tensors["flags"],
    "scalar": tensors["scalar"], "empty": tensors["empty"],
    "rows": torch.cat([tensors["a"], tensors["b"]]),
    "columns": torch.cat([tensors["a"], tensors["half"].float()], dim=1),
    "flat": tensors["a"].reshape(12), "flat_wide": tensors["half"].float().reshape(12),
    "slice": tensors["a"][1:3], "slice_column": tensors["a"][:, 1:2],
    "select": tensors["a"][[3, 1, 0, 2]], "halves": tensors["a"][[2, 3, 0, 1]],
    "select_column": tensors["half"].float()[:, [2, 0, 1]],
    "turned": tensors["a"].T, "turned_wide": tensors["half"].float().T,
    "turned_back": tensors["position"].permute(2, 0, 1),
    "gap": torch.cat([torch.zeros(2, 3), tensors["b"], torch.zeros(2, 3), tensors["a"]]),
    "gap_column": torch.cat([torch.zeros(4, 5), tensors["half"].float()], dim=1),
    "ones": torch.ones(3, 2), "zero": torch.tensor(0.0),
    "grid_flat": resample_abs_pos_embed(tensors["table"][None], [6, 6], num_prefix_tokens=1)[0],
    "large": tensors["large"].float(), "large_turned": tensors["large"].float().T,
    "deep": tensors["deep"].permute(2, 0, 1), "deep_turned": tensors["deep"].permute(2, 1, 0),
    "zeros": torch.zeros(3, 2),
    "grid": resample_abs_pos_embed(tensors["position"], [6, 6], num_prefix_tokens=1),
    "grid_plain": resample_abs_pos_embed(tensors["position"], [2, 3], num_prefix_tokens=1, antialias=False),
}
print(json.dumps({
    "written": len(again) == len(tensors)
        and all(torch.equal(each, tensors[name]) for name, each in again.items()),
    "different": [name for name, each in wanted.items() if not torch.equal(each, made[name])],
    "checked": sorted(wanted),
    "noise": [made["noise"].std().item(), made["noise"].abs().max().item()],
    "noises_differ": not torch.equal(made["noise"], made["other_noise"]),
    "left": sorted(path.name for path in root.iterdir()),
}))
"""


def info(name: str, shape: tuple[int, ...], dtype: str = "F32") -> TensorInfo:
    return TensorInfo(name=name, shape=shape, dtype=dtype, file="m.safetensors")


def test_every_operation_makes_what_torch_and_timm_make(bench: Bench) -> None:
    root = bench.folder("operations")
    a, b, half = info("a", (4, 3)), info("b", (2, 3)), info("half", (4, 3), "BF16")
    position = info("position", (1, 17, 8))

    def step(op: Any, name: str, shape: tuple[int, ...], *sources: TensorInfo, **more: Any) -> Operation:
        dtype = sources[0].dtype if sources and sources[0].dtype in {"I64", "BOOL"} else "F32"
        return Operation(op=op, target=info(name, shape, dtype), sources=sources, **more)

    steps = [
        step("copy", "copy", (4, 3), a),
        step("copy", "wide", (4, 3), half),
        step("copy", "ids", (6,), info("ids", (6,), "I64")),
        step("copy", "flags", (2,), info("flags", (2,), "BOOL")),
        step("copy", "scalar", (), info("scalar", ())),
        step("copy", "empty", (0, 3), info("empty", (0, 3))),
        step("concat", "rows", (6, 3), a, b),
        step("concat", "columns", (4, 6), a, half, axis=1),
        step("reshape", "flat", (12,), a),
        step("reshape", "flat_wide", (12,), half),
        step("slice", "slice", (2, 3), a, start=1, stop=3),
        step("slice", "slice_column", (4, 1), a, axis=1, start=1, stop=2),
        step("select", "select", (4, 3), a, index=(3, 1, 0, 2)),
        step("select", "halves", (4, 3), a, index=(1, 0)),
        step("select", "select_column", (4, 3), half, axis=1, index=(2, 0, 1)),
        step("permute", "turned", (3, 4), a, axes=(1, 0)),
        step("permute", "turned_wide", (3, 4), half, axes=(1, 0)),
        step("permute", "turned_back", (8, 1, 17), position, axes=(2, 0, 1)),
        step("concat", "gap", (10, 3), b, a, starts=(2, 6)),
        step("concat", "gap_column", (4, 8), half, axis=1, starts=(5,)),
        step("ones", "ones", (3, 2)),
        step("zeros", "zero", ()),
        step(
            "interpolate",
            "grid_flat",
            (37, 8),
            info("table", (17, 8)),
            prefix=1,
            source_grid=(4, 4),
            target_grid=(6, 6),
        ),
        step("copy", "large", (300, 1000), info("large", (300, 1000), "BF16")),
        step("permute", "large_turned", (1000, 300), info("large", (300, 1000), "BF16"), axes=(1, 0)),
        step("permute", "deep", (1, 5, 70000), info("deep", (5, 70000, 1)), axes=(2, 0, 1)),
        step("permute", "deep_turned", (1, 70000, 5), info("deep", (5, 70000, 1)), axes=(2, 1, 0)),
        step("zeros", "zeros", (3, 2)),
        step("interpolate", "grid", (1, 37, 8), position, prefix=1, source_grid=(4, 4), target_grid=(6, 6)),
        step(
            "interpolate",
            "grid_plain",
            (1, 7, 8),
            position,
            prefix=1,
            source_grid=(4, 4),
            target_grid=(2, 3),
            antialias=False,
        ),
        step("initialise", "noise", (100, 100), std=0.02),
        step("initialise", "other_noise", (100, 100), std=0.02),
    ]
    (root / "steps.json").write_bytes(to_json(steps))
    read = bench.python(_EXECUTE, root)
    assert read["written"]
    assert read["different"] == []
    assert {*read["checked"], "noise", "other_noise"} == {each.target.name for each in steps}
    std, largest = read["noise"]
    assert 0.016 < std < 0.019  # a normal of 0.02 cut at two std
    assert largest <= 0.04
    assert read["noises_differ"]
    assert read["left"] == ["m.safetensors", "steps.json"]


_WRONG = """
import json, sys, torch
from pathlib import Path
from porter.weights.kernel.files import ModelFolder
from porter.weights.kernel.operations import execute

source, said = ModelFolder(Path(sys.argv[1])), []
for step in json.loads((Path(sys.argv[1]) / "wrong.json").read_text()):
    try:
        execute(step, source)
        said.append("made")
    except (ValueError, RuntimeError) as error:
        said.append(type(error).__name__)
print(json.dumps(said))
"""


def test_operations_that_do_not_fit_make_nothing(bench: Bench) -> None:
    folder = bench.model("whole")
    bias = TensorInfo(name="classifier.bias", shape=(5,), dtype="F32", file="model.safetensors")
    steps = [
        Operation(op="copy", target=info("x", (6,)), sources=(bias,)),
        Operation(op="reshape", target=info("x", (6,)), sources=(bias,)),
        Operation(op="concat", target=info("x", (12,)), sources=(bias, bias)),
        Operation(op="concat", target=info("x", (9,)), sources=(bias, bias)),
        Operation(op="concat", target=info("x", (12,)), sources=(bias, bias), starts=(0, 4)),
        Operation(op="select", target=info("x", (5,)), sources=(bias,), index=(1, 0)),
        Operation(op="permute", target=info("x", (6,)), sources=(bias,), axes=(0,)),
        Operation(op="slice", target=info("x", (3,)), sources=(bias,), start=3, stop=6),
        Operation(op="copy", target=info("x", (5,)), sources=(bias,)),
    ]
    (folder / "wrong.json").write_bytes(to_json(steps))
    said = bench.python(_WRONG, folder)
    (folder / "wrong.json").unlink()
    assert said[-1] == "made"
    assert "made" not in said[:-1]


_COMPARE = """
import json, torch
from porter.weights.kernel.compare import Difference, WORST, different_tensors, seeded_images
from porter.weights.kernel.perturb import perturb

def apart(*pairs):
    difference = Difference()
    for one, other in pairs:
        difference.add(torch.tensor(one), torch.tensor(other))
    return [difference.relative, difference.max_abs, difference.reference_max]

nan = float("nan")
held = {"a": torch.tensor([0.0]), "b": torch.tensor([nan]), "c": torch.tensor([1.0]), "d": torch.zeros(1)}
one = torch.tensor([0x3F800000], dtype=torch.int32)  # the bytes of 1.0
expected = [("a", torch.tensor([-0.0])), ("b", torch.tensor([nan])), ("c", one), ("e", torch.zeros(1))]
images, again = seeded_images(3, (3, 16, 24), 1), seeded_images(3, (3, 16, 24), 1)
variance = perturb("bn.running_var", torch.ones(1000), 0)
print(json.dumps({
    "equal": apart(([3.0, 4.0], [3.0, 4.0])),
    "worst": apart(([3.0, 4.0], [3.0, 4.5]), ([30.0, 40.0], [30.0, 41.0])),
    "nan": apart(([1.0], [nan])) [0] == WORST,
    "shape": apart(([1.0], [1.0, 1.0]))[0] == WORST,
    "zero": [apart(([0.0], [0.0]))[0], apart(([0.0], [1.0]))[0] == WORST],
    "identity": different_tensors(expected, held),
    "images": [list(images.shape), torch.equal(images, again), torch.equal(images[0], images[1])],
    "other_seed": torch.equal(images, seeded_images(3, (3, 16, 24), 2)),
    "variance": [variance.min().item() > 0, variance.std().item() > 0.1],
    "bias": perturb("x.bias", torch.zeros(1000), 0).std().item(),
    "again": torch.equal(perturb("x", torch.zeros(9), 0), perturb("x", torch.zeros(9), 0)),
    "name": torch.equal(perturb("x", torch.zeros(9), 0), perturb("y", torch.zeros(9), 0)),
    "integers": perturb("ids", torch.arange(3), 0).tolist(),
    "half": str(perturb("x", torch.ones(3).bfloat16(), 0).dtype),
}))
"""


def test_comparison_never_calls_broken_numbers_equal(bench: Bench) -> None:
    read = bench.python(_COMPARE)
    assert read["equal"] == [0.0, 0.0, 4.0]
    assert read["worst"] == [pytest.approx(0.1), 1.0, 40.0]
    assert read["nan"]
    assert read["shape"]
    assert read["zero"] == [0.0, True]
    assert read["identity"] == [4, ["a", "c", "e"], ["d"]]


def test_inputs_and_perturbation_depend_on_seed_and_name_alone(bench: Bench) -> None:
    read = bench.python(_COMPARE)
    assert read["images"] == [[3, 3, 16, 24], True, False]
    assert not read["other_seed"]
    assert read["variance"] == [True, True]
    assert 0.04 < read["bias"] < 0.06
    assert (read["again"], read["name"]) == (True, False)
    assert read["integers"] == [0, 1, 2]
    assert read["half"] == "torch.bfloat16"


_WATCH = """
import json, torch
from porter.weights.kernel.memory import AnonymousPeak

with AnonymousPeak() as quiet:
    pass
with AnonymousPeak() as memory:
    torch.ones(25 * 2**20)
print(json.dumps([quiet.peak, memory.baseline, memory.peak]))
"""


def test_the_memory_watch_sees_what_was_freed_before_it_ended(bench: Bench) -> None:
    quiet, baseline, peak = bench.python(_WATCH)
    assert quiet < 2**20 < baseline
    assert 95 * 2**20 < peak < 120 * 2**20


_DIRECT = """
import hashlib, json, os, sys
from pathlib import Path
from porter.weights.kernel.checkpoint import _Hashed
from porter.weights.kernel.direct import BLOCK, DirectFile

wrong = []
for folder in sys.argv[1:]:
    for size in (0, 1, 4095, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 77):
        for kind in (DirectFile, _Hashed):
            data, path = os.urandom(size), Path(folder) / "file"
            path.write_bytes(b"older and longer" * BLOCK)
            file = kind(path)
            for start in range(0, size, 100_003):
                file.write(memoryview(data)[start : start + 100_003])
            at = file.tell()
            file.sync()
            file.close()
            right = path.read_bytes() == data and at == size
            if kind is _Hashed:
                right = right and file.digest == hashlib.sha256(data).hexdigest()
            if not right:
                wrong.append([folder, size, kind.__name__])
            path.unlink()
print(json.dumps(wrong))
"""


def test_files_of_every_length_are_written_whole_on_disk_and_in_memory(bench: Bench, tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    folders = [tmp_path]
    if memory.is_dir():
        folders.append(Path(tempfile.mkdtemp(dir=memory)))
    assert bench.python(_DIRECT, *folders) == []
    for folder in folders[1:]:
        folder.rmdir()
