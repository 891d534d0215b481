"""Finds how the tensors of a Hugging Face classifier fill those of another model of its architecture.

Request: ``porter.records.finder.FindRulesRequest``; answer: ``FindRulesAnswer``. Only the config is read:
the weights are made up, so that every tensor matters.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

if TYPE_CHECKING:
    import torch

SEARCHED = 2
"""Images that the search runs on."""

SWAPPED = 10
"""Times the tolerance that a swap must change the output to be seen, as in the port's own check."""

SMALL = 50_000_000
"""Parameters up to which one thread is faster than several, which wait for each other at every operation."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Try the candidates one after the other until one is accepted."""
    import torch

    from porter.weights.kernel.candidates import source_model

    torch.manual_seed(request["seed"])
    source = source_model(Path(request["folder"]))
    size, threads = sum(each.numel() for each in source.parameters()), torch.get_num_threads()
    torch.set_num_threads(1 if size <= SMALL else threads)
    try:
        attempts = _attempts(request, source)
    finally:
        torch.set_num_threads(threads)
    return {
        "source": f"{type(source).__module__}:{type(source).__qualname__}",
        "parameters": size,
        "prefix": getattr(source, "base_model_prefix", ""),
        "attempts": attempts,
    }


def first(answer: Any) -> torch.Tensor:
    """Return the logits of what a model answers."""
    from porter.weights.kernel.align import first_tensor

    return first_tensor(answer)


def _attempts(request: dict[str, Any], source: Any) -> list[dict[str, Any]]:
    import torch

    from porter.weights.kernel.compare import seeded_images
    from porter.weights.kernel.flow import Flow
    from porter.weights.kernel.liven import liven
    from porter.weights.kernel.serve import ProbeError

    images = seeded_images(
        max(request["inputs"], 4), (request["channels"], *request["image_size"]), request["seed"]
    )
    liven(source, images, request["seed"])
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    source.double()
    searched = images[:SEARCHED].double()
    seen = Flow(source)
    try:
        answer = first(seen.follow(searched))
    except RuntimeError as error:
        raise ProbeError(
            "the source does not run in float64", why=str(error).splitlines()[0], next_step="write rules"
        ) from error
    attempts: list[dict[str, Any]] = []
    left = request["seconds"]
    for candidate, build in _candidates(request, source):
        started = time.monotonic()
        try:
            torch.manual_seed(request["seed"])
            target, given = build()
        except ProbeError as error:
            told = error.answer["error"]
            attempts.append(_refused(candidate, f"{told['what']}: {told['why']}", time.monotonic() - started))
            continue
        with torch.no_grad():
            # The attempt before gave it other weights.
            source.double().load_state_dict(state)
        try:
            facts = _attempt(request, source, seen, answer, target, searched, images, left)
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            why = f"it does not run on these images: {(str(error).splitlines() or [''])[0]}"
            facts = {"accepted": False, "reason": why}
        seconds = time.monotonic() - started
        left -= seconds
        attempts.append({**candidate, "arguments": given, **facts, "seconds": seconds})
        if facts["accepted"] or left <= 0:
            break
    return attempts


