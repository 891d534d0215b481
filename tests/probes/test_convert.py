from __future__ import annotations

import shutil

import msgspec
import pytest

from porter.errors import PorterError
from porter.records.weights import Conversion, ConvertRequest, Operation, WeightPlan
from porter.weights.invert import invert
from porter.weights.ledger import audit
from tests.probes.conftest import KIT, LABELS, Bench, headers, with_operations

pytestmark = pytest.mark.torch_env

_COMPARE = """
import json, sys, torch, zipfile
from transformers import AutoModel, AutoModelForImageClassification

saved = torch.load(sys.argv[1], weights_only=True)
kind = AutoModelForImageClassification if sys.argv[3] == "whole" else AutoModel
source = kind.from_pretrained(sys.argv[2], torch_dtype="auto").state_dict()
own = {name.removeprefix("vit."): each.float() for name, each in source.items()}
state = {name.removeprefix("model."): each for name, each in saved["state_dict"].items()}
layer = "encoder.layer.1."
heads = {"head.weight": "classifier.weight", "head.bias": "classifier.bias"}
pairs = {
    "cls_token": own["embeddings.cls_token"],
    "patch_embed.proj.weight": own["embeddings.patch_embeddings.projection.weight"],
    "blocks.1.mlp.fc1.weight": own[layer + "intermediate.dense.weight"],
    "blocks.1.mlp.fc2.bias": own[layer + "output.dense.bias"],
    "blocks.1.attn.qkv.weight": torch.cat(
        [own[layer + "attention.attention." + part + ".weight"] for part in ("query", "key", "value")]
    ),
    **{name: own[heads[name]] for name in heads if heads[name] in own},
}
print(json.dumps({
    "keys": sorted(set(saved) - {"state_dict"}),
    "tag": saved["tao_model"],
    "damaged": zipfile.ZipFile(sys.argv[1]).testzip(),
    "prefixed": all(name.startswith("model.") for name in saved["state_dict"]),
    "names": list(state),
    "dtypes": sorted({str(each.dtype) for each in state.values()}),
    "different": [name for name, each in pairs.items() if not torch.equal(each, state[name])],
    "head_std": state["head.weight"].std().item(),
    "head_bias": state["head.bias"].abs().max().item(),
}))
"""


def test_the_checkpoint_holds_every_tensor_under_the_names_that_tao_reads(bench: Bench) -> None:
    plan, out = bench.plan("whole", num_labels=LABELS), bench.folder("convert")
    assert audit(plan, headers(bench.model("whole")), bench.built().tensors) == ()
    done = bench.convert("whole", plan, out)
    assert done.tensors == len(bench.built().tensors)
    assert done.parameters == bench.built().parameters
    assert 0 < done.peak_anon <= done.limit_anon == int(1.3 * done.largest_tensor) + 64 * 2**20
    read = bench.python(_COMPARE, done.checkpoint, bench.model("whole"), "whole")
    assert read["different"] == []
    assert read["names"] == [each.name for each in bench.built().tensors]
    assert (read["tag"], read["prefixed"], read["damaged"]) == ("classification", True, None)
    assert read["keys"] == ["epoch", "global_step", "pytorch-lightning_version", "tao_model"]
    assert sorted(path.name for path in out.iterdir()) == ["port.pth"]


def test_equal_weights_give_equal_bytes_whatever_the_file_is_called_and_however_it_is_sharded(
    bench: Bench,
) -> None:
    out = bench.folder("bytes")
    first = bench.convert("whole", bench.plan("whole"), out, "one.pth")
    plan = bench.plan("sharded")
    assert len({part.file for step in plan.operations for part in step.sources}) > 1
    second = bench.convert("sharded", plan, bench.folder("bytes/deeper"), "two.pth")
    assert first.sha256 == second.sha256


def test_half_precision_is_widened_exactly(bench: Bench) -> None:
    done = bench.convert("bf16", bench.plan("bf16"), bench.folder("bf16"))
    assert done.dtypes == {"F32": done.tensors}
    read = bench.python(_COMPARE, done.checkpoint, bench.model("bf16"), "whole")
    assert (read["different"], read["dtypes"]) == ([], ["torch.float32"])


