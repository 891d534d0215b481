"""What parity and swap share: the perturbed copy, and the reference's outputs."""

from __future__ import annotations

import gc
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from porter.weights.kernel.checkpoint import write_checkpoint
from porter.weights.kernel.files import ModelFolder
from porter.weights.kernel.models import Observed, Outputs, compared_outputs, copy_config, heads_of, load_hf
from porter.weights.kernel.perturb import PERTURBED, write_perturbed

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")

Plan = dict[str, Any]
"""A ``porter.records.weights.WeightPlan`` as plain JSON."""


@contextmanager
def perturbed_copy(
    folder: Path, plan: Plan, work: Path, seed: int, computed: Mapping[str, torch.Tensor]
) -> Iterator[tuple[Path, Plan, str]]:
    """Shake every tensor that the plan reads or drops, and convert the result by the same plan.

    What is dropped is shaken too, so that parity shows that nothing depends on it.

    Yields:
        the new model folder, the plan with its files, and the new checkpoint; all are removed afterwards.
    """
    root = work / "perturbed"
    shutil.rmtree(root, ignore_errors=True)
    try:
        table = {part["name"]: part for step in plan["operations"] for part in step["sources"]}
        table |= {part["name"]: part for part in plan["dropped"]}
        shaken = root / "model"
        copy_config(folder, shaken)
        write_perturbed(folder, list(table.values()), shaken, seed, plan["zeros"])
        steps = [
            {**step, "sources": [{**part, "file": PERTURBED} for part in step["sources"]]}
            for step in plan["operations"]
        ]
        moved = {**plan, "operations": steps}
        path = root / "perturbed.pth"
        write_checkpoint(moved, ModelFolder(shaken), computed, path)
        yield shaken, moved, str(path)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def reference_outputs(folder: Path, plan: Plan, images: torch.Tensor) -> tuple[Outputs, list[str]]:
    """Return the Hugging Face outputs that TAO's must equal, and notes on how they were made."""
    notes = []
    for step in plan["operations"]:
        if step["op"] == "interpolate":
            notes.append(f"the reference resampled {step['sources'][0]['name']} itself, whenever it ran")
    model = load_hf(folder, plan)
    outputs = Observed(model, heads_of(plan, "source"))(images)
    del model
    gc.collect()
    if plan["head"] == "re-initialised":
        notes.append("the head is new: what it is given is compared, not the logits")
    return compared_outputs(plan, outputs), notes


def role_of(name: str) -> str:
    """Return a tensor name without its layer numbers (``blocks.{i}.norm1.weight``)."""
    return _NUMBER.sub("{i}", name)


def layer_of(name: str) -> str:
    """Return the first layer number in a tensor name; empty where there is none."""
    number = _NUMBER.search(name)
    return number[0] if number else ""
