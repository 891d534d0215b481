"""Runs with the managed environment's Python: makes small models, and tries what was lifted of them.

``python inside.py make|try JOBS ANSWERS ROOT``: jobs and answers are JSON, by the name of a case.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any


def probe(root: str, name: str) -> ModuleType:
    """Return a probe of porter as a module."""
    spec = importlib.util.spec_from_file_location(name, f"{root}/porter/probes/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(root: str, job: dict[str, Any]) -> dict[str, Any]:
    """Make the model, calibrate it, and return the facts of the lift."""
    probe(root, "make_demo_model").run(job["make"])
    calibrate(job["make"], job["image_size"])
    facts: dict[str, Any] = probe(root, "lift_facts").run(job["facts"])
    return facts


def calibrate(made: dict[str, Any], size: int) -> None:
    """Give batch norms the statistics of their inputs: with others the signal dies in deep small models."""
    import torch
    import transformers

    model = getattr(transformers, made["architecture"]).from_pretrained(made["folder"])
    norms = [
        each for each in model.modules() if isinstance(each, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d)
    ]
    if not norms:
        return
    for each in norms:
        each.momentum = 1.0
    model.train()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        model(pixel_values=torch.randn(8, 3, size, size, generator=generator))
        for each in norms:
            each.running_var.clamp_(min=1e-4)
    model.eval().save_pretrained(made["folder"])


def attempt(root: str, job: dict[str, Any]) -> dict[str, Any]:
    """Try the lifted file: as porter does, then in training, with other classes and with hidden states."""
    import torch

    trial = probe(root, "lift_trial")
    if job["patches"]:
        return {"trial": of_patches(trial, job)}
    answer: dict[str, Any] = {"trial": trial.run(job)}
    torch.set_grad_enabled(True)
    torch.manual_seed(0)
    network = trial.load(job["text"])
    images = torch.randn(4, 3, *job["image_size"])
    other = trial.build(network, job, 5)
    answer["finite"] = all(bool(each.isfinite().all()) for each in other.state_dict().values())
    other.train()
    logits = other(pixel_values=images).logits
    answer["logits"] = list(logits.shape)
    logits.square().mean().backward()
    answer["gradients"] = sum(each.grad is not None for each in other.parameters())
    answer["parameters"] = len(list(other.parameters()))
    with torch.no_grad():
        original = trial.reference(job)
        lifted = trial.build(network, job, int(original.config.num_labels))
        lifted.load_state_dict(original.state_dict())
        wanted = original(pixel_values=images[:1], output_hidden_states=True)
        found = lifted(pixel_values=images[:1], output_hidden_states=True)
        pairs = list(zip(wanted.hidden_states or (), found.hidden_states or (), strict=True))
        answer["hidden"] = len(pairs)
        answer["hidden_difference"] = max(
            (float((a - b).abs().max() / a.abs().max()) for a, b in pairs), default=0.0
        )
        plain = lifted(pixel_values=images[:1], return_dict=False)
        answer["tuple"] = bool(torch.equal(plain[0], found.logits))
    return answer


def of_patches(trial: ModuleType, job: dict[str, Any]) -> dict[str, Any]:
    """Compare a model that takes patches and their places in place of images."""
    import torch

    with torch.no_grad():
        original = trial.reference(job)
        lifted = trial.build(trial.load(job["text"]), job, int(original.config.num_labels))
        lifted.load_state_dict(original.state_dict())
        inputs = {
            "pixel_values": torch.randn(2, 16, 3 * original.config.vision_config.patch_size**2),
            "pixel_attention_mask": torch.ones(2, 16, dtype=torch.int64),
            "spatial_shapes": torch.tensor([[4, 4], [2, 8]]),
        }
        wanted, found = original(**inputs).logits, lifted(**inputs).logits
    size = float(wanted.norm())
    return {
        "relative": float((wanted - found).norm()) / size,
        "max_abs": float((wanted - found).abs().max()),
        "control": size,
    }


def main() -> None:
    """Answer all jobs."""
    mode, asked, target, root = sys.argv[1:]
    jobs = json.loads(Path(asked).read_text(encoding="utf-8"))
    answers = {}
    for name, job in jobs.items():
        try:
            answers[name] = make(root, job) if mode == "make" else attempt(root, job)
        except Exception:
            answers[name] = {"error": traceback.format_exc()[-2000:]}
    Path(target).write_text(json.dumps(answers, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main()
