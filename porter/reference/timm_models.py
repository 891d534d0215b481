"""What a backbone that holds a timm model is built from, and whether it can be."""

from __future__ import annotations

from porter import timm_configs
from porter.records.base import Record
from porter.records.inspection import Inspection
from porter.records.reference import Reference, TimmModel
from porter.reference.network import load_network


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
    if inspection.model_type != timm_configs.MODEL_TYPE:
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
    head = probe.head
    if head is None or not head.linear:
        reasons.append("no linear layer makes the logits, so its head cannot be replaced")
    if not probe.stages:
        reasons.append("body and head are one module, so that neither can be frozen without the other")
    if not any(attempt.ok for attempt in probe.exports):
        reasons.append("no export of the model to ONNX worked")
    if reasons or head is None:
        return TimmOffer(reasons=tuple(reasons))
    facts = timm_configs.read(inspection.source.ref, inspection.config, [])
    return TimmOffer(
        model=TimmModel(
            architecture=facts.architecture,
            arguments=facts.arguments,
            heads=tuple(_inside(path) for path in (head.linear, *head.others)),
            embed_dim=head.in_features,
            stages=tuple(_inside(path) for path in probe.stages),
            maps=bool(probe.maps),
            batch_norms=any(tensor.name.endswith(".running_mean") for tensor in probe.state),
            same_code=True,
        )
    )


def _inside(path: str) -> str:
    """Return a path of transformers' model from the timm model on."""
    return path.removeprefix(timm_configs.PREFIX)
