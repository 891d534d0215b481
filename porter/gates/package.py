"""Gates of phase 5 about packaging: console commands in every setup file, licence headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from porter.gates.results import failed, log_tail, passed
from porter.generate.fileplan import NETWORK
from porter.records.gates import GateResult
from porter.records.plan import FilePlan
from porter.records.reference import CoreReference, DeployReference, Repo
from porter.records.validate import TextRun
from porter.session import PortSession

CHECKER = ".github/hooks/check_license_header.py"
"""tao-deploy's own check of licence headers, where the clone has it."""

_PACKAGES: dict[Repo, str] = {"tao-pytorch": "nvidia_tao_pytorch", "tao-deploy": "nvidia_tao_deploy"}
_CHOICES = re.compile(r"\{([\w,\s]+)\}")
SUBTASKS: dict[Repo, tuple[str, ...]] = {
    "tao-pytorch": ("train", "evaluate", "inference", "export"),
    "tao-deploy": ("gen_trt_engine", "inference", "evaluate"),
}
"""What the command of each repository is asked for."""


def _repos(session: PortSession) -> tuple[Repo, ...]:
    return ("tao-pytorch", "tao-deploy") if session.tao.has_deploy else ("tao-pytorch",)


def console_gate(session: PortSession) -> GateResult:
    """Look for the command in every setup file, and have each ask for its subtasks."""
    from porter.reference.names import console_scripts

    gate, name = "console-scripts", session.options.name
    problems, said, evidence = [], [], {}
    for repo in _repos(session):
        worktree = session.workspace.clone_path(repo)
        target = f"{_PACKAGES[repo]}.cv.{name}.entrypoint.{name}:main"
        setups = [path for path in ("setup.py", "setup_l4t.py") if (worktree / path).is_file()]
        for path in setups:
            found = console_scripts((worktree / path).read_text(encoding="utf-8")).get(name)
            evidence[f"{repo}/{path}"] = found or ""
            if found != target:
                problems.append(f"{path} of {repo} declares {found or 'no such command'}, not {target}")
        if not setups:
            problems.append(f"{repo} has no setup file")
        problems += _help_problems(name, repo, _help(session, repo, target))
        said.append(f"{', '.join(setups)} of {repo}")
    if problems:
        return failed(gate, "; ".join(problems[:3]), text="\n".join(problems), scripts=evidence)
    return passed(
        gate, f"{name} in {' and '.join(said)}; it resolves there and lists its subtasks", scripts=evidence
    )


def _help_problems(name: str, repo: Repo, listed: TextRun) -> Iterator[str]:
    if listed.exit_code:
        last = (listed.text.strip().splitlines() or ["it printed nothing"])[-1]
        yield f"`{name} --help` of {repo} ended with {listed.exit_code}: {last}"
        return
    # argparse lists the choices of an argument in braces; a log line may well have the word "train".
    choices = {word.strip() for found in _CHOICES.findall(listed.text) for word in found.split(",")}
    absent = [task for task in SUBTASKS[repo] if task not in choices]
    if absent:
        yield f"`{name} --help` of {repo} does not list {', '.join(absent)}"


def _help(session: PortSession, repo: Repo, target: str) -> TextRun:
    """Load the entry point as an installed command would, and ask it for its help."""
    module, _, function = target.partition(":")
    name = session.options.name
    code = f"import sys; from {module} import {function}; sys.argv = [{name!r}, '--help']; {function}()"

    def ask() -> TextRun:
        work = session.workspace.state / "work" / f"help-{repo}"
        work.mkdir(parents=True, exist_ok=True)
        result = session.command(
            f"help-{repo}",
            ["-c", code],
            write=[work],
            packages=[session.workspace.clone_path(repo)],
            runtime=repo,
        )
        return TextRun(exit_code=result.exit_code, text=log_tail(result.log))

    return session.prove(f"help-{repo}", {"code": code}, TextRun, ask, repos=(repo,))


