"""From a plan to what a platform is asked: the spec of each job, with what it takes from earlier ones."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from porter.errors import DataError
from porter.launch import code, staging
from porter.launch.data import REMOTE
from porter.launch.places import Places, fill, read_by
from porter.records.catalog import CatalogEntry, Origin
from porter.records.jobs import RESULTS, Job, JobRequest
from porter.records.training import DataFacts, Mount, Platform, Staged, TrainPlan

HERE: tuple[Platform, ...] = ("virtualenv", "docker")
"""Platforms for which porter brings data itself: the others fetch it where the job runs."""

_SCRATCH = ("ptm_if_no_resume_model", "resume_model")
"""Rules of keys that say where training starts: a trained model has no use for them."""


class Asked(NamedTuple):
    """What a person asks for of an action: datasets in the place of its run's, and values by spec key."""

    facts: Mapping[Origin, DataFacts]
    values: Mapping[str, Any]


NOTHING = Asked({}, {})


def train(
    found: CatalogEntry,
    plan: TrainPlan,
    folder: Path,
    *,
    name: str = "train",
    values: Mapping[str, Any] = {},
    resume: str = "",
) -> JobRequest:
    """Return what the platform is asked for a training.

    Args:
        found: the network.
        plan: of the run.
        folder: of the run.
        name: of the job.
        values: by spec key, what is other than in the plan.
        resume: checkpoint that the training goes on from.
    """
    rules = found.actions[plan.action].rules
    kept = flat(plan.spec)
    if resume:
        # What training would start from is of no use then, and some networks refuse both.
        kept = {key: value for key, value in kept.items() if rules.get(key) not in _SCRATCH}
        kept |= {key: resume for key, rule in rules.items() if rule == "resume_model"}
    spec = with_values({}, kept | dict(values))
    mounts = (*plan.mounts, *_beside(resume, plan.platform))
    return _request(found, plan, plan.action, spec, (mounts, plan.staged), folder, name)


def after(
    found: CatalogEntry,
    plan: TrainPlan,
    folder: Path,
    job: Job,
    checkpoint: str,
    *,
    trained: Mapping[str, Any] = {},
    asked: Asked = NOTHING,
) -> JobRequest:
    """Return what the platform is asked for an action on a trained model.

    The network is built anew from the spec, so everything that training had is handed on.

    Args:
        found: the network.
        plan: of the training.
        folder: of the run.
        job: its name and action.
        checkpoint: that training left behind.
        trained: by spec key, what the training had other than its plan: the values of a trial.
        asked: what a person asked for beside that.

    Raises:
        UsageError: the action needs a dataset that nobody gave.
    """
    places, action = Places(plan.platform), job.action
    known: dict[Origin, DataFacts] = {**_origins(plan), **asked.facts}
    fill(found, read_by(found, plan.action, plan.format), plan.format, _origins(plan), places)
    filled, _ = fill(found, read_by(found, action, plan.format), plan.format, known, places)
    dropped = {key for key, rule in found.actions[plan.action].rules.items() if rule in _SCRATCH}
    kept = {key: value for key, value in flat(plan.spec).items() if key not in dropped}
    kept |= {key: value for key, value in trained.items() if key not in dropped}
    spec = with_values({}, kept | filled | _ruled(found, action, checkpoint) | dict(asked.values))
    brought = (*places.mounts.values(), *_beside(checkpoint, plan.platform))
    staged = tuple(places.staged.values())
    return _request(found, plan, action, spec, (brought, staged), folder, job.name)


