"""Data that was remote when a training was planned, looked at once it is staged."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import get_args

import msgspec

from porter.launch import data
from porter.launch import plan as planned
from porter.launch.places import dataset_of, read_by
from porter.launch.staging import FOLDER
from porter.records.catalog import CatalogEntry, Origin
from porter.records.training import DataFacts, TrainPlan


def recheck(plan: TrainPlan, found: CatalogEntry, folder: Path) -> TrainPlan:
    """Return a plan that knows its data: what was staged is checked as local data is before a plan is made.

    Datasets that were checked then are left as they are.

    Args:
        plan: as it was made; everything that it stages is in *folder*.
        found: the network.
        folder: of the run.

    Raises:
        DataError: a dataset is wrong, or they do not fit each other.
        SettingError: a value that was set is too low for the data.
    """
    uris: dict[Origin, str] = {
        origin: plan.data[origin].uri for origin in get_args(Origin) if origin in plan.data
    }
    read = [(dataset_of(source, uris), source) for source in read_by(found, plan.action, plan.format)]
    facts: dict[Origin, DataFacts] = {}
    for origin, uri in uris.items():
        facts[origin] = plan.data[origin]
        name = _name(plan, uri)
        if facts[origin].kind == "remote" and name:
            sources = [source for own, source in read if own == origin]
            there = data.check(str(folder / FOLDER / name), sources, found)
            facts[origin] = msgspec.structs.replace(there, uri=uri)
    planned.hold(found, plan.inputs, facts)
    return msgspec.structs.replace(plan, data={str(origin): known for origin, known in facts.items()})


def _name(plan: TrainPlan, uri: str) -> str:
    """Return the folder below ``staged/`` that a dataset was put into; empty where nothing of it was."""
    for one in plan.staged:
        if one.source == uri or one.source.startswith(f"{uri}/"):
            return PurePosixPath(one.target.lstrip("/")).parts[1]
    return ""
