"""Phase 1 on the host: what a model is, and in whose words it is turned away.

Everything here comes from configs, cards and tensor headers; nothing of the model runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from porter import configs, hub, licence, plausible, tasks, timm_configs
from porter.errors import ModelRejectedError, UsageError
from porter.hub import files
from porter.records.base import Record, Task
from porter.records.inspection import (
    Contents,
    FromPickles,
    Inspection,
    ProcessorFacts,
    Source,
    TaskChoice,
    WithHead,
)
from porter.tasks import Rejection, Verdict

Ask = Callable[[str, Sequence[Task]], Task]
"""Asks a person: the question, and the answers to choose from."""

PICKLES_STEP = "pickles"
"""The step of phase 1 that reads pickles."""

HEAD_STEP = "head"
"""The step of phase 1 that gives a bare network its head."""

_CONVERT = (
    "convert it in an environment of your own that may run the model: "
    "AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)"
)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def inspect(source: Source, *, task: Task | None = None, ask: Ask | None = None) -> Inspection:
    """Return what the model at *source* is; its weights need not be on this machine.

    Args:
        source: as ``hub.resolve`` returned it.
        task: the user's choice; goes before what the model says.
        ask: asks a person where the task is ambiguous; None where nobody is there.

    Raises:
        ModelRejectedError: it is no model that porter can port, or its files are broken.
        UsageError: the task is ambiguous and nobody can be asked, or *task* contradicts the model.
        HubError: the tensor headers could not be fetched.
    """
    folder, contents = Path(source.folder), hub.contents(source)
    notes: list[str] = []
    if source.renamed_from:
        notes.append(f"{source.renamed_from} is called {source.ref} on the Hub now")
    config = configs.read_config(source, contents)
    model_type = configs.read_model_type(config, source, contents)
    architecture = configs.read_architecture(config, notes)
    if not architecture and model_type == timm_configs.MODEL_TYPE:
        architecture = timm_configs.CLASS
    tag = contents.pipeline_tag or str(licence.card_metadata(folder).get("pipeline_tag") or "")
    choice = _choose_task(source, model_type, architecture, tag, task, ask, notes)
    bare = _bare(config, architecture, model_type, choice.task)
    if bare:
        architecture = tasks.class_for(model_type, choice.task)
        notes.append(f"{bare} is the bare network: {architecture} gives it a head, which has yet to learn")
    architecture = architecture or _class_of(source, model_type, choice.task, notes)
    fed = _fed(source.ref, folder, config, model_type, choice.task, notes)
    tensors = hub.tensor_table(source)
    pickles = hub.pickles(source) if not tensors else ()
    if pickles:
        notes.append(_pickled(pickles, contents))
    elif not tensors:
        raise _no_weights(source, contents)
    plausible.check(source.ref, config, tensors)
    return Inspection(
        source=source,
        model_type=model_type,
        architecture=architecture,
        bare=bare,
        task=choice,
        config=config,
        labels=fed.labels,
        image_size=fed.image_size,
        channels=fed.channels,
        processor=fed.processor,
        licence=licence.read(folder, contents),
        saved_with=str(config.get("transformers_version") or ""),
        tensors=tensors,
        notes=tuple(notes),
    )


class _Fed(Record, frozen=True, kw_only=True):
    """What goes into a model and what its outputs are called."""

    labels: tuple[str, ...]
    image_size: tuple[int, int] | None
    channels: int
    processor: ProcessorFacts | None


def _fed(
    ref: str, folder: Path, config: dict[str, Any], model_type: str, task: Task, notes: list[str]
) -> _Fed:
    if model_type == timm_configs.MODEL_TYPE:
        facts = timm_configs.read(ref, config, notes)
        return _Fed(
            labels=facts.labels,
            image_size=facts.image_size,
            channels=facts.channels,
            processor=facts.processor,
        )
    channels = configs.read_channels(config, model_type)
    processor = configs.read_processor(folder, config, channels, notes)
    return _Fed(
        labels=configs.read_labels(config, task, notes),
        image_size=configs.read_image_size(config, model_type, processor, notes),
        channels=channels,
        processor=processor,
    )


def completed(
    inspection: Inspection, pickles: FromPickles | None = None, head: WithHead | None = None
) -> Inspection:
    """Return the inspection with what the sandbox made of the files, where that is of the same commit.

    Args:
        inspection: as :func:`inspect` returned it.
        pickles: its weights, which came as pickles.
        head: a bare network, which was given its head.
    """
    for made in (pickles, head):
        if made is None or made.sha != inspection.source.sha:
            continue
        source = msgspec.structs.replace(inspection.source, folder=made.folder)
        inspection = msgspec.structs.replace(inspection, source=source, tensors=made.tensors)
        if isinstance(made, WithHead):
            notes = [*inspection.notes, f"begun anew: {', '.join(made.new)}"]
            if made.unused:
                notes.append(f"{inspection.architecture} has no place for {', '.join(made.unused)}")
            inspection = msgspec.structs.replace(
                inspection, config=made.config, labels=made.labels, notes=tuple(notes)
            )
    return inspection


def named_labels(labels: Sequence[str]) -> bool:
    """Return whether *labels* say anything: there are some, and they are not ``LABEL_0``, ``LABEL_1``..."""
    return bool(labels) and any(label != f"LABEL_{i}" for i, label in enumerate(labels))


def _choose_task(
    source: Source,
    model_type: str,
    architecture: str,
    tag: str,
    option: Task | None,
    ask: Ask | None,
    notes: list[str],
) -> TaskChoice:
    verdict = (
        tasks.by_architecture(architecture, model_type) if architecture else tasks.by_model_type(model_type)
    )
    if verdict.rejection:
        raise _rejected(source.ref, verdict.rejection, verdict.reason)
    tagged = tasks.by_pipeline_tag(tag) if tag else Verdict()
    if not verdict.tasks and not verdict.headless and tagged.rejection and option is None:
        raise _rejected(source.ref, tagged.rejection, tagged.reason)
    if option is not None:
        if verdict.tasks and option not in verdict.tasks:
            raise UsageError(
                f"--task {option} contradicts the model.",
                why=f"its {verdict.reason}, which is for {_or(verdict.tasks)}",
                next_step=f"use --task {verdict.tasks[0]}, or leave --task out",
            )
        return TaskChoice(task=option, source="option", reason="chosen with --task")
    if len(verdict.tasks) == 1:
        if tagged.tasks and verdict.tasks[0] not in tagged.tasks:
            notes.append(f"the {tagged.reason}, the {verdict.reason}: the architecture decides")
        return TaskChoice(task=verdict.tasks[0], source="architecture", reason=f"its {verdict.reason}")
    both = tuple(t for t in verdict.tasks if t in tagged.tasks) if verdict.tasks else tagged.tasks
    if len(both) == 1:
        return TaskChoice(task=both[0], source="pipeline tag", reason=f"its {tagged.reason}")
    choices = both or verdict.tasks or tasks.TASKS
    why = _why_open(verdict, tagged)
    if ask is None:
        raise UsageError(
            f"The task of {source.ref} is not clear.",
            why=why,
            next_step=f"add --task with one of: {', '.join(choices)}",
        )
    answer = ask(f"Which task is {source.ref} for? ({why})", choices)
    if answer not in choices:
        raise UsageError(f"{answer!r} is not one of {', '.join(choices)}.", next_step="choose one of these")
    return TaskChoice(task=answer, source="answer", reason=why)


def _bare(config: dict[str, Any], architecture: str, model_type: str, task: Task) -> str:
    """Return the class of a network without a head that transformers has one for; empty for any other."""
    if not tasks.class_for(model_type, task):
        return ""
    if model_type == timm_configs.MODEL_TYPE and config.get("num_classes") == 0:
        return timm_configs.BARE
    return architecture if tasks.bare(architecture) else ""


def _class_of(source: Source, model_type: str, task: Task, notes: list[str]) -> str:
    architecture = tasks.class_for(model_type, task)
    if not architecture:
        raise ModelRejectedError(
            f"{source.ref} does not say which model class it needs.",
            why=f"{files.CONFIG} has no architectures, and {model_type} has no single class for {task}",
            next_step=f"in a copy of the model, add architectures with that class to {files.CONFIG}",
        )
    notes.append(f"{files.CONFIG} names no architecture; taken from model type and task: {architecture}")
    return architecture


def _why_open(verdict: Verdict, tagged: Verdict) -> str:
    if verdict.tasks:
        return f"its {verdict.reason}, which serves {_or(verdict.tasks)}"
    if tagged.tasks:
        return f"its {tagged.reason}, which covers {_or(tagged.tasks)}"
    if verdict.headless:
        return f"its {verdict.reason}, and it names no head for a task"
    return "neither its architecture nor a pipeline tag says"


def _or(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _rejected(ref: str, rejection: Rejection, reason: str) -> ModelRejectedError:
    if rejection.vision:
        return ModelRejectedError(
            f"{ref} {rejection.says}: computer vision, not supported yet.",
            why=f"its {reason}",
            next_step=f"choose a model for {_or(tasks.TASKS)}",
        )
    return ModelRejectedError(
        f"{ref} {rejection.says}; porter ports computer-vision models.",
        why=f"its {reason}",
        next_step=f"choose a model for {_or(tasks.TASKS)}",
    )


def _pickled(pickles: Sequence[str], contents: Contents) -> str:
    sizes = {file.path: file.size for file in contents.files}
    size = sum(sizes.get(name, 0) for name in pickles) / 1e6
    shown = ", ".join(pickles[:2]) + (f" and {len(pickles) - 2} more" if len(pickles) > 2 else "")
    return (
        f"the weights are pickles ({shown}, {size:.1f} MB): their tensors are known only after a port "
        "has read them in the sandbox, as plain weights"
    )


def _no_weights(source: Source, contents: Contents) -> ModelRejectedError:
    names = [file.path for file in contents.files]
    pickles = [name for name in names if name.endswith(_PICKLES) and "/" not in name]
    if pickles:
        return ModelRejectedError(
            f"{source.ref} has its weights only as pickles: {', '.join(pickles[:3])}.",
            why="opening a pickle runs code of whoever made it; porter reads safetensors",
            next_step="look for a safetensors conversion among the pull requests of its page and use "
            f"--revision refs/pr/NUMBER, or {_CONVERT}"
            if source.kind == "hub"
            else _CONVERT,
        )
    looks = configs.looks_like(contents)
    return ModelRejectedError(
        f"{source.ref} has no safetensors weights.",
        why=f"it looks like {looks}" if looks else "neither model.safetensors nor its index is there",
        next_step="choose a model that was saved with save_pretrained()",
    )
