"""Phase 3: generate, convert, and prove that the result trains."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from porter.errors import UsageError
from porter.gates import ledgers, runs, weights
from porter.gates.results import passed
from porter.generate.fileplan import SPEC, build_file_plan
from porter.generate.values import PortContext
from porter.phases.files import apply_plan
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts
from porter.records.plan import FilePlan
from porter.records.reference import CoreReference, Repo
from porter.records.weights import (
    BuildTargetRequest,
    Conversion,
    ConvertRequest,
    TargetModule,
    TargetSpec,
    WeightPlan,
)
from porter.session import PortSession, templates_digest
from porter.views import write_classes

_PACKAGE = "nvidia_tao_pytorch"
_PACKAGES: dict[Repo, str] = {"tao-core": "nvidia_tao_core", "tao-pytorch": _PACKAGE}


def run(session: PortSession) -> Iterator[GateResult]:
    """Plan files and weights on a stage, apply the files, convert, and run every proof."""
    context = context_of(session)
    plan = _file_plan(session, context)
    _confirm_schema(session, context)
    scratch = _scratch(session, plan)
    try:
        built = _build(session, scratch, context)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    yield passed(
        "model-builds",
        f"{built.kind.partition(':')[2]}: {built.parameters} parameters in {len(built.tensors)} tensors",
        kind=built.kind,
        parameters=built.parameters,
    )
    weight_plan = weights.plan(session, built)
    yield weights.ledger_gate(session, weight_plan, built)
    written = [repo for repo in _PACKAGES if repo in session.tao.repos]
    files = apply_plan(session, plan, "files", written)
    yield files
    if session.dry_run:
        return
    if {"kept", "merged"} & set(files.evidence["files"].values()):
        # A person's edit is in: what the stage built is not what lies there.
        built = _build(session, session.worktree, context, "target-edited")
        weight_plan = weights.plan(session, built, "weight-plan-edited")
        yield weights.ledger_gate(session, weight_plan, built)
    target = target_spec(session, context)
    conversion = _convert(session, weight_plan, target)
    rules = weights.rules_name(session)
    ledgers.write_ledger(session, weight_plan, built, conversion, rules)
    yield passed(
        "conversion",
        f"{Path(conversion.checkpoint).name}: {conversion.tensors} tensors, {conversion.size / 1e6:.0f} MB, "
        f"memory {conversion.peak_anon / 1e6:.0f} of {conversion.limit_anon / 1e6:.0f} MB",
        **{name: getattr(conversion, name) for name in ("sha256", "largest_tensor", "peak_anon", "seconds")},
    )
    yield from runs.module_gates(session, context)
    yield from weights.parity_gates(session, weight_plan, target, conversion)
    noted = session.journal.made("ledger-noted", WeightPlan)
    session.journal.step(
        "ledger-file",
        {"plan": noted, "conversion": conversion, "rules": rules},
        str,
        lambda: ledgers.write_ledger(session, noted, built, conversion, rules),
        outputs=lambda path: [Path(path)],
    )
    yield from runs.script_gates(session, context, conversion)
    yield weights.onnx_gate(session, context, trained_spec(session, context, target))
    yield runs.entrypoint_gate(session, context)


def checkpoint_path(session: PortSession) -> Path:
    """Return where the converted checkpoint lies."""
    return session.workspace.results / "checkpoint" / f"{session.options.name}.pth"


def target_spec(session: PortSession, context: PortContext, root: Path | None = None) -> TargetSpec:
    """Return how probes build the generated network from *root* (the worktree)."""
    root = root or session.worktree
    package, generated = f"{_PACKAGE}.cv.{context.name}", session.reference.generated
    return TargetSpec(
        package_root=str(root),
        config=f"{context.config_root}.{context.name}.default_config:ExperimentConfig",
        spec=str(root / SPEC.format(name=context.name)),
        builder=f"{package}.{generated.builder}",
        pl_module=f"{package}.{generated.pl_module}:{context.prefix}PlModel",
        data_module=f"{package}.{generated.data_module}:{context.prefix}DataModule",
        overrides={"results_dir": str(session.workspace.results)},
        backbone_weights=generated.backbone_weights,
        classes=session.family.probe_classes(context.num_classes),
    )


def trained_spec(session: PortSession, context: PortContext, target: TargetSpec) -> TargetSpec:
    """Return how probes build the network that the gates trained: with the dataset's classes."""
    classes = session.journal.made("dataset", DatasetFacts).classes
    own = context.class_values(classes)
    names = session.family.probe_classes(len(classes))
    return msgspec.structs.replace(target, overrides={**target.overrides, **own}, classes=names)


