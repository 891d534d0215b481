"""Phase 1: what the model is, whose clones it goes into, and what it does in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from porter.errors import ModelRejectedError, UsageError
from porter.gates.results import blocked, failed, passed
from porter.phases import head, pickles
from porter.phases.obtain import missing, obtain
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts, Inspection, ModelProbe, Source
from porter.records.probes import InspectModel
from porter.records.reference import Reference, Release, Repo
from porter.session import PortSession

_ONNX_TOLERANCE = 1e-3


def run(session: PortSession) -> Iterator[GateResult]:
    """Inspect the model, make the worktrees, check the images, probe the model in the sandbox."""
    with session.inspecting():
        yield from _run(session)


def _run(session: PortSession) -> Iterator[GateResult]:
    source = _source(session)
    inspection = _inspection(session, source)
    _refuse_count(session, inspection)
    wanted = missing(session)
    if "tao-pytorch" in wanted:
        obtain(session, wanted)
    reference = _references(session, inspection)[0]
    yield _model_gate(session, inspection, reference.release)
    _settle_name(session, inspection, reference)
    if wanted and "tao-pytorch" not in wanted:
        obtain(session, wanted)
        reference = _references(session, inspection)[0]
    yield _clones_gate(session, reference.release)
    yield _environment_gate(session, reference.release)
    yield _dataset_gate(session, inspection, reference)
    _download(session, source)
    inspection = pickles.read(session, inspection)
    inspection = head.add(session, inspection)
    probe = _probe(session, inspection)
    yield _state_gate(inspection, probe)
    yield _onnx_gate(inspection, probe)


def _refuse_count(session: PortSession, inspection: Inspection) -> None:
    """Turn away a number of classes that is none, before anything is made."""
    from porter import dataset

    dataset.asked_classes(session.options.settings, inspection.labels)


def suggest_name(inspection: Inspection) -> str:
    """Return a snake_case network name made from the model's own name."""
    last = re.split(r"[\\/]", inspection.source.ref.rstrip("/\\"))[-1]
    words = re.findall(r"[a-z0-9]+", last.lower())
    name = "_".join(words)
    return name if name[:1].isalpha() else f"{inspection.model_type}_{name}".strip("_")


def _source(session: PortSession) -> Source:
    from porter import hub

    options = session.options

    def resolve() -> Source:
        with session.ui.working(f"looking at {options.source}"):
            return hub.resolve(options.source, revision=options.revision)

    inputs = session.inputs(1)
    known = {key: inputs[key] for key in ("source", "revision", "files")}
    return session.journal.step("source", known, Source, resolve)


def _inspection(session: PortSession, source: Source) -> Inspection:
    from porter import inspection

    task = session.options.task

    def look() -> Inspection:
        return inspection.inspect(source, task=task, ask=session.ui.ask_task)

    found = session.journal.step("inspection", {"source": source, "task": task}, Inspection, look)
    if found.task.source == "answer":
        session.settle(task=found.task.task)
    return found


def _references(session: PortSession, inspection: Inspection) -> tuple[Reference, ...]:
    """Read the networks for the task from the base commit: they say which names and types are possible."""
    from porter.families import FAMILIES
    from porter.reference.choose import read_candidates
    from porter.reference.fit import check_fit
    from porter.reference.network import networks_for

    task = inspection.task.task
    if session.options.embedded and task != "image-classification":
        raise ModelRejectedError(
            f"The embedded kit has no network for {task}.",
            why="it is there to show and try porter, with image classification alone",
            next_step="leave --embedded out, or name clones: --tao-pytorch PATH --tao-deploy PATH",
        )
    release = session.tao.release()
    releases = {repo: session.tao.release(repo) for repo in session.tao.repos}
    clones = {repo: session.tao.clone(repo) for repo in session.tao.repos}
    check_fit(releases, clones)
    others: dict[Repo, Path] = {repo: clones[repo] for repo in _others(session)}
    commits: dict[Repo, str] = {repo: releases[repo].commit for repo in others}
    read = {repo: [str(path), commits[repo]] for repo, path in others.items()}
    references = session.journal.step(
        "references",
        {
            "release": release,
            "others": read,
            "networks": [network.name for network in networks_for(task, release.layout)],
        },
        tuple[Reference, ...],
        lambda: read_candidates(clones["tao-pytorch"], release, task, others=others, commits=commits),
    )
    if not references:
        raise ModelRejectedError(
            f"porter cannot port {task} models yet; this version ports {' and '.join(FAMILIES)}.",
            why=inspection.task.reason,
            next_step="if the model is an image classifier, say so: --task image-classification",
        )
    return references


def _others(session: PortSession) -> tuple[Repo, ...]:
    """Return the further clones; they get a worktree on the same branch."""
    return tuple(repo for repo in session.tao.repos if repo != "tao-pytorch")


