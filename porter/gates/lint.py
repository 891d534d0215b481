"""Gates of phase 6: the repositories' own lint on what the port wrote; only new findings fail."""

from __future__ import annotations

import itertools
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from porter.gates.findings import LINTERS, hook_arguments, new_findings, read_end, recorded, steps
from porter.gates.results import blocked, failed, passed
from porter.records.gates import GateResult
from porter.records.plan import FilePlan, PlannedFile
from porter.records.reference import Repo
from porter.records.validate import Finding, LintAnswer, LintRequest, LintStep
from porter.session import PortSession

RCFILE = ".pylintrc"
HOOKS = ".pre-commit-config.yaml"
RECORD = "references/lint.toml"
_PLANS: dict[Repo, str] = {"tao-pytorch": "file-plan", "tao-deploy": "deploy-file-plan"}


def lint_gate(session: PortSession, repo: Repo) -> GateResult:
    """Run flake8, pydocstyle and pylint as the repository's hooks run them."""
    gate = f"lint-{repo}"
    if repo == "tao-deploy" and not session.tao.has_deploy:
        return blocked(gate, session.tao.why_no_deploy)
    worktree = session.workspace.clone_path(repo)
    plan = session.journal.made(_PLANS[repo], FilePlan)
    files = _sources(session, plan, repo)
    arguments, sources = _arguments(session, repo)
    asked = steps(arguments, str(worktree), [file.path for file in files])
    # The schema is linted with the trainer that it came with, wherever it lies.
    if schema := _sources(session, plan, "tao-core"):
        core = session.workspace.clone_path("tao-core")
        asked += steps(arguments, str(core), [file.path for file in schema])
    edited = [file.path for file in files if file.action == "edit"]
    base = session.workspace.state / "work" / f"lint-{repo}" / "base"
    asked_before = steps(arguments, str(base), edited) if edited else ()

    def execute() -> GateResult:
        _lay_base(session, repo, edited, base)
        # Both repositories import what lies in them; the base of an edited file imports its neighbours.
        roots = [session.workspace.clone_path(each) for each in _homes(session, repo)]
        if schema and not session.tao.has_core:
            roots.append(session.workspace.clone_path("tao-core"))
        answer = session.probe(
            "run_linters",
            LintRequest(steps=(*asked, *asked_before)),
            LintAnswer,
            read=[base],
            packages=roots,
            runtime="rehearsal",
        )
        return session.with_command(_verdict(gate, asked, asked_before, answer, sources))

    rules = [
        session.fingerprint(session.workspace.clone_path(home) / RCFILE) for home in _homes(session, repo)
    ]
    inputs = {"asked": asked, "before": asked_before, "sources": sources, "rules": rules}
    tools = session.runtimes.rehearsal.digest
    return session.prove(gate, {**inputs, "tools": tools}, GateResult, execute, repos=(repo,))


def _sources(session: PortSession, plan: FilePlan, repo: Repo) -> list[PlannedFile]:
    """Return the modules of the plan that lie in the worktree of *repo*."""
    worktree = session.workspace.clone_path(repo)
    return [
        file
        for file in plan.files
        if file.repo == repo and file.path.endswith(".py") and (worktree / file.path).is_file()
    ]


def _homes(session: PortSession, repo: Repo) -> tuple[Repo, ...]:
    """Return the clones that may say how *repo* is linted: itself, then tao-deploy."""
    return (repo, "tao-deploy") if session.tao.has_deploy and repo != "tao-deploy" else (repo,)


def _arguments(session: PortSession, repo: Repo) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the arguments of every linter, and by linter where they are from."""
    arguments, sources = dict(recorded()), dict.fromkeys(LINTERS, RECORD)
    for home in reversed(_homes(session, repo)):
        for linter, found, source in _own_arguments(session.workspace.clone_path(home)):
            arguments[linter], sources[linter] = found, f"{source} of {home}"
    return arguments, sources


def _own_arguments(worktree: Path) -> Iterator[tuple[str, list[str], str]]:
    if (worktree / RCFILE).is_file():
        yield "pylint", [f"--rcfile={worktree / RCFILE}"], RCFILE
    if (worktree / HOOKS).is_file():
        text = (worktree / HOOKS).read_text(encoding="utf-8", errors="replace")
        yield from ((linter, found, HOOKS) for linter, found in hook_arguments(text, worktree).items())


def _lay_base(session: PortSession, repo: Repo, paths: Sequence[str], folder: Path) -> None:
    """Lay out edited files as the commit has them that the port began from."""
    from porter import clones

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record = clones.read_record(session.workspace, repo)
    commit = record.commit if record else "HEAD"
    for path, version in clones.committed(session.workspace.clone_path(repo), commit, paths).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(version.data)


def _verdict(
    gate: str,
    asked: Sequence[LintStep],
    asked_before: Sequence[LintStep],
    answer: LintAnswer,
    sources: dict[str, str],
) -> GateResult:
    tools = tuple(dict.fromkeys(step.tool for step in asked))
    count = sum(len(step.files) for step in asked) // len(tools)
    evidence: dict[str, Any] = {
        "files": count,
        "commands": {step.tool: shlex.join(step.argv) for step in reversed(asked)},
        "arguments from": sources,
        "versions": answer.versions,
    }
    read: list[tuple[Finding, ...]] = []
    for step, end in zip((*asked, *asked_before), answer.ends, strict=True):
        try:
            read.append(read_end(step, end))
        except ValueError as error:
            text = f"{end.out}\n{end.err}"
            return failed(gate, f"{step.tool} did not do its work: {error}", text=text, **evidence)
    after, before = read[: len(asked)], read[len(asked) :]
    new, known = new_findings([*itertools.chain(*after)], [*itertools.chain(*before)])
    evidence |= {
        "known": known,
        "found": [f"{item.path}:{item.line}: {item.tool} {item.code} {item.text}" for item in new],
    }
    if new:
        first = new[0]
        return failed(
            gate,
            f"{len(new)} new findings; {first.path}:{first.line}: {first.code} {first.text}",
            fix="mend it in the worktree (porter keeps your edit); in generated text it is porter's bug",
            **evidence,
        )
    already = f"; {known} in edited files {'was' if known == 1 else 'were'} there before" if known else ""
    said = f"{count} files, no new finding of {', '.join(tools)}{already}"
    return passed(gate, said, **evidence)