def headers_gate(session: PortSession) -> GateResult:
    """Compare the first lines of every generated file with its repository's licence header."""
    gate, wrong, count, bare = "licence-headers", [], 0, set()
    for repo, path, text, header in _generated(session):
        if not header:
            bare.add(repo)
            continue
        count += 1
        if not f"{text}\n".startswith(f"{header}\n"):
            first = text.splitlines()[0] if text else "nothing"
            wrong.append(f"{repo}/{path} begins with {first[:60]!r}")
    if wrong:
        return failed(gate, f"{len(wrong)} files without the header: {wrong[0]}", files=wrong)
    checked = _own_checker(session)
    if checked is not None and checked.exit_code != 0:
        lines = [line.strip() for line in checked.text.strip().splitlines()] or ["no reason given"]
        return failed(gate, f"tao-deploy's {CHECKER}: {' '.join(lines[:2])}", text=checked.text)
    also = f"; tao-deploy's own {CHECKER} agrees" if checked is not None else ""
    also += "".join(f"; {repo} has no header" for repo in sorted(bare))
    if session.choice.strategy.lifted is not None:
        also += "; network.py begins with the notices of what it was lifted from"
    return passed(gate, f"{count} files begin with the header of their repository{also}", files=count)


def _generated(session: PortSession) -> Iterator[tuple[Repo, str, str, str]]:
    """Yield repository, path, text and due header of every generated file."""
    headers = _headers(session)
    lifted = session.choice.strategy.lifted
    network = NETWORK.format(name=session.options.name)
    steps = ("file-plan", "deploy-file-plan") if session.tao.has_deploy else ("file-plan",)
    for step in steps:
        for file in session.journal.made(step, FilePlan).files:
            place = session.workspace.clone_path(file.repo) / file.path
            if file.action == "create" and place.is_file():
                header = headers[file.repo, "/config/" in file.path]
                if lifted is not None and file.path == network:
                    # It is not NVIDIA's: its head is that of the files that it was taken from.
                    header = "\n".join(lifted.header)
                yield file.repo, file.path, place.read_text(encoding="utf-8"), header


def _headers(session: PortSession) -> dict[tuple[Repo, bool], str]:
    """Return the header by repository, and by whether a file is of the schema."""
    reference = session.reference
    home: Repo = "tao-core" if session.tao.has_core else "tao-pytorch"
    found: dict[tuple[Repo, bool], tuple[str, ...]] = {
        ("tao-pytorch", False): reference.header,
        (home, True): reference.schema_header,
    }
    if session.tao.has_deploy:
        deploy = session.journal.made("deploy-reference", DeployReference)
        found |= {("tao-deploy", False): deploy.header, ("tao-deploy", True): deploy.schema_header}
    if "tao-core" in session.tao.repos and not session.tao.has_core:
        found["tao-core", True] = session.journal.made("core-reference", CoreReference).header
    year = str(session.options.year)
    return {key: "\n".join(line.replace("{year}", year) for line in lines) for key, lines in found.items()}


def _own_checker(session: PortSession) -> TextRun | None:
    if not session.tao.has_deploy or not (session.deploy_worktree / CHECKER).is_file():
        return None
    plan = session.journal.made("deploy-file-plan", FilePlan)
    files = [str(session.deploy_worktree / f.path) for f in plan.files if f.path.endswith(".py")]

    def check() -> TextRun:
        work = session.workspace.state / "work" / "headers"
        work.mkdir(parents=True, exist_ok=True)
        result = session.command(
            "licence-headers",
            [str(session.deploy_worktree / CHECKER), *(file for file in files if Path(file).is_file())],
            read=[session.deploy_worktree],
            write=[work],
            runtime="rehearsal",
        )
        return TextRun(exit_code=result.exit_code, text=log_tail(result.log))

    return session.prove("licence-headers", {"files": files}, TextRun, check, repos=("tao-deploy",))
