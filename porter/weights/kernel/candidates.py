"""The models that a search pairs: transformers' classifier, and timm's of the same architecture."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from porter.weights.kernel.models import use_eager_attention
from porter.weights.kernel.serve import ProbeError

_TERM = re.compile(r"([\w.]+)(?:\s*([/*])\s*([\w.]+))?")

_MOST = 60
"""Registered names that are looked at for one pattern."""


def source_model(folder: Path) -> torch.nn.Module:
    """Return transformers' classifier of the config in *folder*, with fresh weights and eager attention.

    Raises:
        ProbeError: transformers has no classifier for it.
    """
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    named = [getattr(transformers, name, None) for name in config.architectures or ()]
    try:
        if named and named[0] is not None and "ImageClassification" in named[0].__name__:
            model = named[0]._from_config(config, attn_implementation="eager")
        else:
            model = transformers.AutoModelForImageClassification.from_config(
                config, attn_implementation="eager"
            )
    except (ValueError, TypeError) as error:
        raise ProbeError(
            f"transformers builds no image classifier of {config.model_type}",
            why=str(error).splitlines()[0],
            next_step="the finder needs a config of an image classifier",
        ) from error
    built: torch.nn.Module = model.eval()
    return built


def timm_model(candidate: Mapping[str, Any], config: Any, channels: int) -> torch.nn.Module:
    """Return timm's model for *candidate*, its arguments resolved.

    Raises:
        ProbeError: timm does not build it.
    """
    import timm

    given = arguments(candidate, config)
    given = {"num_classes": config.num_labels, "in_chans": channels, **given}
    try:
        model = timm.create_model(candidate["architecture"], pretrained=False, **given)
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ProbeError(f"timm does not build {candidate['architecture']}", why=first) from error
    use_eager_attention(model)
    built: torch.nn.Module = model.eval()
    return built


def arguments(candidate: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """Return the arguments of *candidate* with what they take from the Hugging Face config filled in.

    A text ``$name`` is the config's value, ``$one / other`` and ``$one * other`` are calculated, and
    ``words`` says what the config's words are called in timm.

    Raises:
        ProbeError: the config lacks a value.
    """
    return {name: _resolved(value, config, candidate) for name, value in candidate["arguments"].items()}


def fits(candidate: Mapping[str, Any], config: Any) -> bool:
    """Return whether the config has the values under which *candidate* is tried."""
    return all(getattr(config, name, None) == value for name, value in candidate["when"].items())


def named(pattern: str, source: torch.nn.Module, config: Any, channels: int, few: int) -> list[str]:
    """Return the registered architectures of *pattern* whose tensors are most like the source's.

    They are built without memory; at most *few* of them, the likeliest first.
    """
    import timm

    names = fnmatch.filter(timm.list_models(), pattern)[:_MOST]
    wanted = shapes(source)
    scores = {}
    for name in names:
        try:
            with torch.device("meta"):
                made = timm.create_model(name, num_classes=config.num_labels, in_chans=channels)
        except Exception:  # noqa: S112 - what timm cannot build there is no candidate
            continue
        scores[name] = likeness(wanted, shapes(made))
    ranked = sorted(scores, key=lambda name: (-scores[name], len(name), name))
    return ranked[:few]


def shapes(module: torch.nn.Module) -> Counter[tuple[int, ...]]:
    """Return how often each shape occurs among a module's parameters, axes of length one left out."""
    bare = (tuple(size for size in each.shape if size != 1) for each in module.parameters())
    return Counter(bare)


def likeness(one: Counter[tuple[int, ...]], other: Counter[tuple[int, ...]]) -> float:
    """Return the share of elements, of both, that lie in tensors which have a counterpart of their shape."""
    common = one & other
    whole = sum(_elements(each) for each in (one, other))
    return 2 * _elements(common) / whole if whole else 0.0


def _elements(counted: Counter[tuple[int, ...]]) -> int:
    total = 0
    for shape, count in counted.items():
        size = 1
        for each in shape:
            size *= each
        total += size * count
    return total


def _resolved(value: Any, config: Any, candidate: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_resolved(each, config, candidate) for each in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    match = _TERM.fullmatch(value[1:])
    if match is None:
        raise ProbeError(f"{value} is no value of a config", why=f"arguments of {candidate['architecture']}")
    one = _value(match[1], config)
    if match[2]:
        other = _value(match[3], config)
        made = one / other if match[2] == "/" else one * other
        # A width of 64.0 is none.
        return int(made) if made == int(made) else made
    if isinstance(one, str):
        return candidate.get("words", {}).get(one, one)
    return list(one) if isinstance(one, tuple) else one


def _value(name: str, config: Any) -> Any:
    if name.isdigit():
        return int(name)
    found = config
    for part in name.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part, None)
        if found is None:
            raise ProbeError(f"the config has no {name}")
    return found