def test_a_new_head_is_small_noise_and_the_same_every_time(bench: Bench) -> None:
    plan = bench.plan("body", num_labels=LABELS)
    assert plan.head == "re-initialised"
    out = bench.folder("body")
    first, second = (bench.convert("body", plan, out, name) for name in ("one.pth", "two.pth"))
    assert first.sha256 == second.sha256
    read = bench.python(_COMPARE, first.checkpoint, bench.model("body"), "body")
    assert read["different"] == []
    assert 0.01 < read["head_std"] < 0.03
    assert read["head_bias"] == 0


_BACK = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import load_file

own = {}
for path in Path(sys.argv[1]).glob("*.safetensors"):
    own |= load_file(path)
back = load_file(sys.argv[2])
bits = lambda tensor: tensor.contiguous().reshape(-1).view(torch.uint8)
print(json.dumps({
    "missing": sorted(set(own) - set(back)), "new": sorted(set(back) - set(own)),
    "different": [name for name, each in back.items() if each.dtype != own[name].dtype
                  or each.shape != own[name].shape or not torch.equal(bits(each), bits(own[name]))],
}))
"""


@pytest.mark.parametrize(
    ("model", "lost"),
    [("sharded", []), ("bf16", []), ("body", ["pooler.dense.bias", "pooler.dense.weight"])],
)
def test_what_is_converted_back_is_equal_bit_for_bit(bench: Bench, model: str, lost: list[str]) -> None:
    out = bench.folder(f"back-{model}")
    plan = bench.plan(model, num_labels=LABELS)
    there = bench.convert(model, plan, out, safetensors=str(out / "there.safetensors"))
    inverse = invert(plan, "there.safetensors")
    returning = msgspec.structs.replace(
        plan, operations=inverse.operations, computed=(), dropped=(), zeros=(), key_prefix=""
    )
    request = ConvertRequest(
        folder=str(out),
        plan=returning,
        checkpoint=str(out / "back.pth"),
        safetensors=str(out / "back.safetensors"),
    )
    back = bench.probe("convert", request, Conversion, write=[out])
    read = bench.python(_BACK, bench.model(model), back.safetensors)
    assert read == {"missing": lost, "new": [], "different": []}
    assert list(inverse.lost_names) == lost
    assert there.tensors == len(plan.operations)


_READ_SAFETENSORS = f"""
import json, sys, torch
sys.path.insert(0, {str(KIT)!r})
from safetensors.torch import load_file
from nvidia_tao_pytorch.core.utils.ptm_utils import load_pretrained_weights
from nvidia_tao_pytorch.cv.classification_pyt.model.utils import cls_parser, ptm_adapter

