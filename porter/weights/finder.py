"""Remap rules for a family that has none: found by running both models, accepted by measurement alone.

The probe ``find_rules`` searches and measures; here its answer becomes rules, and a text for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from porter.records.base import Record
from porter.records.finder import Attempt, Finding, FindRulesAnswer, FindRulesRequest, TimmCandidate
from porter.records.remap import RemapRules
from porter.records.weights import TargetSpec
from porter.weights.generalise import generalise

T = TypeVar("T")


class Probe(Protocol):
    """How a probe is run: as :meth:`porter.session.PortSession.probe` does."""

    def __call__(
        self,
        name: str,
        request: Record,
        answer: type[T],
        *,
        read: Sequence[Path | str],
        write: Sequence[Path | str],
    ) -> T:
        """Run the probe called *name* in a sandbox and return its answer."""
        ...


def find(
    probe: Probe,
    folder: Path,
    *,
    work: Path,
    image_size: tuple[int, int],
    channels: int = 3,
    candidates: Sequence[TimmCandidate] = (),
    target: TargetSpec | None = None,
    seconds: float = 600.0,
) -> Finding:
    """Look for rules from the Hugging Face model in *folder* to one of the candidates.

    Args:
        probe: how to run a probe.
        folder: model folder; only its config is read.
        work: writable folder of the probe.
        image_size: (height, width) that both models are run on.
        channels: of the images.
        candidates: models of timm; see :func:`porter.reference.timm_candidates.candidates`.
        target: the staged TAO module, which is tried first.
        seconds: bound for all candidates together.
    """
    request = FindRulesRequest(
        folder=str(folder),
        target=target,
        candidates=tuple(candidates),
        work=str(work),
        image_size=image_size,
        channels=channels,
        seconds=seconds,
    )
    read: list[Path | str] = [folder, *([target.package_root] if target else [])]
    return finding(probe("find_rules", request, FindRulesAnswer, read=read, write=[work]))


def finding(answer: FindRulesAnswer) -> Finding:
    """Return the answer with the rules of the accepted attempt, or with why there is none."""
    accepted = answer.accepted
    if accepted is None:
        return Finding(answer=answer, refusal=_refusal(answer))
    return Finding(answer=answer, rules=generalise(accepted, answer.prefix))


def _refusal(answer: FindRulesAnswer) -> str:
    if not answer.attempts:
        return "none of timm's models is tried with its config"
    # The one that got furthest says most.
    best = max(answer.attempts, key=lambda each: (len(each.operations), each.likeness))
    count = len(answer.attempts)
    tried = f"{count} models" if count > 1 else "1 model"
    reason = best.reason if len(best.reason) <= 300 else f"{best.reason[:297]}..."
    return (
        f"the rule finder tried {tried} of timm in {sum(each.seconds for each in answer.attempts):.0f} s; "
        f"{best.architecture}: {reason} ({len(best.operations)} of {len(best.target)} tensors placed)"
    )


def evidence(found: Finding) -> dict[str, Any]:
    """Return what was proposed and measured, for a gate's record."""
    return {
        "source": found.answer.source,
        "attempts": [
            {
                "architecture": each.architecture,
                "arguments": each.arguments,
                "accepted": each.accepted,
                "reason": each.reason,
                "placed": len(each.operations),
                "tensors": len(each.target),
                "dropped": {tensor.name: tensor.reason for tensor in each.dropped},
                "settings": {f"{item.module}.{item.attribute}": item.value for item in each.settings},
                "relative": {f"{item.output} {item.way}": item.relative for item in each.parities},
                "inert": {
                    item.source: item.held or "placed by guess" for item in each.influences if item.inert
                },
                "exchanged unseen": {f"{i.first} <-> {i.second}": i.held for i in each.exchanges},
                "trials": each.trials,
                "rejected": list(each.rejected),
                "seconds": each.seconds,
            }
            for each in found.answer.attempts
        ],
        "rules": as_toml(found.rules) if found.rules else "",
    }


