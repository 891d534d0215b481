"""Models made from a config alone, with random weights of which every one matters to the output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from porter.weights.kernel.serve import ProbeError

_IMAGES = 8
_TIMM_KEYS = frozenset(
    {
        "architecture",
        "global_pool",
        "label_names",
        "model_args",
        "num_classes",
        "num_features",
        "pretrained_cfg",
    }
)


def make(request: Mapping[str, Any]) -> dict[str, Any]:
    """Build, perturb, calibrate and save the model of a ``MakeModel``; equal requests write equal bytes.

    Raises:
        ProbeError: the folder is taken, or the library cannot build the model from what it is given.
    """
    import transformers

    folder = Path(request["folder"])
    if folder.exists() and any(folder.iterdir()):
        raise ProbeError(f"{folder} is not empty", next_step="choose another folder")
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(request["seed"])
    model = _build(transformers, request)
    generator = torch.Generator().manual_seed(request["seed"])
    shake(model, generator)
    spread = _calibrated(model, request, generator) if request["calibrate"] else None
    shard = request["shard_bytes"] or 1 << 60
    model.to(getattr(torch, request["dtype"])).save_pretrained(
        folder, safe_serialization=True, max_shard_size=shard
    )
    if request["processor"]:
        text = json.dumps(request["processor"], indent=2, sort_keys=True) + "\n"
        (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
    if request["as_timm"]:
        _write_as_timm(folder / "config.json")
    for path in folder.iterdir():
        # save_pretrained leaves weights to their owner alone, and the next reader is another user.
        path.chmod(0o644)
    return {
        "files": sorted(path.name for path in folder.iterdir()),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "spread": spread,
    }


def _build(transformers: Any, request: Mapping[str, Any]) -> Any:
    model_class = getattr(transformers, request["architecture"], None)
    if model_class is None:
        raise ProbeError(
            f"transformers {transformers.__version__} has no class {request['architecture']}",
            next_step="correct the architecture",
        )
    labels = dict(enumerate(request["labels"]))
    options = dict(request["config"])
    if labels:
        options |= {"id2label": labels, "label2id": {label: index for index, label in labels.items()}}
    try:
        return model_class(model_class.config_class(**options))
    except Exception as error:
        raise ProbeError(
            f"{request['architecture']} cannot be built from this config",
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}",
            next_step="correct the config",
        ) from error


def shake(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Give every parameter and every norm statistic a random value.

    Other buffers are left alone: they hold what the model has computed from its config (tables of relative
    positions, say), and a model with other values there is none that anybody could have trained.
    """
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name not in buffers or name.endswith(("running_mean", "running_var")):
                tensor.copy_(perturbed(name, tensor, generator))


def perturbed(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return random values of *tensor*'s shape that let every tensor matter to the output.

    A freshly made model has norms of one and biases of zero, which hides swapped tensors; its
    small matrices let the signal die on the way.
    """
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


def _calibrated(model: Any, request: Mapping[str, Any], generator: torch.Generator) -> float:
    """Fit the norm statistics to images and return how far the logits of different images are apart."""
    channels, height, width = request["calibrate"]
    images = torch.randn(_IMAGES, channels, height, width, generator=generator)
    try:
        calibrate(model, images)
        with torch.no_grad():
            output = model(pixel_values=images)
    except Exception as error:
        raise ProbeError(
            f"{request['architecture']} does not run on images of {channels} x {height} x {width}",
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}",
            next_step="correct the config, or the size in the processor",
        ) from error
    values = getattr(output, "logits", None)
    values = output[0] if values is None else values
    return spread_of(values)


def calibrate(model: torch.nn.Module, images: torch.Tensor) -> int:
    """Set the statistics of every batch norm to what it sees of *images*; return how many there are.

    Random statistics far from those of the activations let the signal die after a few layers: then parity
    would compare numbers that depend on nothing but the last biases. Leaves the model in eval mode.
    """
    norms = [
        module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    ]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            model(pixel_values=images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return len(norms)


def spread_of(values: torch.Tensor) -> float:
    """Return how far the rows of *values* (one per image) lie from their mean, relative to their size."""
    rows = values.detach().double().flatten(1)
    size = rows.norm().item()
    return float((rows - rows.mean(0)).norm().item() / size) if size else 0.0


def _write_as_timm(path: Path) -> None:
    """Leave in ``config.json`` what a hub repository of timm has there."""
    config = json.loads(path.read_text(encoding="utf-8"))
    kept: dict[str, Any] = {key: config[key] for key in sorted(_TIMM_KEYS & set(config)) if config[key]}
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def make_all(requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make several models; one that cannot be made does not keep the others from it."""
    answers: list[dict[str, Any]] = []
    for request in requests:
        try:
            answers.append({"made": make(request)})
        except ProbeError as error:
            told = error.answer["error"]
            answers.append({"problem": ": ".join(part for part in (told["what"], told["why"]) if part)})
    return {"models": answers}