def with_values(spec: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec with dotted keys changed; *spec* is left as it is."""
    made: dict[str, Any] = copy.deepcopy(dict(spec))
    for key, value in values.items():
        *sections, last = key.split(".")
        place = made
        for section in sections:
            # An optional section is None in a template.
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        place[last] = copy.deepcopy(value)
    return made


def flat(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a spec by dotted keys; lists are values."""
    values: dict[str, Any] = {}
    for name, value in spec.items():
        if isinstance(value, Mapping) and value:
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values


def staged_of(
    found: CatalogEntry, plan: TrainPlan, action: str, facts: Mapping[Origin, DataFacts]
) -> tuple[Staged, ...]:
    """Return what porter has to bring for an action beside what it brought for the training."""
    places = Places(plan.platform)
    fill(found, read_by(found, plan.action, plan.format), plan.format, _origins(plan), places)
    before = set(places.staged)
    fill(found, read_by(found, action, plan.format), plan.format, {**_origins(plan), **facts}, places)
    return tuple(staged for target, staged in places.staged.items() if target not in before)


def refuse_local(staged: Iterable[Staged]) -> None:
    """Refuse what a job on another machine cannot be brought.

    Raises:
        DataError: something lies on this machine.
    """
    local = [one.source for one in staged if one.source.startswith("/")]
    if local:
        raise DataError(
            f"{local[0]} lies on this machine, and the job runs on another.",
            why="porter uploads nothing",
            next_step="upload it to S3, and name s3://BUCKET/PATH",
        )


def _request(
    found: CatalogEntry,
    plan: TrainPlan,
    action: str,
    spec: dict[str, Any],
    brought: tuple[tuple[Mount, ...], tuple[Staged, ...]],
    folder: Path,
    name: str,
) -> JobRequest:
    mounts, staged = brought
    spec.pop(RESULTS, None)
    inputs: tuple[str, ...] = ()
    if plan.platform in HERE:
        noted = {one.target: one for one in staging.noted(folder)}
        lost = [one.source for one in staged if one.target not in noted]
        if lost:
            raise DataError(
                f"{lost[0]} is not in {folder / staging.FOLDER} any more.",
                why=f"{staging.NOTES} does not name it",
                next_step=f"porter resume {folder.name} brings it again",
            )
        brought_here = staging.resolve(spec, [noted[one.target] for one in staged], folder)
        spec, mounts = brought_here.spec, (*mounts, *brought_here.mounts)
    else:
        spec, inputs = _fetched(spec, staged)
    called = code.call(found, action, plan)
    mounts = (*mounts, *called.mounts)
    return JobRequest(
        name=name,
        network=found.name,
        action=action,
        command=called.command,
        spec=spec,
        image=plan.image,
        gpus=plan.gpus if action == "train" else min(plan.gpus, 1),
        nodes=plan.nodes if action == "train" else 1,
        mounts=tuple({mount.target: mount for mount in mounts}.values()),
        inputs=inputs,
    )


def _fetched(spec: dict[str, Any], staged: tuple[Staged, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the spec with the URIs that the platform fetches, and the keys that have them."""
    refuse_local(staged)
    # What has no scheme is a name of NGC's.
    sources = {
        one.target: one.source if one.source.startswith(REMOTE) else f"ngc://{one.source}" for one in staged
    }
    made = _replaced(spec, sources)
    return made, tuple(key for key, value in _leaves(made) if value.startswith(REMOTE))


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, Mapping):
        return {name: _replaced(one, names) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(one, names) for one in value]
    return value


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(one, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _leaves(one, f"{key}[{number}]")


def _ruled(found: CatalogEntry, action: str, checkpoint: str) -> dict[str, Any]:
    """Return the spec keys that get their value from the jobs around them."""
    chosen = found.actions[action]
    # When a task reads it, TAO has already put the task's own folder behind the folder of results. Scripts of
    # ports read their spec before that.
    folder = f"${{{RESULTS}}}/{action}" if found.workspace else f"${{{RESULTS}}}"
    by_rule = {
        "parent_model": checkpoint,
        "parent_model_folder": posixpath.dirname(checkpoint),
        "create_onnx_file": f"{folder}/{found.name}.onnx",
        "create_engine_file": f"{folder}/{found.name}.engine",
        "create_cal_cache": f"{folder}/{found.name}.cache",
        "create_inference_result_file_mal": f"{found.name}_labels.json",
    }
    # A checkpoint is no engine.
    return {
        key: by_rule[rule] for key, rule in chosen.rules.items() if rule in by_rule and key != chosen.engine
    }


def _beside(checkpoint: str, platform: Platform) -> tuple[Mount, ...]:
    """Return the mount through which a container reads a checkpoint of this machine."""
    if platform != "docker" or not checkpoint.startswith("/"):
        return ()
    return (Mount(source=posixpath.dirname(checkpoint), target=posixpath.dirname(checkpoint)),)


def _origins(plan: TrainPlan) -> dict[Origin, DataFacts]:
    return msgspec.convert(dict(plan.data), dict[Origin, DataFacts])
