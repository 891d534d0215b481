"""Makes a model folder with perturbed random weights, so that demos and tests download nothing.

Request: ``porter.records.probes.MakeModel``; answer: ``MadeModel``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

if TYPE_CHECKING:
    import torch


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Build, perturb and save the model; equal requests write equal bytes."""
    import torch
    import transformers

    from porter.weights.kernel.serve import ProbeError

    folder = Path(request["folder"])
    if folder.exists() and any(folder.iterdir()):
        raise ProbeError(f"{folder} is not empty", next_step="choose another folder")
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(request["seed"])
    model_class = getattr(transformers, request["architecture"])
    labels = dict(enumerate(request["labels"]))
    options = dict(request["config"])
    if labels:
        options |= {"id2label": labels, "label2id": {label: index for index, label in labels.items()}}
    model = model_class(model_class.config_class(**options))
    generator = torch.Generator().manual_seed(request["seed"])
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(perturbed(name, tensor, generator))
    shard = request["shard_bytes"] or 1 << 60
    model.to(getattr(torch, request["dtype"])).save_pretrained(
        folder, safe_serialization=True, max_shard_size=shard
    )
    if request["processor"]:
        text = json.dumps(request["processor"], indent=2, sort_keys=True) + "\n"
        (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        # save_pretrained leaves weights to their owner alone, and the next reader is another user.
        path.chmod(0o644)
    return {
        "files": sorted(path.name for path in folder.iterdir()),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def perturbed(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return random values of *tensor*'s shape that let every tensor matter to the output.

    A freshly made model has norms of one and biases of zero, which hides swapped tensors; its
    small matrices let the signal die on the way.
    """
    import torch

    if not tensor.dtype.is_floating_point:
        return tensor
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32).to(tensor.dtype)
    if name.endswith("running_var"):
        return (0.2 * noise).exp()
    if name.endswith("running_mean"):
        return 0.1 * noise
    if tensor.ndim < 2 or tensor[0].numel() == 1:
        # Scales that start small (layer scale) would leave their branch without effect.
        start = tensor.float().mean().clamp(-1, 1) if tensor.numel() else tensor.new_zeros(())
        centre = 0.5 if 0 < start < 0.5 else start
        return centre + (0.2 if centre else 0.05) * noise
    if tensor.shape[0] == 1:
        return 0.2 * noise
    return noise / tensor[0].numel() ** 0.5


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
