"""Whose runner, monitor and launcher the generated scripts use."""

from __future__ import annotations

from porter.gates.consistency import source
from porter.gates.consistency.verdict import PACKAGE, verdict
from porter.records.base import Record
from porter.records.consistency import ConsistencyFacts
from porter.records.gates import GateResult
from porter.records.reference import Repo


class OwnModules(Record, frozen=True, kw_only=True):
    """Where a repository keeps what its scripts are started by."""

    hydra_runner: str
    monitor_status: str
    launch: str


OWN: dict[Repo, OwnModules] = {
    "tao-pytorch": OwnModules(
        hydra_runner="nvidia_tao_pytorch.core.hydra.hydra_runner",
        monitor_status="nvidia_tao_pytorch.core.decorators.workflow",
        launch="nvidia_tao_pytorch.core.entrypoint",
    ),
    "tao-deploy": OwnModules(
        hydra_runner="nvidia_tao_deploy.cv.common.hydra.hydra_runner",
        monitor_status="nvidia_tao_deploy.cv.common.decorators",
        launch="nvidia_tao_deploy.cv.common.entrypoint.entrypoint_hydra",
    ),
}

_TAO = ("nvidia_tao_core", "nvidia_tao_pytorch", "nvidia_tao_deploy", "nvidia_tao_ds")


def own_modules(facts: ConsistencyFacts) -> GateResult:
    """Hold the imports of every generated file to its own repository."""
    problems: list[str] = []
    looked_at: dict[str, int] = {}
    for repo, files in facts.files.items():
        root = f"{PACKAGE[repo]}/cv/{facts.name}"
        problems += [
            f"{path}: it is no Python"
            for path, text in files.items()
            if path.endswith(".py") and source.parsed(text) is None
        ]
        for path, tree in source.trees(files):
            found = list(source.imports(tree))
            looked_at[repo] = looked_at.get(repo, 0) + len(found)
            problems += _foreign(facts, repo, path, found)
            if path.endswith("/__init__.py"):
                continue
            if path.startswith(f"{root}/scripts/"):
                wanted = {
                    "hydra_runner": OWN[repo].hydra_runner,
                    "monitor_status": OWN[repo].monitor_status,
                    "ExperimentConfig": f"{facts.config_root[repo]}.{facts.name}.default_config",
                }
                problems += _lacking(path, found, wanted)
            elif path.startswith(f"{root}/entrypoint/"):
                wanted = dict.fromkeys(("command_line_parser", "get_subtasks", "launch"), OWN[repo].launch)
                wanted["scripts"] = root.replace("/", ".")
                problems += _lacking(path, found, wanted)
    said = ", ".join(f"{count} imports of {repo}" for repo, count in looked_at.items())
    return verdict("consistency-own-modules", facts, problems, said, imports=looked_at)


def _foreign(facts: ConsistencyFacts, repo: Repo, path: str, found: list[source.Import]) -> list[str]:
    """Return imports from another TAO repository; configs of the core layout are no other's."""
    allowed = {PACKAGE[repo], facts.config_root[repo].partition(".")[0]}
    return [
        f"{path}:{item.line} imports {item.module}, which is not of {PACKAGE[repo]}"
        for item in found
        if item.module.partition(".")[0] in set(_TAO) - allowed
    ]


def _lacking(path: str, found: list[source.Import], wanted: dict[str, str]) -> list[str]:
    """Return the names that a file does not import, or imports from elsewhere."""
    problems = []
    for name, module in wanted.items():
        modules = [item.module for item in found if item.name == name]
        if modules != [module]:
            problems.append(f"{path}: {name} comes from {', '.join(modules) or 'nowhere'}, not from {module}")
    return problems
