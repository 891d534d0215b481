"""Runs in the managed environment: builds models of transformers and backbones, and compares them.

Reads one JSON object per line from stdin and answers with one line each; models are kept between the two
steps of a case.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from porter.weights.kernel.compare import Difference, seeded_images
from porter.weights.kernel.files import ModelFolder
from porter.weights.kernel.models import use_eager_attention
from porter.weights.kernel.operations import execute_all
from porter.weights.kernel.perturb import perturb

BATCHES = (1, 2, 5)
_WEIGHTS = "model.safetensors"
_DTYPES = {torch.float32: "F32", torch.int64: "I64"}
_TIMM = {
    "VisionTransformer": "timm.models.vision_transformer.VisionTransformer",
    "DINOV2": "timm.models.vision_transformer.VisionTransformer",
    "Hiera": "timm.models.hiera.Hiera",
    "ResNet": "timm.models.resnet.ResNet",
}
"""The classes of timm that TAO's extend without changing a number of an image classifier."""

_kept: dict[str, Any] = {}


def make(request: dict[str, Any]) -> dict[str, Any]:
    """Build the model of transformers, shaken, and the backbone; return their tensor tables."""
    import transformers

    torch.manual_seed(0)
    kind = getattr(transformers, request["architecture"])
    config = kind.config_class(**request["config"], num_labels=request["labels"])
    config._attn_implementation = "eager"
    source = kind(config).eval()
    state = source.state_dict()
    for name, tensor in state.items():
        tensor.copy_(perturb(name, tensor, 1))
    folder = Path(tempfile.mkdtemp(dir=request["work"]))
    source.save_pretrained(folder)
    target = (_generated if request["package"] else _of_timm)(request).eval()
    _kept.update(request=request, source=source, target=target, folder=folder)
    return {
        "source": _table(state, _WEIGHTS),
        "target": _table(target.state_dict(), ""),
        "kind": type(target).__name__,
    }


def compare(request: dict[str, Any]) -> dict[str, Any]:
    """Fill the backbone by the plan's operations and return how far apart both are."""
    made, source, target, folder = (_kept[key] for key in ("request", "source", "target", "folder"))
    tensors = dict(execute_all(request["operations"], ModelFolder(folder)))
    if request["freeze_norm"]:
        target = _generated(made, freeze_norm=True).eval()
    if made["package"]:
        _load_as_tao(made, target, tensors, folder)
    else:
        target.load_state_dict(tensors, strict=True)
    images = seeded_images(2, (3, made["size"], made["size"]), 0)
    reference = torch.cat([source(image).logits for image in images.split(1)])
    answer = {"as built": _apart(reference, torch.cat([target(image) for image in images.split(1)]))}
    before = use_eager_attention(target)
    answer["eager"] = _apart(reference, torch.cat([target(image) for image in images.split(1)]))
    for module, fused in before.items():
        module.fused_attn = fused
    answer["spread"] = (reference[0] - reference[1]).abs().max().item()
    if request["onnx"]:
        answer["onnx"] = _onnx(target, images, folder / "model.onnx")
    shutil.rmtree(folder)
    _kept.clear()
    return answer


def _generated(request: dict[str, Any], freeze_norm: bool = False) -> torch.nn.Module:
    """Build by the generated package, whose folder was put beside TAO's own networks."""
    module: torch.nn.Module = _classifier(request).build_model(_config(request, freeze_norm))
    return module


def _classifier(request: dict[str, Any]) -> Any:
    return importlib.import_module(f"nvidia_tao_pytorch.cv.{request['package']}.model.classifier")


def _config(request: dict[str, Any], freeze_norm: bool) -> Any:
    from omegaconf import OmegaConf

    backbone = {"type": request["backbone"], "freeze_backbone": False, "pretrained_backbone_path": None}
    return OmegaConf.create(
        {
            "model": {"backbone": {**backbone, "freeze_norm": freeze_norm}},
            "dataset": {"num_classes": request["labels"], "img_size": request["size"]},
        }
    )


def _load_as_tao(
    request: dict[str, Any], target: torch.nn.Module, tensors: dict[str, torch.Tensor], folder: Path
) -> None:
    path = str(folder / "weights.pth")
    state = {f"model.{name}": tensor for name, tensor in tensors.items()}
    torch.save({"state_dict": state, "tao_model": "classification"}, path)
    sized = [request["size"]] if request["match"]["position_embedding"] else []
    _classifier(request).load_weights(target, path, *sized)
    target.eval()


def _of_timm(request: dict[str, Any]) -> torch.nn.Module:
    match = request["match"]
    arguments = {**match["arguments"], **{key: _python(text) for key, text in match["code"].items()}}
    if match["image_argument"]:
        arguments[match["image_argument"]] = request["size"]
    module: torch.nn.Module = _python(_TIMM[match["target"].partition(":")[2]])(
        num_classes=request["labels"], **arguments
    )
    if match["pooling"] == "class-and-patches":
        module.head = torch.nn.Linear(match["embed_dim"], request["labels"])
        module.pool = lambda x: torch.cat([x[:, 0], x[:, 1:].mean(dim=1)], dim=1)
    return module


def _python(text: str) -> Any:
    """Return what *text* means, whose names stand by their import path."""
    node = ast.parse(text, mode="eval").body
    if isinstance(node, ast.Call):
        values = {str(each.arg): ast.literal_eval(each.value) for each in node.keywords}
        called = _python(ast.unparse(node.func))
        return called(*(_python(ast.unparse(each)) for each in node.args), **values)
    module, _, name = text.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _table(state: dict[str, torch.Tensor], file: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": list(tensor.shape), "dtype": _DTYPES[tensor.dtype], "file": file}
        for name, tensor in state.items()
    ]


def _apart(reference: torch.Tensor, candidate: torch.Tensor) -> float:
    difference = Difference()
    difference.add_each(reference, candidate)
    return difference.relative


def _onnx(module: torch.nn.Module, images: torch.Tensor, path: Path) -> float:
    import onnxruntime

    names = {"input_names": ["input"], "output_names": ["output"]}
    axes = {"input": {0: "batch_size"}, "output": {0: "batch_size"}}
    torch.onnx.export(
        module, (images,), str(path), **names, dynamic_axes=axes, opset_version=17, dynamo=False
    )
    session = onnxruntime.InferenceSession(str(path))
    worst = 0.0
    for batch in BATCHES:
        more = seeded_images(batch, images.shape[1:], batch)
        made = session.run(None, {"input": more.numpy()})[0]
        worst = max(worst, _apart(module(more), torch.from_numpy(made)))
    return worst


def main() -> None:
    """Answer until there is nothing more to read."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    if sys.argv[1:]:
        import nvidia_tao_pytorch.cv

        nvidia_tao_pytorch.cv.__path__.append(sys.argv[1])
    steps: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"make": make, "compare": compare}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = steps[request.pop("step")](request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