def describe(found: Finding) -> str:
    """Return the finding as text for a person: every attempt, every proposed rule with what speaks for it."""
    lines = [f"{found.answer.source.rpartition(':')[2]}, {found.answer.parameters:,} parameters"]
    for attempt in found.answer.attempts:
        verdict = "accepted" if attempt.accepted else f"refused: {attempt.reason}"
        given = ", ".join(f"{name}={value!r}" for name, value in attempt.arguments.items())
        lines += ["", f"{attempt.architecture}({given}): {verdict}"]
        lines.append(
            f"  {len(attempt.operations)} of {len(attempt.target)} tensors placed in {attempt.trials} runs, "
            f"{attempt.seconds:.1f} s; likeness of shapes {attempt.likeness:.0%}"
        )
        lines += _evidence_lines(attempt)
    if found.rules is not None:
        lines += ["", as_toml(found.rules)]
    return "\n".join(lines) + "\n"


def as_toml(rules: RemapRules) -> str:
    """Return rules as the text of a ``references/remap`` file; what is as by default is left out."""
    import tomli_w

    plain: dict[str, Any] = msgspec.to_builtins(rules)
    for name in ("rename", "reshape", "transpose", "permute", "select", "fuse", "split", "interpolate"):
        plain[name] = [_without_defaults(each) for each in getattr(rules, name)]
    for name in ("drop", "initialise", "computed", "inert"):
        plain[name] = [_without_defaults(each) for each in getattr(rules, name)]
    plain["counters"] = {name: _without_defaults(each) for name, each in rules.counters.items()}
    if rules.head is not None:
        plain["head"] = {
            **_without_defaults(rules.head),
            "twins": [_without_defaults(t) for t in rules.head.twins],
        }
        if not rules.head.twins:
            del plain["head"]["twins"]
    kept = {name: value for name, value in plain.items() if value not in (None, [], {}, ())}
    return tomli_w.dumps(kept)


def _without_defaults(rule: Record) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(rule):
        value = getattr(rule, field.name)
        if value != field.default:
            found[field.encode_name] = msgspec.to_builtins(value)
    return found


def _evidence_lines(attempt: Attempt) -> list[str]:
    lines = []
    for each in attempt.operations:
        names = ", ".join(part.name for part in each.operation.sources) or "nothing"
        measured = f", apart {each.error:.1e}" if each.error is not None else ""
        shown = f", confirmed at {each.confirmed}" if each.confirmed else ""
        made = f"{each.operation.target.name} <- {each.operation.op} of {names}"
        lines.append(f"  {made} (by {each.way}{measured}{shown})")
    lines += [f"  dropped {each.name}: {each.reason}" for each in attempt.dropped]
    lines += [f"  computed by its class: {name}" for name in attempt.computed]
    for value in sorted({each.value for each in attempt.settings}):
        modules = [each.module for each in attempt.settings if each.value == value]
        more = f" and {len(modules) - 1} more norms" if len(modules) > 1 else ""
        lines.append(f"  needs eps = {value:g} in {modules[0]}{more}")
    for item in attempt.influences:
        if item.inert:
            how = item.held or "placed by guess"
            effect = f"{item.effect:.1e}" if item.effect is not None else "as its role"
            lines.append(f"  inert: {item.source} (effect {effect}): {how}")
    lines += [
        f"  can be exchanged unseen (effect {each.effect:.1e}): {each.first} and {each.second}; {each.held}"
        for each in attempt.exchanges
    ]
    seen = [item.effect for item in attempt.influences if item.effect is not None and not item.inert]
    if seen:
        lines.append(f"  the output shows {len(seen)} measured tensors, the least by {min(seen):.1e}")
    lines += [
        f"  {parity.output} in {parity.way}: relative {parity.relative:.1e}, max {parity.max_abs:.1e} of "
        f"{parity.reference_max:.2f}"
        for parity in attempt.parities
    ]
    lines += [f"  rejected: {each}" for each in attempt.rejected]
    return lines