def _model_gate(session: PortSession, inspection: Inspection, release: Release) -> GateResult:
    from porter.sandbox.requirements import read_set
    from porter.support import check_supported

    ships = ""
    if release.environment:
        from porter.sandbox.requirements import pins

        ships = pins(read_set(release.environment), "3.11").get("transformers", "")
    if ships:
        check_supported(inspection, ships)
    missing = session.family.lacking(inspection)
    if missing:
        return failed(
            "model",
            f"{inspection.source.ref} lacks {', '.join(missing)}",
            fix="complete a local copy of the model and port that folder",
        )
    _refuse_processor(inspection)
    return passed(
        "model",
        f"{inspection.architecture}, {inspection.task.task} ({inspection.task.source}), "
        + (f"a new head for {inspection.bare}, " if inspection.bare else _labels(inspection))
        + (f"{len(inspection.tensors)} tensors" if inspection.tensors else "weights in pickles"),
        task=inspection.task.task,
        reason=inspection.task.reason,
        image_size=inspection.image_size,
        licence=inspection.licence.name or "not stated",
        sha=inspection.source.sha,
    )


def _labels(inspection: Inspection) -> str:
    return f"{len(inspection.labels)} labels, " if inspection.labels else ""


def _refuse_processor(inspection: Inspection) -> None:
    """Turn a model away whose image processor cannot be carried over, before anything is made."""
    from porter.generate.values import mode_of, resize_of

    size, processor = inspection.image_size, inspection.processor
    if size is not None and processor is not None:
        resize_of(processor, size, mode_of(inspection.channels))


def _settle_name(session: PortSession, inspection: Inspection, reference: Reference) -> None:
    from porter.reference.names import name_taken

    options = session.options
    name = options.name
    if not name:
        suggestion = suggest_name(inspection)
        session.ui.info(
            f"{inspection.source.ref}: {inspection.architecture}, {inspection.task.task}, "
            f"{_labels(inspection)}licence {inspection.licence.name or 'not stated'}"
        )
        name = session.ui.ask("Network name in TAO", default=suggestion, option="--name NAME")
        while session.ui.interactive and (reason := name_taken(reference, name)):
            session.ui.warn(f"It cannot be called {name}: {reason}.")
            name = session.ui.ask("Network name in TAO", default=suggestion, option="--name NAME")
    reason = name_taken(reference, name)
    if reason:
        raise UsageError(f"The port cannot be called {name!r}: {reason}.", next_step="choose another --name")
    if name != options.name or not options.branch:
        session.settle(name=name, branch=options.branch or f"feature/add-{name}")


def _clones_gate(session: PortSession, release: Release) -> GateResult:
    from porter import clones
    from porter.borrow import borrow

    options = session.options
    commits = {}
    for repo in ("tao-pytorch", *_others(session)):
        clone = session.tao.clone(repo)
        if session.dry_run:
            # The branch of the port itself is no branch of somebody else.
            there = session.against
            own = options.branch if there and clones.read_record(there, repo) else ""
            clone = borrow(clone, session.workspace.state / "borrowed" / repo, without=own)
        with session.ui.working(f"making the worktree of {repo}"):
            record = clones.prepare(repo, clone, session.workspace, options.branch, session.tao.base(repo))
        commits[repo] = record.commit
    return passed(
        "clones",
        f"tao-pytorch {release.version} ({release.layout} layout) at "
        f"{commits['tao-pytorch'][:10]}, branch {options.branch}",
        commits=commits,
        release=release.version,
        evidence=list(release.evidence),
        worktree=str(session.worktree),
    )


def _environment_gate(session: PortSession, release: Release) -> GateResult:
    environment = session.runtimes.environment(release)
    names = ("torch", "transformers", "timm", "pytorch-lightning", "nvidia-tao-core", "onnx", "onnxruntime")
    versions = {name: environment.versions[name] for name in names if name in environment.versions}
    return passed(
        "environment",
        f"{environment.name} with transformers {versions.get('transformers')}",
        versions=versions,
        digest=environment.digest,
    )


def _dataset_gate(session: PortSession, inspection: Inspection, reference: Reference) -> GateResult:
    from porter import dataset

    facts = session.journal.step(
        "dataset",
        {
            "data": session.options.data,
            "labels": dataset.asked_labels(session.options.settings, inspection.labels),
            "size": inspection.image_size,
            "listing": dataset.listing(session.options.data),
        },
        DatasetFacts,
        lambda: _dataset(session, inspection, reference),
        outputs=lambda found: [Path(found.root)] if found.generated else [],
    )
    counts = ", ".join(f"{split.name} {sum(split.images.values())}" for split in facts.splits)
    what = "generated" if facts.generated else "given"
    return passed(
        "dataset",
        f"{what}: {counts} images"
        + (
            f" of {len(facts.classes)} classes; against the labels: {facts.against_labels}"
            if facts.classes
            else ""
        ),
        notes=list(facts.notes),
        root=facts.root,
    )


