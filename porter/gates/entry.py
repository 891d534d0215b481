"""The gate of phase 5 that puts a ported network into the catalog, and writes its package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from porter import git
from porter.errors import PorterError, WorkspaceError
from porter.gates.package import SUBTASKS
from porter.gates.results import failed, from_error, passed
from porter.generate.fileplan import SPEC
from porter.launch import build, catalog, ported, remembered, skills
from porter.records.catalog import CatalogEntry
from porter.records.gates import GateResult
from porter.records.ported import PortFacts
from porter.records.reference import DeployReference, Repo
from porter.records.skills import DeploySchema, SchemaAnswer, SchemaRequest, SkillSource
from porter.records.weights import Conversion
from porter.session import PortSession


def entry_gate(session: PortSession) -> GateResult:
    """Write the catalog entry and the package of the network, and have porter remember the port."""
    gate, name = remembered.GATE, session.options.name
    try:
        answer, source = _schema(session, "tao-pytorch")
        deploy = _deploy(session)
        facts = _facts(session, answer)
        found = ported.entry_of(facts, catalog.entry(session.reference.name))
        absent = [*ported.missing_keys(found, facts), *_unmeasured(session, found)]
        if absent:
            return failed(gate, f"the entry names what the port does not have: {', '.join(absent)}")
        entry = remembered.entry_of(session.workspace, name)
        catalog.write(entry, found)
        found = catalog.read(entry)
        folder = session.workspace.results / "skills" / found.skill
        files = skills.package(found, answer, source, deploy)
        build.write(folder, files)
        remembered.remember(session.workspace, name)
    except PorterError as error:
        return from_error(gate, error)
    keys = catalog.spec_keys(found)
    return passed(
        gate,
        f"porter train {name}: {', '.join(found.actions)}; {len(facts.searched)} parameters to search, "
        f"{len(keys)} keys in the schema",
        entry=str(entry),
        package=str(folder),
        files=len(files),
        actions=list(found.actions),
        metric=found.metric.key,
        searched=list(facts.searched),
        keys=list(keys),
    )


def _facts(session: PortSession, answer: SchemaAnswer) -> PortFacts:
    name, family, generated = session.options.name, session.family, session.reference.generated
    asked = {item.key for item in catalog.entry(session.reference.name).inputs}
    return PortFacts(
        name=name,
        task=family.task,
        source=_source(session),
        actions=tuple(_scripts(session, "tao-pytorch")),
        deployed=tuple(_scripts(session, "tao-deploy")) if session.tao.has_deploy else (),
        weights=generated.weights,
        backbone_weights=generated.backbone_weights,
        checkpoint=session.journal.made("conversion", Conversion).checkpoint,
        trained=next(file for file in family.needed["train"] if file.endswith(".pth")).format(name=name),
        roots=family.spec_keys(generated.dataset).data,
        formats=ported.formats_of(_spec(session), catalog.entry(session.reference.name)),
        cautious={key: value for key, value in family.drawn_classes.items() if key not in asked},
        keys=answer.keys,
        fixed=ported.fixed_keys(answer),
        searched=ported.searched_keys(answer),
    )


def _spec(session: PortSession) -> Any:
    path = session.worktree / SPEC.format(name=session.options.name)
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise WorkspaceError(f"{path} cannot be read.", why=str(error), next_step="mend it") from error


def _source(session: PortSession) -> str:
    """Return the model as people call it: a folder by its name alone."""
    source = session.source
    return source.ref if source.kind == "hub" else Path(source.ref).name


def _scripts(session: PortSession, repo: Repo) -> Iterator[str]:
    scripts = session.workspace.clone_path(repo) / f"nvidia_{repo.replace('-', '_')}" / "cv"
    for action in SUBTASKS[repo]:
        if (scripts / session.options.name / "scripts" / f"{action}.py").is_file():
            yield action


def _unmeasured(session: PortSession, found: CatalogEntry) -> tuple[str, ...]:
    runs = session.workspace.results / "gates"
    return ported.missing_metrics(
        found.metric, _metrics(runs / "train" / "status.json"), _metrics(runs / "evaluate" / "status.json")
    )


def _metrics(status: Path) -> set[str]:
    """Return the names of the metrics that a run wrote; none where it has left nothing."""
    try:
        lines = status.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    names: set[str] = set()
    for line in lines:
        try:
            names |= set(json.loads(line).get("kpi") or {})
        except (ValueError, AttributeError, TypeError):
            continue
    return names


def _deploy(session: PortSession) -> DeploySchema:
    """Return the schema that the port has in tao-deploy."""
    if not session.tao.has_deploy:
        return DeploySchema(missing="the port has no clone of tao-deploy")
    try:
        answer, source = _schema(session, "tao-deploy")
    except WorkspaceError as error:
        return DeploySchema(missing=f"{error.what} {error.why}".strip())
    return DeploySchema(answer=answer, source=source)


def _schema(session: PortSession, repo: Repo) -> tuple[SchemaAnswer, SkillSource]:
    """Have TAO's converter read the dataclasses in a worktree of the port.

    tao-deploy's own environment lacks the converter, and the dataclasses of both need the same.
    """
    deploys = repo == "tao-deploy"
    place = session.journal.made("deploy-reference", DeployReference) if deploys else session.reference
    name = session.options.name
    config = f"{place.config_package.rpartition('.')[0]}.{name}.default_config:ExperimentConfig"
    home: Repo = "tao-core" if session.tao.has_core else repo
    request = SchemaRequest(config=config)
    answer = session.prove(
        f"catalog-schema-{repo}",
        {"request": request},
        SchemaAnswer,
        lambda: session.probe(
            "make_schema",
            request,
            SchemaAnswer,
            packages=[session.workspace.clone_path(repo)],
            error=WorkspaceError,
        ),
        repos=("tao-pytorch", repo) if deploys else (repo,),
    )
    commit = git.output(session.workspace.clone_path(home), "rev-parse", "HEAD").decode().strip()
    source = SkillSource(
        config=config, repository=home, version=place.release.version, commit=f"{commit} with changes"
    )
    return answer, source
