"""Checking what is asked for an action on a trained model, before a job is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from porter.errors import UsageError
from porter.launch import build, catalog, data, plan, requests, settings
from porter.launch.places import dataset_of, read_by
from porter.launch.requests import Asked
from porter.launch.settings import Fields
from porter.records.catalog import CatalogEntry, Origin
from porter.records.jobs import Run
from porter.records.reference import Repo
from porter.records.training import DataFacts
from porter.ui import Ui


def prepare(
    run: Run,
    action: str,
    dataset: tuple[Origin | None, str, str],
    pairs: Sequence[str],
    given: Mapping[Repo, str],
    ui: Ui,
) -> Asked:
    """Return what an action gets.

    Args:
        run: whose model it works on.
        action: of the network.
        dataset: its origin, the option that names it, and its URI; that is empty where none was named.
        pairs: ``key=value`` as they were typed.
        given: clones of tao-pytorch and tao-core, whose schema settings are held against.
        ui: where progress goes.

    Raises:
        UsageError: the network has no such action, or needs a dataset that is not there.
        DataError: the dataset is wrong.
        SettingError: a setting is, or the model is too small for the data.
    """
    found = catalog.entry(run.plan.model)
    if action not in found.actions:
        raise UsageError(
            f"{found.title} has no action {action}.",
            why=f"it has {', '.join(found.actions)}",
            next_step=f"porter jobs {run.name} shows what was done",
        )
    origin, option, uri = dataset
    sources = read_by(found, action, run.plan.format)
    facts: dict[Origin, DataFacts] = {}
    if origin and uri:
        place = data.location(uri, option)
        facts[origin] = data.check(place, [one for one in sources if _of(one, origin)], found)
    known = {**msgspec.convert(run.plan.data, dict[Origin, DataFacts]), **facts}
    for source in sources:
        dataset_of(source, known)
    plan.hold(found, run.plan.inputs, known)
    values: dict[str, Any] = {}
    if pairs:
        answer, _ = build.ask(found, given, ui)
        read = settings.read(pairs, found, Fields(answer))
        values = read.values
        for warning in (*read.warnings, *_changed(run, found, values, Fields(answer))):
            ui.warn(warning)
    return Asked(facts, values)


def _changed(run: Run, found: CatalogEntry, values: Mapping[str, Any], fields: Fields) -> Iterator[str]:
    """Yield the settings that make another network than the one that was trained."""
    trial = next((job.values for job in run.jobs if job.name == run.best), {})
    trained = requests.flat(run.plan.spec) | trial
    for key in sorted({*found.automl.carried, *run.plan.inputs} & set(values)):
        before = trained.get(key, fields.default(key))
        if values[key] != before:
            yield f"{key}={values[key]}: {run.name} was trained with {before}, and its checkpoint may not fit"


def _of(source: Any, origin: Origin) -> bool:
    return origin in (source.origin, source.reuses)
