"""What a backbone that holds a timm model is built from, and whether it can be."""

from __future__ import annotations

from porter import timm_configs
from porter.records.base import Record
from porter.records.inspection import HeadFacts, Inspection, ModelProbe
from porter.records.reference import Reference, TimmModel
from porter.reference.network import load_network
from porter.reference.timm_facts import Found, TimmTable, find, timm_table


class TimmOffer(Record, frozen=True, kw_only=True):
    """The timm model, or the reasons why there is none."""

    model: TimmModel | None = None
    reasons: tuple[str, ...] = ()


def timm_offer(inspection: Inspection, reference: Reference) -> TimmOffer:
    """Return how a generated backbone holds timm's model of the same architecture; pure.

    Args:
        inspection: phase 1's result with what the sandbox saw.
        reference: the network that the backbone is for.
    """
    wrapped = inspection.model_type == timm_configs.MODEL_TYPE
    table = None if wrapped else timm_table(inspection.model_type)
    if not wrapped and table is None:
        return TimmOffer(
            reasons=(f"porter has no rules yet from {inspection.model_type} to a model of timm",)
        )
    probe = inspection.probe
    if probe is None:
        return TimmOffer(reasons=("the model was not looked at in the sandbox yet",))
    reasons = []
    fed = load_network(reference.name, reference.release.layout).input
    if inspection.channels != fed.channels:
        reasons.append(
            f"the model takes {inspection.channels} channels, but the data pipeline of {reference.name} "
            f"always gives {fed.channels}"
        )
    if probe.head is None or not probe.head.linear:
        reasons.append("no linear layer makes the logits, so its head cannot be replaced")
    if not any(attempt.ok for attempt in probe.exports):
        reasons.append("no export of the model to ONNX worked")
    if table is not None:
        found = find(table, inspection.architecture, inspection.config, inspection.image_size)
        reasons += found.reasons
    elif not probe.stages:
        reasons.append("body and head are one module, so that neither can be frozen without the other")
    if reasons or probe.head is None:
        return TimmOffer(reasons=tuple(reasons))
    if table is not None:
        return TimmOffer(model=_compared(table, found, probe, probe.head))
    return TimmOffer(model=_wrapped(inspection, probe, probe.head))


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


def _has_batch_norms(probe: ModelProbe) -> bool:
    return any(tensor.name.endswith(".running_mean") for tensor in probe.state)


def _inside(path: str) -> str:
    """Return a path of transformers' model from the timm model on."""
    return path.removeprefix(timm_configs.PREFIX)
