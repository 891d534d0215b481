"""Documentation pages that a clone's own tool writes: the tool runs in the sandbox, on a throw-away copy."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from porter import git
from porter.errors import SandboxError
from porter.gates.results import blocked, failed, log_tail, passed
from porter.records.gates import GateResult
from porter.records.plan import PlannedFile
from porter.records.reference import DeployReference
from porter.session import PortSession

_READ = ("setup.py", "nvidia_tao_deploy")


def docs_edits(
    session: PortSession, reference: DeployReference, planned: Sequence[PlannedFile]
) -> tuple[PlannedFile, ...]:
    """Return the page as the clone's tool writes it once *planned* is there; nothing without such a tool.

    Raises:
        SandboxError: the tool failed.
    """
    if not reference.docs_tool:
        return ()
    copy = _copy(session, reference)
    for file in planned:
        (copy / file.path).parent.mkdir(parents=True, exist_ok=True)
        (copy / file.path).write_bytes(file.content.encode("utf-8"))
    text = _run(session, reference, copy)
    shutil.rmtree(copy, ignore_errors=True)
    return (
        PlannedFile(
            repo="tao-deploy",
            path=reference.docs_page,
            action="edit",
            content=text,
            produced_by=reference.docs_tool,
        ),
    )


def docs_gate(session: PortSession) -> GateResult:
    """Run the tool on what the worktree holds now: the page must not change."""
    gate = "docs-table"
    if not session.tao.has_deploy:
        return blocked(gate, session.tao.why_no_deploy)
    reference = session.journal.made("deploy-reference", DeployReference)
    if not reference.docs_tool:
        return passed(gate, "neither clone has a tool that writes documentation from its console commands")
    place = session.deploy_worktree / reference.docs_page
    if not place.is_file():
        back = f"git -C {session.deploy_worktree} checkout -- {reference.docs_page}"
        return failed(gate, f"{reference.docs_page} is gone from the worktree", fix=f"{back}; porter resume")
    tools = session.runtimes.of("rehearsal").digest
    text = session.prove(
        "docs-table", {"tools": tools}, str, lambda: _again(session, reference), repos=("tao-deploy",)
    )
    if place.read_bytes() != text.encode("utf-8"):
        return failed(
            gate,
            f"{reference.docs_page} is not what {reference.docs_tool} writes",
            fix=f"python {reference.docs_tool} in {session.deploy_worktree}",
        )
    line = next((line for line in text.splitlines() if f"`{session.options.name}`" in line), "")
    if not line:
        return failed(gate, f"{reference.docs_page} does not list {session.options.name}")
    return passed(gate, f"{reference.docs_page} is what {reference.docs_tool} writes", line=line)


def _again(session: PortSession, reference: DeployReference) -> str:
    copy, worktree = _copy(session, reference), session.deploy_worktree
    # What a sparse checkout leaves out is no change, so its rows stay.
    changed = git.names(
        worktree, "diff", "--name-only", "--no-renames", "-z", reference.release.commit, "--", *_READ
    )
    for name in (*changed, reference.docs_page):
        source, target = worktree / name, copy / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            target.unlink(missing_ok=True)
    text = _run(session, reference, copy)
    shutil.rmtree(copy, ignore_errors=True)
    return text


def _copy(session: PortSession, reference: DeployReference) -> Path:
    """Lay out what the tool reads, as the commit has it."""
    copy = session.workspace.state / "work" / "docs"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    names = (*_READ, reference.docs_tool, reference.docs_page)
    packed = git.output(session.deploy_worktree, "archive", reference.release.commit, "--", *names)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(copy, filter="data")
    return copy


def _run(session: PortSession, reference: DeployReference, copy: Path) -> str:
    result = session.command(
        "docs-table", [str(copy / reference.docs_tool)], write=[copy], runtime="rehearsal"
    )
    if result.exit_code != 0:
        raise SandboxError(
            f"tao-deploy's {reference.docs_tool} failed",
            why=log_tail(result.log, 5),
            next_step=f"the whole output is in {result.log}",
        )
    return (copy / reference.docs_page).read_bytes().decode("utf-8")
