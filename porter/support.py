"""Whether porter can port a model that it understands, and in whose words it is turned away."""

from __future__ import annotations

import re

from porter import configs, tasks, timm_configs
from porter.errors import ModelRejectedError
from porter.hub import files
from porter.records.inspection import ExportAttempt, Inspection, ModelProbe

_REWRITTEN = (
    "_upsample_bicubic2d_aa",
    "adaptive_avg_pool2d",
    "col2im",
    "grid_sampler",
    "GridSample",
    "Split",
)
_DIFFERS = "ONNX Runtime differs from torch"
_PREPARED = ("image-classification", "semantic-segmentation", "depth-estimation")
"""Tasks whose images are prepared as the model's processor says, by code that porter generates."""


def check_supported(inspection: Inspection, transformers: str) -> None:
    """Turn away a model that the transformers of the target release cannot build as it stands.

    Args:
        inspection: what the model is.
        transformers: version that the target release ships.

    Raises:
        ModelRejectedError: in its own words for each reason.
    """
    model_type, architecture = inspection.model_type, inspection.architecture
    ref, config, releases = inspection.source.ref, inspection.config, tasks.releases()
    known = releases.model_types.get(model_type)
    known_class = releases.architectures.get(architecture)
    remote = configs.remote_code(config)
    if remote and (known is None or known_class is None):
        lacking = architecture if known else f"the model type {model_type!r}"
        raise ModelRejectedError(
            f"{ref} runs only with code from its own repository: {', '.join(remote)}.",
            why=f"no release of transformers has {lacking}; porter runs no code that comes with a model",
            next_step="choose a model whose class is part of transformers",
        )
    if known is None:
        raise ModelRejectedError(
            f"{ref} has the model type {model_type!r}, which no transformers knows.",
            why=f"looked at releases {releases.versions[0]} to {releases.versions[-1]}",
            next_step=f"check model_type in {files.CONFIG}",
        )
    for name, fact in ((f"the model type {model_type!r}", known), (architecture, known_class)):
        if fact is not None and not tasks.knows(fact, transformers):
            raise _unknown_to(ref, name, fact, transformers)
    if model_type == "timm_backbone":
        raise ModelRejectedError(
            f"{ref} has no head for {inspection.task.task}.",
            why="its model type is timm_backbone: the features of a timm model, for another model to use",
            next_step="choose the same architecture with its classification head",
        )
    if model_type == timm_configs.MODEL_TYPE and (
        known_class is None or model_type not in known_class.model_types
    ):
        raise ModelRejectedError(
            f"{ref} names {architecture}, which does not wrap timm models.",
            why=f"{files.CONFIG} describes a timm checkpoint",
            next_step=f"take architectures out of {files.CONFIG}, or name {timm_configs.CLASS}",
        )
    if config.get("quantization_config"):
        raise ModelRejectedError(
            f"{ref} is quantised.",
            why=f"{files.CONFIG} has a quantization_config; porter converts float weights",
            next_step="choose the model that this one was made from",
        )
    verdict = tasks.by_architecture(architecture, model_type)
    if known_class is not None and inspection.task.task not in verdict.tasks:
        raise ModelRejectedError(
            f"{ref} has no head for {inspection.task.task}.",
            why=f"{architecture} is the bare network, and transformers {transformers} has no class of the "
            f"model type {model_type} that gives it one",
            next_step=f"choose a checkpoint that was trained for {inspection.task.task}",
        )
    processor = inspection.processor
    caveats = list(processor.caveats) if processor else []
    if processor and inspection.task.task != "depth-estimation":
        # The partials of other tasks know plain resizes only.
        if processor.keeps_ratio:
            caveats.append(f"{processor.kind} keeps the aspect ratio while it fits an image into a size.")
        if processor.rounded_down:
            caveats.append(f"{processor.kind} rounds sizes down to a multiple.")
        if processor.padded or processor.interpolation != "pillow":
            caveats.append(f"{processor.kind} resizes without a filter.")
    if inspection.task.task in _PREPARED and caveats:
        raise ModelRejectedError(
            f"The image processor of {ref} does something that porter cannot carry over yet.",
            why=" ".join(caveats),
            next_step="choose another model",
        )


def reject_unloadable(inspection: Inspection, probe: ModelProbe) -> None:
    """Turn away a model whose weights do not fill its class.

    A tensor that shares its storage with one that was loaded is not missing.

    Raises:
        ModelRejectedError: weights are missing, so the model would be partly random.
    """
    loaded = {tensor.name for tensor in inspection.tensors} - set(probe.unexpected)
    shared = {name for group in probe.tied if loaded & set(group) for name in group}
    missing = [name for name in probe.missing if name not in shared]
    if missing:
        raise ModelRejectedError(
            f"The weights of {inspection.source.ref} do not fill {inspection.architecture}.",
            why=f"{len(missing)} tensors are missing, such as {missing[0]}; "
            f"transformers {probe.transformers} would fill them with random numbers",
            next_step="choose a checkpoint that was saved from this class",
        )


def reject_unexportable(inspection: Inspection, probe: ModelProbe) -> None:
    """Turn away a model that ONNX cannot express, whatever way it was tried.

    Raises:
        ModelRejectedError: names operator, module and workaround of the most telling attempt.
    """
    if not probe.exports or any(attempt.ok for attempt in probe.exports) or rewritable(inspection, probe):
        return
    attempt = max(probe.exports, key=_tells)
    where = f" in {attempt.module}" if attempt.module else ""
    tried = ", ".join(f"opset {a.opset} {a.attention} ({a.exporter})" for a in probe.exports)
    culprit = f": nothing there stands for {attempt.operator}{where}" if attempt.operator else where
    raise ModelRejectedError(
        f"{inspection.source.ref} does not export to ONNX{culprit}.",
        why=f"tried {tried}; {attempt.error or 'no further message'}",
        next_step=_way_out(attempt, {a.opset for a in probe.exports}),
    )


def rewritable(inspection: Inspection, probe: ModelProbe) -> ExportAttempt | None:
    """Return what stops TAO's exporter, where a lifted copy of the model can be rewritten to avoid it.

    Whether that is enough shows when the copy is exported. An export that runs and computes something else
    may come of ONNX Runtime joining operations that a copy keeps apart.
    """
    tried = [attempt for attempt in probe.exports if attempt.exporter == "legacy"]
    if inspection.task.task not in _PREPARED or any(attempt.ok for attempt in tried):
        return None
    for attempt in reversed(tried):
        if attempt.operator.endswith(_REWRITTEN) or (attempt.error.startswith(_DIFFERS)):
            return attempt
    return None


def _way_out(attempt: ExportAttempt, tried: set[int]) -> str:
    named = re.search(r"opset (\d+)", attempt.workaround)
    if attempt.workaround and not (named and int(named[1]) in tried):
        return attempt.workaround
    without = f"without {attempt.operator}" if attempt.operator else "with operators that ONNX has"
    return f"rewrite {attempt.module or 'the model'} {without}"


def _tells(attempt: ExportAttempt) -> int:
    return 2 * bool(attempt.operator) + bool(attempt.module)


def _unknown_to(
    ref: str, name: str, fact: tasks.Known | tasks.KnownClass, transformers: str
) -> ModelRejectedError:
    first = fact.since or tasks.releases().versions[0]
    has = f"releases {first} to {fact.until} have it" if fact.until else f"release {first} has it"
    return ModelRejectedError(
        f"{ref} needs another transformers than {transformers}, which the target release ships.",
        why=f"transformers {transformers} does not know {name}; {has}",
        next_step="choose a model of a type that it knows, or a target release with another transformers",
    )
