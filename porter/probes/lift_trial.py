"""Runs a file lifted out of transformers where transformers cannot be imported, and compares.

Request: ``porter.records.transplant.TrialRequest``; answer: ``Trial``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

if TYPE_CHECKING:
    import torch

BLOCKED = ("transformers", "timm", "scipy")
FACTOR = 1.5
NAME = "lifted_network"


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    from porter.weights.kernel.compare import Difference, seeded_images
    from porter.weights.kernel.models import scores

    torch.set_num_threads(request["threads"])
    torch.set_grad_enabled(False)
    size = (request["channels"], *request["image_size"])
    images = seeded_images(max(2, *request["batches"]), size, request["seed"])
    answer: dict[str, Any] = {}
    try:
        model = reference(request)
        expected = scores(model(pixel_values=images[:2]))
        state = dict(model.state_dict())
        labels = int(model.config.num_labels)
        del model
        with without(*BLOCKED):
            network = load(request["text"])
            lifted = build(network, request, labels)
            names = {name: tensor.shape for name, tensor in lifted.state_dict().items()}
            wanted = {name: tensor.shape for name, tensor in state.items()}
            answer["missing"] = sorted(name for name in names if names[name] != wanted.get(name))
            answer["unexpected"] = sorted(name for name in wanted if wanted[name] != names.get(name))
            if answer["missing"] or answer["unexpected"]:
                return answer
            lifted.load_state_dict(state)
            given = scores(lifted(pixel_values=images[:2]))
            answer["control"] = control(lifted, images[:2], given)
        difference = Difference()
        difference.add(expected, given)
        answer |= {"relative": difference.relative, "max_abs": difference.max_abs}
        if request["export"]:
            answer["exported"] = export(lifted, images, request)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        answer["error"] = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:300]
    return answer


def reference(request: dict[str, Any]) -> Any:
    """Return the model of transformers: float32, eval mode."""
    import torch
    import transformers

    model = getattr(transformers, request["architecture"]).from_pretrained(
        request["folder"],
        local_files_only=True,
        use_safetensors=True,
        attn_implementation=request["attention"],
        dtype=torch.float32,
    )
    # Tensors of a mapped file are not aligned, and kernels round differently on memory that is not.
    for each in (*model.parameters(), *model.buffers()):
        each.data = each.data.clone()
    return model.eval()


@contextlib.contextmanager
def without(*packages: str) -> Iterator[None]:
    """Make *packages* impossible to import, also those that are loaded."""
    hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in packages}
    for name in hidden:
        del sys.modules[name]
    # An entry of None is what the import system takes for "not there".
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]
        sys.modules.update(hidden)


def load(text: str) -> ModuleType:
    """Return the lifted file as a module."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        path = Path(scratch) / f"{NAME}.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(NAME, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # A dataclass looks its module up.
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
    return module


def build(network: ModuleType, request: Mapping[str, Any], labels: int) -> torch.nn.Module:
    """Return the lifted model with *labels* classes, in eval mode."""
    config = network.Config(with_attention(request["config"], request["attention"]), num_labels=labels)
    model: torch.nn.Module = getattr(network, request["architecture"])(config)
    return model.eval()


def with_attention(config: Mapping[str, Any], attention: str) -> dict[str, Any]:
    """Return settings with the attention implementation, in every part."""
    return {
        key: attention
        if key == "_attn_implementation"
        else with_attention(value, attention)
        if key.endswith("_config") and isinstance(value, dict)
        else value
        for key, value in config.items()
    }


def control(model: torch.nn.Module, images: torch.Tensor, before: torch.Tensor) -> float:
    """Return how far the output moves when the first weight is scaled; the weight is put back."""
    from porter.weights.kernel.models import scores

    weight = next(tensor for tensor in model.parameters() if tensor.ndim > 1)
    kept = weight.detach().clone()
    weight.data.mul_(FACTOR)
    moved = (scores(model(pixel_values=images)) - before).norm() / before.norm()
    weight.data.copy_(kept)
    return float(moved.item())


def export(model: torch.nn.Module, images: torch.Tensor, request: Mapping[str, Any]) -> float:
    """Return the largest relative error of the exported file over the batch sizes.

    Raises:
        ValueError: it is larger than the tolerance.
    """
    import onnxruntime
    import torch

    from porter.weights.kernel.models import scores

    class Scores(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return scores(self.model(pixel_values=pixel_values))

    worst = 0.0
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(scratch) / "lifted.onnx"
        torch.onnx.export(
            Scores().eval(),
            (images[:2],),
            str(path),
            opset_version=request["opset"],
            dynamo=False,
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for batch in request["batches"]:
            expected = scores(model(pixel_values=images[:batch])).double()
            (given,) = session.run(None, {"input": images[:batch].numpy()})
            error = (expected - torch.from_numpy(given)).norm() / expected.norm()
            worst = max(worst, float(error.item()))
    if not worst <= request["tolerance"]:
        raise ValueError(
            f"ONNX Runtime differs from torch by {worst:.1e}, more than {request['tolerance']:.0e}"
        )
    return worst


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