def context_of(session: PortSession) -> PortContext:
    """Return the template values of the port; the year is settled the first time."""
    options = session.options
    if not options.year:
        import datetime

        session.settle(year=datetime.datetime.now(tz=datetime.timezone.utc).year)
    return session.family.context(
        session.inspection,
        session.choice,
        name=options.name,
        year=session.options.year,
        classes=session.classes,
    )


def _core_context(session: PortSession, context: PortContext) -> PortContext | None:
    """Return the values of the copy in a tao-core that was given, though the repositories need none."""
    from porter.generate.deploy import core_context
    from porter.reference.deploy import read_core

    if session.tao.has_core or "tao-core" not in session.tao.repos:
        return None
    release, network = session.tao.release("tao-core"), session.reference.name
    core = session.journal.step(
        "core-reference",
        {"release": release, "network": network},
        CoreReference,
        lambda: read_core(session.tao.clone("tao-core"), release, network),
    )
    return core_context(context, core, year=session.options.year)


def _file_plan(session: PortSession, context: PortContext) -> FilePlan:
    from porter import clones
    from porter.generate.spec import read_settings

    settings = read_settings(session.options.settings, session.reference, context.schema)
    commit = session.reference.release.commit
    setup = clones.committed(session.worktree, commit, ["setup.py"])["setup.py"].data.decode("utf-8")
    target = f"{_PACKAGE}.cv.{context.name}.entrypoint.{context.name}:main"
    core = _core_context(session, context)
    return session.journal.step(
        "file-plan",
        {
            "context": context,
            "core": core,
            "settings": settings,
            "setup": setup,
            "templates": templates_digest(),
        },
        FilePlan,
        lambda: build_file_plan(context, settings=settings, setup=setup, console_target=target, core=core),
    )


def _confirm_schema(session: PortSession, context: PortContext) -> None:
    def agree() -> bool:
        lines = [
            f"  {item.name}({item.base}): "
            + ", ".join(f"{f.name}={f.value!r}" for f in item.fields if f.helper != "DATACLASS_FIELD")
            for item in context.schema.classes
            if item.name != "ExperimentConfig"
        ]
        session.ui.info("config schema:\n" + "\n".join(lines))
        if not session.ui.confirm("Build the trainer on this schema?"):
            raise UsageError(
                "The schema was not confirmed; nothing was written into the clones.",
                next_step=f"edit [settings] in {session.workspace.options_file}, then porter resume "
                f"{session.workspace.root}",
            )
        return True

    session.journal.step("schema-confirmed", {"schema": context.schema}, bool, agree)


def _scratch(session: PortSession, plan: FilePlan) -> Path:
    """Lay the planned files over a throw-away copy of the package."""
    scratch = session.workspace.state / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    for repo in _homes(session):
        package = _PACKAGES[repo]
        shutil.copytree(
            session.workspace.clone_path(repo) / package,
            scratch / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for file in (file for file in plan.files if file.repo in _homes(session)):
        path = scratch / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content.encode("utf-8"))
    return scratch


def _homes(session: PortSession) -> tuple[Repo, ...]:
    """Return the repositories that the trainer and its schema lie in."""
    return ("tao-core", "tao-pytorch") if session.tao.has_core else ("tao-pytorch",)


def _build(session: PortSession, root: Path, context: PortContext, step: str = "target") -> TargetModule:
    request = BuildTargetRequest(target=target_spec(session, context, root))
    plan = session.journal.made("file-plan", FilePlan)
    inputs: dict[str, Any] = {"plan": plan, "environment": session.runtimes.environment().digest}
    if root == session.worktree:
        inputs["worktree"] = session.code()
    return session.journal.step(
        step,
        inputs,
        TargetModule,
        lambda: session.probe("build_target", request, TargetModule, read=[root]),
    )


def _convert(session: PortSession, plan: WeightPlan, target: TargetSpec) -> Conversion:
    path = checkpoint_path(session)
    if session.classes:
        # The head's rows are in the labels' order; a dataset root that has this file keeps it.
        write_classes(path.parent, session.classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = session.inspection.source.folder
    request = ConvertRequest(
        folder=folder,
        plan=plan,
        checkpoint=str(path),
        safetensors=str(path.with_suffix(".safetensors")),
        target=target if plan.computed else None,
    )
    read = [folder, *([str(session.worktree)] if plan.computed else [])]
    return session.journal.step(
        "conversion",
        {"plan": plan, "source": session.source, "environment": session.runtimes.environment().digest},
        Conversion,
        lambda: session.probe("convert", request, Conversion, read=read, write=[path.parent]),
        outputs=lambda done: [Path(done.checkpoint), Path(done.safetensors)],
    )
