"""What a backbone that holds a timm model is built from, and whether it can be."""

from __future__ import annotations

from porter import timm_configs
from porter.records.base import Record
from porter.records.finder import Attempt, Finding
from porter.records.inspection import HeadFacts, Inspection, ModelProbe
from porter.records.reference import Reference, TimmModel
from porter.reference.network import load_network
from porter.reference.timm_candidates import candidates
from porter.reference.timm_facts import Found, TimmTable, find, timm_table


class TimmOffer(Record, frozen=True, kw_only=True):
    """The timm model, or the reasons why there is none."""

    model: TimmModel | None = None
    reasons: tuple[str, ...] = ()


def wants_finding(inspection: Inspection, reference: Reference) -> bool:
    """Return whether rules to a model of timm are missing and all that is missing; pure."""
    if reference.task != "image-classification":
        return False
    if inspection.model_type == timm_configs.MODEL_TYPE or timm_table(inspection.model_type) is not None:
        return False
    return bool(candidates(inspection.model_type, inspection.config)) and not _obstacles(
        inspection, reference
    )


def timm_offer(inspection: Inspection, reference: Reference, finding: Finding | None = None) -> TimmOffer:
    """Return how a generated backbone holds timm's model of the same architecture; pure.

    Args:
        inspection: phase 1's result with what the sandbox saw.
        reference: the network that the backbone is for.
        finding: what the rule finder made of it, where :func:`wants_finding` asked for it.
    """
    if reference.task != "image-classification":
        return TimmOffer(reasons=(f"timm has classifiers, and no models for {reference.task}",))
    wrapped = inspection.model_type == timm_configs.MODEL_TYPE
    table = None if wrapped else timm_table(inspection.model_type)
    if not wrapped and table is None and (finding is None or finding.attempt is None):
        lacking = f"porter has no rules yet from {inspection.model_type} to a model of timm"
        return TimmOffer(reasons=(f"{lacking}, and {finding.refusal}" if finding else lacking,))
    probe = inspection.probe
    if probe is None:
        return TimmOffer(reasons=("the model was not looked at in the sandbox yet",))
    reasons = _obstacles(inspection, reference)
    if table is not None:
        found = find(table, inspection.architecture, inspection.config, inspection.image_size)
        reasons += found.reasons
    elif wrapped and not probe.stages:
        reasons.append("body and head are one module, so that neither can be frozen without the other")
    elif finding and finding.attempt and not finding.attempt.heads:
        reasons.append("no linear layer of timm's makes the logits, so its head cannot be replaced")
    if reasons or probe.head is None:
        return TimmOffer(reasons=tuple(reasons))
    if table is not None:
        return TimmOffer(model=_compared(table, found, probe, probe.head))
    if finding and finding.attempt:
        return TimmOffer(model=_found(finding, finding.attempt, probe, probe.head))
    return TimmOffer(model=_wrapped(inspection, probe, probe.head))


def _obstacles(inspection: Inspection, reference: Reference) -> list[str]:
    """Return what keeps any model of timm from being held, whatever its architecture."""
    probe, reasons = inspection.probe, []
    fed = load_network(reference.name, reference.release.layout).input
    if inspection.channels != fed.channels:
        reasons.append(
            f"the model takes {inspection.channels} channels, but the data pipeline of {reference.name} "
            f"always gives {fed.channels}"
        )
    if probe is None:
        return ["the model was not looked at in the sandbox yet"]
    if probe.head is None or not probe.head.linear:
        reasons.append("no linear layer makes the logits, so its head cannot be replaced")
    if not any(attempt.ok for attempt in probe.exports):
        reasons.append("no export of the model to ONNX worked")
    return reasons


def _wrapped(inspection: Inspection, probe: ModelProbe, head: HeadFacts) -> TimmModel:
    """Return the timm model of a timm checkpoint, as the sandbox saw it."""
    facts = timm_configs.read(inspection.source.ref, inspection.config, [])
    return TimmModel(
        architecture=facts.architecture,
        arguments=facts.arguments,
        heads=tuple(_inside(path) for path in (head.linear, *head.others)),
        embed_dim=head.in_features,
        stages=tuple(_inside(path) for path in probe.stages),
        maps=bool(probe.maps),
        batch_norms=_has_batch_norms(probe),
        same_code=True,
    )


def _compared(table: TimmTable, found: Found, probe: ModelProbe, head: HeadFacts) -> TimmModel:
    """Return the timm model that computes what a model of transformers computes."""
    entry = found.entry
    assert entry is not None
    differences = []
    if found.norm_eps is not None:
        differences.append(f"the layer norms have the epsilon {found.norm_eps:g}, timm's would be 1e-06")
    return TimmModel(
        architecture=entry.architecture,
        arguments=found.arguments,
        heads=entry.heads or table.heads,
        embed_dim=head.in_features,
        stages=found.stages,
        maps=table.maps,
        batch_norms=_has_batch_norms(probe),
        norm_eps=found.norm_eps,
        remap=entry.remap or table.remap,
        differences=tuple(differences),
    )


def _found(finding: Finding, attempt: Attempt, probe: ModelProbe, head: HeadFacts) -> TimmModel:
    """Return the timm model that the rule finder measured to be the same function."""
    exact = max((each.relative for each in attempt.parities if each.way == "float64"), default=0.0)
    differences = [
        f"the rules were found by running both models: {len(attempt.operations)} tensors placed in "
        f"{attempt.trials} runs, relative difference {exact:.1e} in float64 on other weights"
    ]
    for value in sorted({each.value for each in attempt.settings}):
        count = sum(each.value == value for each in attempt.settings)
        norms = f"{count} norms have" if count > 1 else "1 norm has"
        differences.append(f"{norms} the epsilon {value:g}, timm's would be another")
    return TimmModel(
        architecture=attempt.architecture,
        arguments=attempt.arguments,
        heads=tuple(target for _, target in attempt.heads),
        embed_dim=head.in_features,
        stages=attempt.stages,
        maps=attempt.maps,
        batch_norms=_has_batch_norms(probe),
        epsilons={each.module: each.value for each in attempt.settings},
        rules=finding.rules,
        differences=tuple(differences),
    )


def _has_batch_norms(probe: ModelProbe) -> bool:
    return any(tensor.name.endswith(".running_mean") for tensor in probe.state)


def _inside(path: str) -> str:
    """Return a path of transformers' model from the timm model on."""
    return path.removeprefix(timm_configs.PREFIX)
