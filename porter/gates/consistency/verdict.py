"""How an item of the checklist ends, and the words that every item shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from porter.gates.results import blocked, failed, passed
from porter.records.consistency import ConsistencyFacts, SchemaFacts, SpecFacts
from porter.records.gates import GateResult
from porter.records.reference import Repo

PACKAGE: dict[Repo, str] = {
    "tao-pytorch": "nvidia_tao_pytorch",
    "tao-deploy": "nvidia_tao_deploy",
    "tao-core": "nvidia_tao_core",
}
DEPLOY_TASKS = ("gen_trt_engine", "inference", "evaluate")

_SHOWN = 4
_FIX = "change the other places too, or put back what porter rendered: it lies under .porter/pristine"


def verdict(
    gate: str, facts: ConsistencyFacts, problems: Sequence[str], said: str, **evidence: Any
) -> GateResult:
    """Return a failed item, one that is blocked for its tao-deploy half, or a passed one.

    Args:
        gate: id of the item.
        facts: what it was decided on.
        problems: what does not hold; each names the file, the key and both values.
        said: what holds, one line.
        evidence: numbers and names that back it.
    """
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        shown = "; ".join(problems[:_SHOWN])
        return failed(gate, f"{shown}{more}", fix=_FIX, problems=list(problems), **evidence)
    if "tao-deploy" not in facts.repos:
        return blocked(gate, f"holds in tao-pytorch: {said}; {facts.why_no_deploy}", **evidence)
    return passed(gate, said, **evidence)


def train_spec_path(name: str) -> str:
    """Return the path of the trainer's spec in tao-pytorch."""
    return f"{PACKAGE['tao-pytorch']}/cv/{name}/experiment_specs/experiment_spec.yaml"


def deploy_spec_path(name: str, task: str) -> str:
    """Return the path of the spec of a deploy task in tao-deploy."""
    return f"{PACKAGE['tao-deploy']}/cv/{name}/specs/{task}.yaml"


def config_path(repo: Repo, facts: ConsistencyFacts, module: str = "default_config") -> str:
    """Return the path of a module of the schema package."""
    return f"{facts.config_root[repo].replace('.', '/')}/{facts.name}/{module}.py"


def specs(facts: ConsistencyFacts) -> Mapping[str, SpecFacts]:
    """Return every shipped spec by its path, those of tao-pytorch first."""
    return {path: spec for repo in facts.repos for path, spec in _schema(facts, repo).specs.items()}


def train_spec(facts: ConsistencyFacts) -> SpecFacts:
    """Return the trainer's spec; empty where it is not there."""
    return specs(facts).get(train_spec_path(facts.name), SpecFacts())


def deploy_specs(facts: ConsistencyFacts) -> Mapping[str, SpecFacts]:
    """Return the specs of the deploy tasks by task; a task whose spec is not there has an empty one."""
    if "tao-deploy" not in facts.repos:
        return {}
    found = specs(facts)
    return {task: found.get(deploy_spec_path(facts.name, task), SpecFacts()) for task in DEPLOY_TASKS}


def _schema(facts: ConsistencyFacts, repo: Repo) -> SchemaFacts:
    return facts.schemas.get(repo, SchemaFacts(fields={}, specs={}))


def schemas(facts: ConsistencyFacts) -> Mapping[Repo, SchemaFacts]:
    """Return the imported side of every repository of the port."""
    return {repo: _schema(facts, repo) for repo in facts.repos}


def stated(facts: ConsistencyFacts, key: str) -> dict[str, Any]:
    """Return what every spec and every schema says about *key*, by ``file: key``.

    A default that the schema states twice (value and ``default_value``) is there twice.
    """
    found: dict[str, Any] = {}
    for path, spec in specs(facts).items():
        found[f"{path}: {key}"] = spec.values.get(key, "no value")
    for repo, schema in schemas(facts).items():
        where = config_path(repo, facts)
        entry = schema.fields.get(key)
        found[f"{where}: {key}"] = entry.default if entry else "no such field"
        if entry and entry.metadata.get("default_value") not in (None, ""):
            found[f"{where}: {key} (default_value)"] = entry.metadata["default_value"]
    return found


def unlike(found: Mapping[str, Any], expected: Any, source: str) -> list[str]:
    """Return a sentence for each value that is not *expected*, which *source* states."""
    return [
        f"{where} is {value!r}, {source} has {expected!r}"
        for where, value in found.items()
        if value != expected
    ]
