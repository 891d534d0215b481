"""Gate of phase 6 on what the gates before it really ran: the clones' code, and the release's tao-core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from porter.gates.results import failed, passed
from porter.records.gates import GateResult
from porter.records.reference import Repo
from porter.records.sandbox import Environment
from porter.records.validate import CleanFacts, CleanRequest
from porter.session import PortSession

_PACKAGES: dict[Repo, str] = {"tao-pytorch": "nvidia_tao_pytorch", "tao-deploy": "nvidia_tao_deploy"}
_CORE, _CORE_PACKAGE, _SCHEMAS = "nvidia-tao-core", "nvidia_tao_core", "nvidia_tao_core.config"


def clean_gate(session: PortSession) -> GateResult:
    """Ask each environment which TAO packages it would import."""
    problems: list[str] = []
    said: list[str] = []
    evidence: dict[str, Any] = {}
    repos: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy") if session.tao.has_deploy else ("tao-pytorch",)
    schemas = str(session.workspace.clone_path("tao-core")) if session.tao.has_core else ""
    for repo in repos:
        environment, worktree = session.runtimes.of(repo), str(session.workspace.clone_path(repo))
        facts = _facts(session, repo)
        core = core_of(facts, environment, schemas)
        problems += clean_problems(repo, worktree, facts, schemas)
        if schemas:
            problems += schema_problems(repo, schemas, facts)
        elif repo == "tao-pytorch":
            problems += core_problems(core, environment)
        evidence[repo] = {
            "imported from": facts.places,
            "installed": {item.place: f"{item.name} {item.version}" for item in facts.distributions},
            "environment": facts.prefix,
            _CORE_PACKAGE: core,
        }
        said.append(f"{_PACKAGES[repo]} from the worktree, {_CORE_PACKAGE} {core}")
    if problems:
        return failed(
            "clean-environment",
            "; ".join(problems),
            fix="remove that package from the environment, or let porter build its own",
            **evidence,
        )
    return passed("clean-environment", "; ".join(said), **evidence)


def _facts(session: PortSession, repo: Repo) -> CleanFacts:
    request = CleanRequest(packages=(*_PACKAGES.values(), _CORE_PACKAGE, _SCHEMAS))
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


def clean_problems(repo: Repo, worktree: str, facts: CleanFacts, schemas: str = "") -> Iterator[str]:
    """Yield what keeps the code of a worktree from being, beyond doubt, the code that ran; pure.

    A copy behind the worktree on the path fails as well: a script that changes its path would find it.

    Args:
        repo: whose code it is.
        worktree: where that code lies.
        facts: what the environment answered.
        schemas: worktree of the tao-core that has the schemas; empty where the repository has its own.
    """
    own = f"{worktree}/{_PACKAGES[repo]}"
    place = facts.places[_PACKAGES[repo]]
    if place != own:
        yield f"{_PACKAGES[repo]} would come from {place or 'nowhere'}, not from {worktree}"
    for package in _PACKAGES.values():
        for copy in facts.copies[package]:
            if copy not in (own, place):
                yield f"{repo} is run beside another {package}, in {copy}"
    for item in facts.distributions:
        if item.place not in (worktree, schemas) and item.name != _CORE:
            yield f"{item.name} {item.version} is installed in {item.place}"
    if facts.prefix_on_path != facts.prefix:
        yield f"TAO's launcher would start the python of {facts.prefix_on_path or 'nowhere'}"
    if facts.telemetry != "yes":
        yield "TAO's telemetry is not switched off"


def schema_problems(repo: Repo, schemas: str, facts: CleanFacts) -> Iterator[str]:
    """Yield why the schemas that a repository imports are not those of the worktree of tao-core; pure."""
    place = facts.places[_SCHEMAS]
    if place != f"{schemas}/{_SCHEMAS.replace('.', '/')}":
        yield f"{repo} would take {_SCHEMAS} from {place or 'nowhere'}, not from {schemas}"


def core_problems(core: str, environment: Environment) -> Iterator[str]:
    """Yield why the tao-core that the trainer imports is not the one that the release is pinned to; pure."""
    pinned = environment.versions.get(_CORE, "")
    if core != pinned:
        yield f"{_CORE_PACKAGE} is {core}, the release's is {pinned or 'not known'}"


def core_of(facts: CleanFacts, environment: Environment, schemas: str = "") -> str:
    """Return the version of the tao-core that is imported, or what it is where it has none; pure."""
    place = facts.places[_CORE_PACKAGE]
    if not place:
        return "not there"
    folder = str(PurePosixPath(place).parent)
    if folder == schemas:
        return "from the worktree"
    if schemas and folder in environment.python_path:
        return "stood in for, but for the schemas"
    if folder in environment.python_path:
        return "stood in for"
    versions = [item.version for item in facts.distributions if item.name == _CORE and item.place == folder]
    return versions[0] if versions else f"of no known version, from {place}"
