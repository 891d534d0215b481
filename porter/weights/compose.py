"""The remap rules of a backbone that holds the Hugging Face or timm model: one prefix for every name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from porter.records.inspection import HeadFacts, ModelProbe, TensorInfo
from porter.records.remap import Drop, Head, HeadTwin, Inert, RemapRules, Rename, Split

ATTRIBUTE = "hf"
"""What the generated backbone calls the model that it holds."""

PREFIX = "timm_model."
"""What transformers, and the generated backbone, call the timm model that they hold."""

_STD = 0.02
_TARGETED = (
    *("rename", "reshape", "transpose", "permute", "select", "fuse", "split", "interpolate"),
    *("initialise", "computed"),
)
"""The tables of rules that name tensors of the target."""


def held_rules(source: Sequence[TensorInfo], probe: ModelProbe) -> RemapRules:
    """Return the rules under which every tensor keeps its name behind ``hf.``.

    Both sides are of one class, so no rule can exchange two tensors; where parity does not see an
    exchange, nothing in the output depends on it.

    Args:
        source: tensor table of the checkpoint files.
        probe: what transformers built of them; it names the head, where the task has linear ones.
    """
    built = {tensor.name for tensor in probe.state}
    return RemapRules(
        source="transformers",
        target=f"a backbone that holds the model as {ATTRIBUTE}",
        rename=(Rename(source="{name}", target=f"{ATTRIBUTE}.{{name}}"),),
        head=_held_head(probe.head) if probe.head is not None and probe.head.linear else None,
        drop=tuple(
            Drop(source=tensor.name, reason="the class of transformers has no such tensor and leaves it out")
            for tensor in source
            if tensor.name not in built
        ),
        inert=(
            Inert(source="{name}", reason="its name is the source's own, and the output does not show it"),
        ),
    )


def _held_head(facts: HeadFacts) -> Head:
    return Head(
        source=f"{facts.linear}.{{leaf}}",
        target=f"{ATTRIBUTE}.{facts.linear}.{{leaf}}",
        source_module=facts.linear,
        target_module=f"{ATTRIBUTE}.{facts.linear}",
        std=_STD,
        twins=tuple(
            HeadTwin(source=f"{other}.{{leaf}}", target=f"{ATTRIBUTE}.{other}.{{leaf}}")
            for other in facts.others
        ),
    )


def wrapped_rules(source: Sequence[TensorInfo], probe: ModelProbe) -> RemapRules:
    """Return the rules of a timm checkpoint: timm's names, behind ``timm_model.`` in the backbone.

    transformers' own model holds the timm model under the same name, and leaves it out of its files; some
    older ones have it.

    Args:
        source: tensor table of the checkpoint files.
        probe: what transformers built of them; it names the head.

    Raises:
        ValueError: the probe found no linear head.
    """
    if probe.head is None or not probe.head.linear:
        raise ValueError("the model has no linear head")
    head, *others = (path.removeprefix(PREFIX) for path in (probe.head.linear, *probe.head.others))
    built = {tensor.name.removeprefix(PREFIX) for tensor in probe.state}
    return RemapRules(
        source="timm",
        target=f"a backbone that holds the model as {PREFIX.rstrip('.')}",
        prefixes=(PREFIX, ""),
        rename=(Rename(source="{prefix}{name}", target=f"{PREFIX}{{name}}"),),
        head=Head(
            source=f"{{prefix}}{head}.{{leaf}}",
            target=f"{PREFIX}{head}.{{leaf}}",
            source_module=f"{PREFIX}{head}",
            target_module=f"{PREFIX}{head}",
            std=_STD,
            twins=tuple(
                HeadTwin(
                    source=f"{{prefix}}{twin}.{{leaf}}",
                    target=f"{PREFIX}{twin}.{{leaf}}",
                    source_module=f"{PREFIX}{twin}",
                )
                for twin in others
            ),
        ),
        drop=tuple(
            Drop(source=tensor.name, reason="timm's architecture has no such tensor and leaves it out")
            for tensor in source
            if tensor.name.removeprefix(PREFIX) not in built
        ),
        inert=(
            Inert(source="{name}", reason="its name is the source's own, and the output does not show it"),
        ),
    )


def behind(rules: RemapRules, prefix: str) -> RemapRules:
    """Return *rules* with *prefix* before every name on the target's side."""

    def moved(rule: Any) -> Any:
        if isinstance(rule, Split):
            return replace(rule, targets=tuple(prefix + each for each in rule.targets))
        return replace(rule, target=prefix + rule.target)

    head = rules.head and replace(
        moved(rules.head),
        target_module=prefix + rules.head.target_module,
        twins=tuple(moved(twin) for twin in rules.head.twins),
    )
    counters = {
        name: replace(counter, over=prefix + counter.over) if counter.of == "target" else counter
        for name, counter in rules.counters.items()
    }
    tables = {name: tuple(moved(rule) for rule in getattr(rules, name)) for name in _TARGETED}
    return replace(rules, counters=counters, head=head, **tables)
