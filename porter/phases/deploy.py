"""Phase 4: the deploy package, and what of it can be proven without and with TensorRT."""

from __future__ import annotations

from collections.abc import Iterator

from porter.gates import deploy, docs, engines
from porter.gates.results import blocked, passed
from porter.generate.values import PortContext
from porter.phases.files import apply_plan
from porter.phases.implement import context_of
from porter.records.gates import GateResult
from porter.records.plan import FilePlan
from porter.records.reference import DeployReference
from porter.session import PortSession, templates_digest

_NEEDING_CLONE = (
    "deploy-reference",
    "deploy-files",
    "deploy-imports",
    "deploy-specs",
    "deploy-preprocessing",
    "engine-fp32",
    "engine-fp16",
    "engine-int8",
    "engine-qdq",
    "deploy-inference",
    "deploy-evaluate",
    "deploy-entrypoint",
)


def run(session: PortSession) -> Iterator[GateResult]:
    """Generate the deploy package, then run it: engines, inference, evaluation, console command."""
    if not session.tao.has_deploy:
        yield from (blocked(gate, session.tao.why_no_deploy) for gate in _NEEDING_CLONE)
        if not session.dry_run:
            yield deploy.parser_gate(session, context_of(session))
        return
    reference = _reference(session)
    yield passed(
        "deploy-reference",
        f"tao-deploy {reference.release.version or reference.release.commit[:10]}: "
        f"{len(reference.symbols)} symbols, {len(reference.hooks)} hooks",
        hooks=list(reference.hooks),
        evidence=list(reference.release.evidence),
    )
    context = deploy_context_of(session, reference)
    plan = _file_plan(session, context, reference)
    yield apply_plan(session, plan, "deploy-files", ["tao-deploy"])
    if session.dry_run:
        return
    yield from deploy.package_gates(session, context, plan)
    yield deploy.preprocessing_gate(session, context)
    yield deploy.parser_gate(session, context)
    yield from engines.engine_gates(session, context)
    yield engines.entrypoint_gate(session, context)


def _reference(session: PortSession) -> DeployReference:
    from porter.reference.deploy import read_deploy

    release = session.tao.release("tao-deploy")
    clone, network = session.tao.clone("tao-deploy"), session.reference.name
    core = None
    if session.tao.has_core:
        core = (session.tao.clone("tao-core"), session.tao.release("tao-core").commit)
    return session.journal.step(
        "deploy-reference",
        {"release": release, "network": network, "core": core[1] if core else ""},
        DeployReference,
        lambda: read_deploy(clone, release, network, core=core),
    )


def deploy_context_of(session: PortSession, reference: DeployReference) -> PortContext:
    """Return the template values of the deploy package."""
    from porter.generate.deploy import deploy_context

    context = context_of(session)
    return deploy_context(context, reference, year=session.options.year)


def _file_plan(session: PortSession, context: PortContext, reference: DeployReference) -> FilePlan:
    from porter import clones
    from porter.generate.deploy import build_deploy_plan
    from porter.generate.spec import read_settings

    settings = read_settings(session.options.settings, session.reference, context_of(session).schema)
    commit, paths = reference.release.commit, sorted(reference.setup_files)
    found = clones.committed(session.deploy_worktree, commit, paths)
    setups = {path: version.data.decode("utf-8") for path, version in found.items()}
    target = f"nvidia_tao_deploy.cv.{context.name}.entrypoint.{context.name}:main"
    return session.journal.step(
        "deploy-file-plan",
        {"context": context, "settings": settings, "setups": setups, "templates": templates_digest()},
        FilePlan,
        lambda: _with_docs(
            session,
            reference,
            build_deploy_plan(context, settings=settings, setups=setups, console_target=target),
        ),
    )


def _with_docs(session: PortSession, reference: DeployReference, plan: FilePlan) -> FilePlan:
    files = (*plan.files, *docs.docs_edits(session, reference, plan.files))
    return FilePlan(files=tuple(sorted(files, key=lambda file: file.path)))
