"""Gate of phase 6 on what the gates before it really ran: the clones' code, and the release's tao-core."""

from __future__ import annotations

from typing import Any

from porter.gates.results import failed, passed
from porter.records.gates import GateResult
from porter.records.reference import Repo
from porter.records.validate import CleanFacts, CleanRequest
from porter.session import PortSession

_PACKAGES: dict[Repo, str] = {
    "tao-pytorch": "nvidia_tao_pytorch",
    "tao-deploy": "nvidia_tao_deploy",
    "tao-core": "nvidia_tao_core",
}


def clean_gate(session: PortSession) -> GateResult:
    """Ask each environment which TAO packages it would import."""
    problems: list[str] = []
    said: list[str] = []
    evidence: dict[str, Any] = {}
    repos: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy") if session.has_deploy else ("tao-pytorch",)
    for repo in repos:
        facts = _facts(session, repo)
        problems += _problems(session, repo, facts)
        evidence[repo] = {"places": facts.places, "installed": facts.distributions, "python": facts.python}
        version = _core(session, repo, facts)
        said.append(f"{_PACKAGES[repo]} from the worktree, nvidia_tao_core {version}")
    if problems:
        return failed(
            "clean-environment",
            "; ".join(problems),
            fix="remove the installed package from the environment, or let porter build its own",
            **evidence,
        )
    return passed("clean-environment", "; ".join(said), **evidence)


def _facts(session: PortSession, repo: Repo) -> CleanFacts:
    request = CleanRequest(packages=tuple(_PACKAGES.values()))
    return session.prove(
        f"clean-{repo}",
        {"request": request},
        CleanFacts,
        lambda: session.probe(
            "clean_environment",
            request,
            CleanFacts,
            packages=[session.workspace.clone_path(repo)],
            runtime=repo,
        ),
        repos=(repo,),
    )


def _problems(session: PortSession, repo: Repo, facts: CleanFacts) -> list[str]:
    worktree, package = str(session.workspace.clone_path(repo)), _PACKAGES[repo]
    problems = []
    if facts.places[package] != f"{worktree}/{package}":
        problems.append(
            f"{package} would come from {facts.places[package] or 'nowhere'}, not from {worktree}"
        )
    for name, (version, place) in sorted(facts.distributions.items()):
        if place.rstrip("/") != worktree and name != "nvidia-tao-core":
            problems.append(f"{name} {version} is installed in {place}")
    if facts.telemetry != "yes":
        problems.append("TAO's telemetry is not switched off")
    if repo == "tao-pytorch":
        wanted = session.environment().versions.get("nvidia-tao-core", "")
        found = facts.distributions.get("nvidia-tao-core", ("none", ""))[0]
        if found != wanted:
            problems.append(f"nvidia-tao-core is {found}, the release's is {wanted or 'not known'}")
    return problems


def _core(session: PortSession, repo: Repo, facts: CleanFacts) -> str:
    if "nvidia-tao-core" in facts.distributions:
        return facts.distributions["nvidia-tao-core"][0]
    place = facts.places["nvidia_tao_core"]
    if any(place.startswith(folder) for folder in session.runtime(repo).python_path):
        return "stood in for"
    return f"from {place}" if place else "not there"
