"""Exchanges tensors of one shape in the loaded TAO module and measures whether parity would see it.

Request: ``porter.records.weights.SwapRequest``; answer: ``SwapAnswer``.
"""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Swap in place, on perturbed weights, and compare with the Hugging Face model."""
    import torch

    from porter.weights.kernel.compare import Difference, seeded_images
    from porter.weights.kernel.forms import perturbed_copy, reference_outputs
    from porter.weights.kernel.models import (
        Observed,
        computed_tensors,
        heads_of,
        tao_by,
        use_eager_attention,
    )

    torch.set_grad_enabled(False)
    work = Path(request["work"])
    size = (request["channels"], *request["image_size"])
    images = seeded_images(request["inputs"], size, request["seed"])
    plan = request["plan"]
    computed = computed_tensors(plan, request["target"], work)
    with perturbed_copy(Path(request["folder"]), plan, work, request["seed"], computed) as shaken:
        folder, plan, checkpoint = shaken
        reference, _ = reference_outputs(folder, plan, images)
        module = tao_by(request["way"], request["target"], work, checkpoint)
    output = "logits" if "logits" in reference else "features"
    observed = Observed(module, heads_of(plan, "target"))
    if not plan["exact"]:
        use_eager_attention(module)

    def apart() -> float:
        difference = Difference()
        difference.add_each(reference[output], observed(images)[output])
        return difference.relative

    views = _views(plan, module.state_dict())
    pairs = _pairs(views, request["seed"])
    swaps = []
    for first, second in pairs[: request["limit"]]:
        _exchange(views[first], views[second])
        relative = apart()
        _exchange(views[first], views[second])
        caught = relative > request["threshold"]
        swaps.append({"first": first, "second": second, "relative": relative, "caught": caught})
    return {
        "output": output,
        "baseline": apart(),
        "threshold": request["threshold"],
        "candidates": len(pairs),
        "swaps": swaps,
    }


def _views(plan: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Return, by source tensor name, its place in the module; the head only where it is compared."""
    from porter.weights.kernel.operations import source_parts

    views = {}
    for step in plan["operations"]:
        tensor = state[step["target"]["name"]]
        if not tensor.is_floating_point() or tensor.dim() == 0:
            continue
        for name, start, stop in source_parts(step):
            views[name] = tensor.narrow(step["axis"], start, stop - start)
    return views


def _pairs(views: dict[str, Any], seed: int) -> list[tuple[str, str]]:
    """Return the pairs of one shape: each role between two layers, then all roles within one layer."""
    from porter.weights.kernel.forms import layer_of, role_of

    # Stages of one model may differ in width, so a role may have several shapes.
    roles: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    layers: dict[str, list[str]] = {}
    for name in views:
        roles.setdefault((role_of(name), tuple(views[name].shape)), []).append(name)
        layers.setdefault(layer_of(name), []).append(name)
    between = [(names[0], names[1]) for names in roles.values() if len(names) > 1]
    chance = random.Random(seed)  # noqa: S311 - a choice of samples, no secret
    numbered = sorted(set(layers) - {""}, key=int)
    chosen = [*([chance.choice(numbered)] if numbered else []), *([""] if "" in layers else [])]
    within = [
        pair
        for layer in chosen
        for pair in itertools.combinations(layers[layer], 2)
        if views[pair[0]].shape == views[pair[1]].shape
    ]
    chance.shuffle(within)
    return between + within


def _exchange(one: Any, other: Any) -> None:
    kept = one.clone()
    one.copy_(other)
    other.copy_(kept)


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
