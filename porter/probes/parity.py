"""Measures how far the TAO module is from the Hugging Face model, after TAO's own loaders.

Request: ``porter.records.weights.ParityRequest``; answer: ``ParityAnswer``.
"""

from __future__ import annotations

import gc
import itertools
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

if TYPE_CHECKING:
    from porter.weights.kernel.models import Observed, Outputs

FACTOR = 1.5


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Compare the real weights, then a perturbed copy."""
    import torch

    from porter.weights.kernel.compare import seeded_images
    from porter.weights.kernel.forms import perturbed_copy
    from porter.weights.kernel.models import build_tao, computed_tensors

    torch.set_grad_enabled(False)
    images = seeded_images(request["inputs"], (request["channels"], *request["image_size"]), request["seed"])
    answer: dict[str, list[Any]] = {"parities": [], "identities": [], "controls": [], "notes": []}
    folder, plan, work = Path(request["folder"]), request["plan"], Path(request["work"])
    computed = computed_tensors(plan, request["target"], work)
    _compare(request, "real", folder, plan, request["checkpoint"], images, answer, computed)
    if request["safetensors"]:
        module = build_tao(request["target"], work, request["safetensors"])
        answer["identities"].append(_identity(module, folder, plan, computed, "real", "safetensors"))
        del module
        gc.collect()
    with perturbed_copy(folder, plan, work, request["seed"], computed) as shaken:
        _compare(request, "perturbed", *shaken, images, answer, computed)
    answer["notes"] = sorted(set(answer["notes"]))
    return {**answer, "other_size": other_size(request) if request["other_size"] else None}


def other_size(request: dict[str, Any]) -> dict[str, Any]:
    """Run both sides on images of another size, transformers with the interpolation that it has."""
    import inspect

    from porter.weights.kernel.compare import Difference, seeded_images
    from porter.weights.kernel.models import Observed, compared_outputs, heads_of, load_hf, tao_by

    plan, size = request["plan"], request["other_size"]
    images = seeded_images(1, (request["channels"], *size), request["seed"])
    model = load_hf(Path(request["folder"]), plan)
    asked = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
    found: dict[str, Any] = {"size": size, "interpolated": asked}
    try:
        observed = Observed(
            model, heads_of(plan, "source"), **({"interpolate_pos_encoding": True} if asked else {})
        )
        wanted = compared_outputs(plan, observed(images))
    except Exception as error:
        return {**found, "refused": f"transformers: {_first_line(error)}"}
    del model, observed
    gc.collect()
    target = request["target"]
    target = {**target, "overrides": {**target["overrides"], **request["resized"]}}
    try:
        module = tao_by(request["ways"][0], target, Path(request["work"]), request["checkpoint"])
        made = Observed(module, heads_of(plan, "target"))(images)
    except Exception as error:
        return {**found, "refused": f"the TAO module: {_first_line(error)}"}
    difference = Difference()
    for name, each in wanted.items():
        difference.add_each(each, made[name])
    return {**found, "relative": difference.relative, "max_abs": difference.max_abs}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:200]


def _compare(
    request: dict[str, Any],
    weights: str,
    folder: Path,
    plan: dict[str, Any],
    checkpoint: str,
    images: Any,
    answer: dict[str, list[Any]],
    computed: dict[str, Any],
) -> None:
    from porter.weights.kernel.forms import reference_outputs
    from porter.weights.kernel.models import (
        Observed,
        heads_of,
        restore_attention,
        tao_by,
        use_eager_attention,
    )

    reference, notes = reference_outputs(folder, plan, images)
    answer["notes"] += notes
    work = Path(request["work"])
    for way in request["ways"]:
        module = tao_by(way, request["target"], work, checkpoint)
        answer["identities"].append(_identity(module, folder, plan, computed, weights, way))
        observed = Observed(module, heads_of(plan, "target"))
        if plan["exact"] or way == request["ways"][0]:
            answer["parities"] += _measure(request, reference, observed(images), weights, way, "as built")
        before = {} if plan["exact"] else use_eager_attention(module)
        if not plan["exact"]:
            answer["parities"] += _measure(request, reference, observed(images), weights, way, "eager")
        if weights == "perturbed" and way == request["ways"][-1]:
            answer["controls"] = _controls(request, plan, reference, observed, images[:1])
        restore_attention(before)
        del module, observed, before
        # Hooks tie a module into a cycle; two large models need not be held at once.
        gc.collect()


def _identity(
    module: Any, folder: Path, plan: dict[str, Any], computed: dict[str, Any], weights: str, way: str
) -> dict[str, Any]:
    """Compare the loaded tensors with what the ledger says, bit for bit."""
    from porter.weights.kernel.compare import different_tensors
    from porter.weights.kernel.files import ModelFolder
    from porter.weights.kernel.operations import execute_all

    expected = itertools.chain(execute_all(plan["operations"], ModelFolder(folder)), computed.items())
    checked, different, uncovered = different_tensors(expected, module.state_dict())
    return {
        "weights": weights,
        "way": way,
        "checked": checked,
        "different": different,
        "uncovered": uncovered,
    }


def _measure(
    request: dict[str, Any], reference: Outputs, candidate: Outputs, weights: str, way: str, attention: str
) -> list[dict[str, Any]]:
    from porter.weights.kernel.compare import Difference

    parities = []
    for name, wanted in reference.items():
        difference = Difference()
        difference.add_each(wanted, candidate[name])
        parities.append(
            difference.parity(
                "hf -> tao",
                name,
                request["tolerance"],
                weights=weights,
                way=way,
                attention=attention,
            )
        )
    return parities


def _controls(
    request: dict[str, Any], plan: dict[str, Any], reference: Outputs, observed: Observed, images: Any
) -> list[dict[str, Any]]:
    """Scale one tensor of several roles and look whether parity fails.

    Only what came from the source is scaled: what the plan fills by itself is there for something that the
    source does not have, and nothing that is compared need depend on it.
    """
    from porter.weights.kernel.compare import Difference
    from porter.weights.kernel.forms import role_of
    from porter.weights.kernel.models import heads_of

    state = observed.module.state_dict()
    roles: dict[str, list[str]] = {}
    new = tuple(f"{head}." for head in heads_of(plan, "target")) if plan["head"] == "re-initialised" else ()
    filled = {step["target"]["name"] for step in plan["operations"] if step["sources"]}
    for name, tensor in state.items():
        if tensor.is_floating_point() and name in filled and not name.startswith(new):
            roles.setdefault(role_of(name), []).append(name)
    chance = random.Random(request["seed"])  # noqa: S311 - a choice of samples, no secret
    chosen = sorted(roles)
    if request["controls"]:
        chosen = chance.sample(chosen, min(request["controls"], len(chosen)))
    checks = []
    for role in chosen:
        name = chance.choice(roles[role])
        tensor = state[name]
        kept = tensor.clone()
        tensor.mul_(FACTOR)
        result = observed(images)
        tensor.copy_(kept)
        worst = 0.0
        for output, wanted in reference.items():
            difference = Difference()
            difference.add(wanted[: len(images)], result[output])
            worst = max(worst, difference.relative)
        caught = worst > request["tolerance"]
        checks.append({"tensor": name, "factor": FACTOR, "relative": worst, "caught": caught})
    return checks


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
