"""Weights under which every tensor of a model matters to its output."""

from __future__ import annotations

import torch

from porter.weights.kernel.operations import seed_of
from porter.weights.kernel.perturb import perturb


def liven(module: torch.nn.Module, images: torch.Tensor, seed: int) -> None:
    """Give *module* random weights that carry a signal from its input to its output.

    Norms of one and biases of zero hide exchanged tensors, and small matrices let the signal die.
    """
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(_lively(name, tensor, seed))
    settle(module, images, seed)


def shake(module: torch.nn.Module, images: torch.Tensor, seed: int) -> None:
    """Give *module* other weights, near those that it has; float32 can hold them."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            tensor.copy_(perturb(name, tensor, seed))
        settle(module, images, seed)
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.float())


def settle(module: torch.nn.Module, images: torch.Tensor, seed: int) -> None:
    """Measure the batch norms' statistics on *images* and move them a bit.

    Statistics that do not fit the weights let the signal grow or die from layer to layer.
    """
    norms = [each for each in module.modules() if isinstance(each, torch.nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    _measure(module, norms, images)
    with torch.no_grad():
        for number, norm in enumerate(norms):
            generator = torch.Generator().manual_seed(seed_of("settle", seed, number))
            noise = torch.randn(norm.running_mean.shape, generator=generator)
            norm.running_mean += 0.2 * noise * norm.running_var.sqrt()
            norm.running_var *= (0.2 * noise.flip(0)).exp()


def _lively(name: str, tensor: torch.Tensor, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed_of("liven", seed, name))
    noise = torch.randn(tensor.shape, generator=generator)
    if name.endswith("running_var"):
        return (0.2 * noise).exp()
    if name.endswith("running_mean"):
        return 0.1 * noise
    if tensor.numel() == max(tensor.shape, default=1):
        mean = float(tensor.mean()) if tensor.numel() else 0.0
        # Scales that start small (layer scale) would leave their branch without effect.
        centre = 0.5 if 0 < mean < 0.5 else mean
        return centre + (0.2 if centre else 0.1) * noise
    if tensor.shape[0] == 1:
        return 0.3 * noise
    return noise * 1.4 / tensor[0].numel() ** 0.5


def _measure(module: torch.nn.Module, norms: list[torch.nn.Module], images: torch.Tensor) -> None:
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    try:
        with torch.no_grad():
            module(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