def _candidates(request: dict[str, Any], source: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield each candidate with how to build it."""
    from porter.weights.kernel.candidates import arguments, fits, named, timm_model
    from porter.weights.kernel.models import build_tao, use_eager_attention

    config, channels = source.config, request["channels"]
    if request["target"]:
        spec = request["target"]

        def staged() -> tuple[Any, dict[str, Any]]:
            module = build_tao(spec, Path(request["work"]))
            use_eager_attention(module)
            return module, {}

        yield {"architecture": spec["builder"], "arguments": {}}, staged
    for candidate in request["candidates"]:
        if not fits(candidate, config):
            continue
        pattern = candidate["architecture"]
        names = [pattern]
        if "*" in pattern:
            names = named(pattern, source, config, channels, request["few"])
        for name in names:
            one = {**candidate, "architecture": name}

            def built(one: dict[str, Any] = one) -> tuple[Any, dict[str, Any]]:
                return timm_model(one, config, channels), arguments(one, config)

            yield {"architecture": name, "arguments": candidate["arguments"]}, built


def _attempt(
    request: dict[str, Any],
    source: Any,
    seen: Any,
    answer: Any,
    target: Any,
    searched: Any,
    images: Any,
    seconds: float,
) -> dict[str, Any]:
    """Search, and confirm what was found on other weights."""
    from porter.weights.kernel.account import account, info
    from porter.weights.kernel.align import Search
    from porter.weights.kernel.candidates import likeness, shapes
    from porter.weights.kernel.confirm import Watched, heads, owed

    like = likeness(shapes(source), shapes(target))
    state = source.state_dict()
    target.double()
    search = Search(seen.uses, state, answer, target, searched, trials=request["trials"], seconds=seconds)
    found = search.run()
    made = account(
        found.placements, seen.uses, state, target.state_dict(), seen.read,
        owed(Watched(source, ""), searched, request["seed"]),
    )  # fmt: skip
    facts: dict[str, Any] = {
        "accepted": False,
        "reason": found.reason,
        "likeness": like,
        "operations": made.operations,
        "dropped": made.dropped,
        "computed": made.computed,
        "settings": _settings(found.placements),
        "heads": [],
        "parities": [],
        "influences": [],
        "trials": found.trials,
        "rejected": list(found.rejected),
        "source": [info(name, tensor) for name, tensor in state.items()],
        "target": [info(name, tensor) for name, tensor in target.state_dict().items()],
    }
    if not found.complete:
        return facts
    facts["heads"] = [list(pair) for pair in heads(found.placements, seen.uses, source.config.num_labels)]
    if made.problems:
        return {**facts, "reason": "; ".join(made.problems[:3])}
    return {**facts, **_confirmed(request, source, seen, target, found, facts, images)}


def _confirmed(
    request: dict[str, Any],
    source: Any,
    seen: Any,
    target: Any,
    found: Any,
    facts: dict[str, Any],
    images: Any,
) -> dict[str, Any]:
    from porter.weights.kernel.confirm import Watched, carry, influences, parities
    from porter.weights.kernel.inert import exchanges, held_pairs, judge
    from porter.weights.kernel.liven import shake

    shake(source, images.double(), request["seed"] + 1)
    steps = [each["operation"] for each in facts["operations"]]
    carry(steps, source, target)
    one, other = facts["heads"][0] if facts["heads"] else ("", "")
    left, right = Watched(source, one), Watched(target, other)
    measured, why = parities(left, right, images[: request["inputs"]], request["tolerance"])
    if why:
        return {"parities": measured, "reason": why}
    tolerance = request["tolerance"]
    owing = influences(
        steps,
        right,
        images[:1],
        seed=request["seed"],
        seconds=request["influence_seconds"],
        threshold=tolerance,
    )
    judged, guessed = judge(owing, found.placements, seen.uses, tolerance)
    traded = exchanges(
        steps,
        right,
        images[:1],
        [pair[1] for pair in facts["heads"]],
        seconds=request["influence_seconds"],
        threshold=SWAPPED * tolerance,
    )
    pairs, loose = held_pairs(traded, judged, found.placements, seen.uses)
    guessed += [name for name in loose if name not in guessed]
    reason = ""
    if guessed:
        reason = f"{', '.join(guessed[:3])}: the output does not show where they belong"
    return {
        "parities": measured,
        "influences": judged,
        "exchanges": pairs,
        "accepted": not guessed,
        "reason": reason,
        **_held(target, images[:1]),
    }


def _held(target: Any, images: Any) -> dict[str, Any]:
    """Return what a backbone that holds a model of timm needs to know of it."""
    from types import SimpleNamespace

    from porter.weights.kernel.timm_models import ATTRIBUTE, maps, stages

    if not type(target).__module__.startswith("timm."):
        return {}
    wrapped = SimpleNamespace(**{ATTRIBUTE: target.float()})
    found = [name.removeprefix(f"{ATTRIBUTE}.") for name in stages(wrapped)]
    return {"stages": found, "maps": bool(maps(wrapped, images))}


def _settings(placements: Any) -> list[dict[str, Any]]:
    return [
        {"module": each.module, "attribute": "eps", "value": each.epsilon}
        for each in placements
        if each.epsilon is not None
    ]


def _refused(candidate: dict[str, Any], reason: str, seconds: float) -> dict[str, Any]:
    return {**candidate, "accepted": False, "reason": reason, "seconds": seconds}


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