one = load_pretrained_weights(sys.argv[1], parser=cls_parser, ptm_adapter=ptm_adapter)
two = load_pretrained_weights(sys.argv[2], parser=cls_parser, ptm_adapter=ptm_adapter)
print(json.dumps({{
    "same": list(one) == list(two) and all(torch.equal(each, two[name]) for name, each in one.items()),
    "tensors": len(two), "keys": sorted(load_file(sys.argv[2])),
}}))
"""
_ODD = ("backbone.norm.weight", "model.x.weight", "ema_scale", "a.modules.0.weight", "module.norm.weight")


def test_the_safetensors_file_is_the_same_to_the_loader_of_tao(bench: Bench) -> None:
    plan, out = bench.plan("whole", num_labels=LABELS), bench.folder("both")
    names = iter(_ODD)

    def odd(step: Operation) -> Operation:
        renamed = step.target.name.startswith("blocks.1.mlp") or step.target.name == "cls_token"
        target = msgspec.structs.replace(step.target, name=next(names)) if renamed else step.target
        return msgspec.structs.replace(step, target=target)

    plan = with_operations(plan, odd)
    assert next(names, None) is None
    done = bench.convert("whole", plan, out, safetensors=str(out / "port.safetensors"))
    read = bench.python(_READ_SAFETENSORS, done.checkpoint, done.safetensors)
    assert (read["same"], read["tensors"]) == (True, done.tensors)
    assert "blocks.0.attn.qkv.weight" in read["keys"]
    assert sorted(path.name for path in out.iterdir()) == ["port.pth", "port.safetensors"]


def test_what_may_be_dropped_only_for_being_zero_is_looked_at(bench: Bench) -> None:
    table = {each.name: each for each in headers(bench.model("whole"))}
    out = bench.folder("zeros")

    def dropping(name: str) -> WeightPlan:
        return msgspec.structs.replace(bench.plan("whole"), dropped=(table[name],), zeros=(name,))

    assert bench.convert("whole", dropping("vit.layernorm.bias"), out).tensors
    with pytest.raises(PorterError) as caught:
        bench.convert("whole", dropping("vit.layernorm.weight"), bench.folder("zeros/not"))
    assert "vit.layernorm.weight cannot be dropped" in caught.value.what
    assert list((out / "not").iterdir()) == []


_READ_DAMAGED = """
import json, sys
from pathlib import Path
from porter.weights.kernel.files import BrokenFileError, SafetensorsFile

said = []
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        file = SafetensorsFile(path)
        said.append(str([file.tensor(name).sum().item() for name in file.names][:0]))
    except BrokenFileError as error:
        said.append(str(error))
print(json.dumps(said))
"""


def test_files_that_lie_about_themselves_are_refused(bench: Bench) -> None:
    folder = bench.folder("damaged")
    content = (bench.model("whole") / "model.safetensors").read_bytes()
    cases = (
        (content, "[]"),
        (content[:-4], "offsets that do not fit"),
        (content[:4], "too short"),
        (b"\xff" * 7 + b"\x00" + content[8:], "longer than the file"),
        (content[:8] + b"x" + content[9:], "no JSON"),
        (content.replace(b'"F32"', b'"F99"'), "unknown dtype F99"),
        (content.replace(b'"shape":[5,64]', b'"shape":[5,63]'), "offsets that do not fit"),
    )
    for number, (damaged, _) in enumerate(cases):
        (folder / f"{number}.safetensors").write_bytes(damaged)
    said = bench.python(_READ_DAMAGED, folder)
    for (_, expected), found in zip(cases, said, strict=True):
        assert expected in found


def test_a_truncated_file_leaves_no_checkpoint_behind(bench: Bench) -> None:
    out = bench.folder("truncated")
    copy = out / "model"
    shutil.copytree(bench.model("whole"), copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    request = ConvertRequest(folder=str(copy), plan=bench.plan("whole"), checkpoint=str(out / "x.pth"))
    with pytest.raises(PorterError) as caught:
        bench.probe("convert", request, Conversion, write=[out])
    assert "model.safetensors has offsets that do not fit" in caught.value.why
    assert [path.name for path in out.iterdir()] == ["model"]


def test_a_plan_cannot_read_outside_the_model_folder(bench: Bench) -> None:
    def outside(step: Operation) -> Operation:
        file = "../whole/model.safetensors"
        sources = tuple(msgspec.structs.replace(each, file=file) for each in step.sources)
        return msgspec.structs.replace(step, sources=sources)

    out = bench.folder("outside")
    with pytest.raises(PorterError) as caught:
        bench.convert("whole", with_operations(bench.plan("whole"), outside), out)
    assert "no file of the model folder" in caught.value.why


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(bench: Bench) -> None:
    def grow(step: Operation) -> Operation:
        target = msgspec.structs.replace(step.target, shape=(2**42,))
        return Operation(op="zeros", target=target) if target.name == "cls_token" else step

    out = bench.folder("small-disk")
    with pytest.raises(PorterError) as caught:
        bench.convert("whole", with_operations(bench.plan("whole"), grow), out)
    assert "disk space" in caught.value.what
    assert list(out.iterdir()) == []