def _dataset(session: PortSession, inspection: Inspection, reference: Reference) -> DatasetFacts:
    from porter import dataset

    settings, family = session.options.settings, session.family
    if session.options.data:
        facts = family.given(session, inspection, reference, Path(session.options.data))
        dataset.refuse_other_count(facts, settings, inspection.labels)
        return facts
    return family.made(session, inspection, settings, session.workspace.state / "data")


def _download(session: PortSession, source: Source) -> None:
    from porter import hub

    if hub.is_complete(source):
        return
    if not session.ui.confirm(f"Download the weights of {source.ref}?"):
        raise UsageError(
            "Without the weights there is nothing to port.", next_step="porter resume, and say yes"
        )
    with session.ui.working(f"downloading {source.ref}"):
        hub.download(source, progress=lambda name, here, size: session.ui.progress(f"{name}: {here}/{size}"))


def _probe(session: PortSession, inspection: Inspection) -> ModelProbe:
    source = inspection.source
    request = InspectModel(
        folder=source.folder,
        architecture=inspection.architecture,
        head=session.family.linear_head,
        image_size=inspection.image_size or (224, 224),
        channels=inspection.channels,
        tolerance=_ONNX_TOLERANCE,
    )
    return session.journal.step(
        "model-probe",
        {"source": source, "request": request, "environment": session.runtimes.environment().digest},
        ModelProbe,
        lambda: session.probe(
            "inspect_model",
            request,
            ModelProbe,
            read=[source.folder],
            error=ModelRejectedError,
        ),
    )


def _state_gate(inspection: Inspection, probe: ModelProbe) -> GateResult:
    """Hold the headers against what the model loaded: nothing missing, nothing ignored, equal shapes."""
    from porter.support import reject_unloadable

    reject_unloadable(inspection, probe)
    stored = {tensor.name: tensor.shape for tensor in inspection.tensors}
    loaded = {tensor.name: tensor.shape for tensor in probe.state}
    problems = [f"unexpected {name}" for name in probe.unexpected]
    problems += [
        f"shape of {name}" for name in sorted(stored) if stored[name] != loaded.get(name, stored[name])
    ]
    if problems:
        return failed(
            "source-state",
            f"the checkpoint does not fit {inspection.architecture}: {', '.join(problems[:5])}"
            + (f" and {len(problems) - 5} more" if len(problems) > 5 else ""),
            fix="the weights are of another architecture than config.json names",
            problems=problems,
        )
    head = probe.head
    if head is not None and not head.separable:
        return failed(
            "source-state",
            f"the classification head cannot be told from the body: {head.reason}",
            fix="porter reads heads that are one linear layer over the body",
        )
    return passed(
        "source-state",
        f"{len(loaded)} tensors, none missing or unexpected; head {head.prefix if head else 'none'}"
        + (f", which {inspection.bare} does not have and porter began anew" if inspection.bare else ""),
        transformers=probe.transformers,
        head=list(head.tensors) if head else [],
        tied=[list(group) for group in probe.tied],
    )


def _onnx_gate(inspection: Inspection, probe: ModelProbe) -> GateResult:
    from porter.support import reject_unexportable, rewritable

    reject_unexportable(inspection, probe)
    if stopped := rewritable(inspection, probe):
        where = f" in {stopped.module}" if stopped.module else ""
        what = f"{stopped.operator}{where}" if stopped.operator else stopped.error
        return passed(
            "onnx-sanity",
            f"not as transformers has it ({what}); phase 2 exports a copy that is rewritten there",
            error=stopped.error,
            operator=stopped.operator,
            module=stopped.module,
        )
    worked = next((attempt for attempt in probe.exports if attempt.ok), None)
    if worked is None:
        return blocked("onnx-sanity", "no ONNX export was tried")
    if worked.exporter == "dynamo":
        broken = probe.exports[0]
        return failed(
            "onnx-sanity",
            f"only torch.export exports it; TAO's exporter stops at {broken.operator} in {broken.module}",
            text=broken.error,
            fix=broken.workaround,
        )
    error = probe.max_relative_error
    evidence: dict[str, Any] = {"opset": worked.opset, "attention": worked.attention, "relative": error}
    if error is None or not error <= _ONNX_TOLERANCE:
        return failed("onnx-sanity", f"ONNX Runtime differs from torch by {error}", **evidence)
    return passed(
        "onnx-sanity", f"opset {worked.opset}, ONNX Runtime within {error:.1e} of torch", **evidence
    )
