"""Weights that are shaken so that every tensor matters to the output.

A fresh or lightly trained model has norms of ones and biases of zeros: two such tensors exchanged
change nothing, and parity would prove little.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch

from porter.weights.kernel.archive import Layout, write_safetensors
from porter.weights.kernel.files import ModelFolder
from porter.weights.kernel.operations import seed_of

PERTURBED = "model.safetensors"


def perturb(name: str, tensor: torch.Tensor, seed: int) -> torch.Tensor:
    """Return a shaken copy, in the same dtype; it depends on *name*, *seed* and the values alone.

    Vectors (norm statistics and scales, layer scales, biases) move by a fifth of their size and at
    least 0.05; larger tensors by a tenth and at least 0.01. Variances stay positive. Integers and
    booleans are left alone.
    """
    if not tensor.dtype.is_floating_point or tensor.numel() == 0:
        return tensor.clone()
    generator = torch.Generator().manual_seed(seed_of("perturb", seed, name))
    values = tensor.float()
    noise = torch.randn(values.shape, generator=generator)
    size = values.square().mean().sqrt().item()
    is_vector = max(values.shape, default=1) == values.numel()
    step = max(0.2 * size, 0.05) if is_vector else max(0.1 * size, 0.01)
    if name.endswith("running_var"):
        shaken = values.abs().clamp_min(1e-3) * (noise * 0.2).exp()
    else:
        shaken = values + step * noise
    return shaken.to(tensor.dtype)


def write_perturbed(
    folder: Path, table: list[dict[str, Any]], target: Path, seed: int, kept: Collection[str] = ()
) -> None:
    """Write a shaken copy of the tensors in *table* (name, file, shape, dtype) as one file into *target*.

    Those named in *kept* are copied as they are.
    """
    source = ModelFolder(folder)
    layout: Layout = {each["name"]: (each["dtype"], tuple(each["shape"])) for each in table}

    def shaken() -> Iterator[tuple[str, torch.Tensor]]:
        for each in table:
            tensor = source.tensor(each["file"], each["name"])
            yield each["name"], tensor if each["name"] in kept else perturb(each["name"], tensor, seed)

    target.mkdir(parents=True, exist_ok=True)
    write_safetensors(target / PERTURBED, shaken(), layout)
