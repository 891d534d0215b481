"""Making the plan of a training: asks the release for its schema, looks at the data, then plans."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from porter.errors import DataError, UsageError
from porter.launch import build, catalog, data, schema, settings
from porter.launch import plan as planned
from porter.launch.places import dataset_of, read_by
from porter.launch.settings import Fields
from porter.records.catalog import CatalogEntry, Origin
from porter.records.reference import Repo
from porter.records.training import DataFacts, TrainOptions, TrainPlan
from porter.ui import Ui

_IMAGE = re.compile(r"[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?", re.ASCII)
_NGC = re.compile(r"[\w.-]+(/[\w.-]+)+:[\w.-]+")


class Prepared(NamedTuple):
    """A plan, and what it was made from: the network, and the schema of the action."""

    plan: TrainPlan
    found: CatalogEntry
    schema: dict[str, Any]


def prepare(name: str, options: TrainOptions, given: Mapping[Repo, str], ui: Ui) -> Prepared:
    """Return the plan of a training; makes no job.

    Args:
        name: of the network, as the catalog has it.
        options: what was asked for.
        given: clones of tao-pytorch and tao-core, as for the package of a network.
        ui: where progress goes.

    Raises:
        PorterError: something that was asked for cannot be, the data is wrong, or there is no schema.
    """
    found = catalog.entry(name)
    if options.image and not _IMAGE.fullmatch(options.image):
        raise UsageError(f"--image {options.image} names no image.", next_step="--image REGISTRY/NAME:TAG")
    options, profile = planned.with_profile(found, options)
    _refuse_lost(found, options)
    options = msgspec.structs.replace(
        options,
        train=data.location(options.train, "--train-data"),
        eval=data.location(options.eval, "--eval-data") if options.eval else "",
        base=checkpoint(options.base) if options.base else "",
        image=options.image
        or ("" if options.platform == "virtualenv" else catalog.resolve(found, "train").image),
    )
    answer, source = build.ask(found, given, ui)
    values = settings.read(options.settings, found, Fields(answer)).values
    with ui.working("checking the data"):
        facts = examine(found, planned.chosen_format(found, values), options)
    present = {variable for variable, value in os.environ.items() if value}
    plan = planned.plan(found, answer, source, options, facts, present, profile)
    return Prepared(plan, found, schema.action_schema(answer, found, planned.ACTION, source))


def examine(found: CatalogEntry, format_: str, options: TrainOptions) -> dict[Origin, DataFacts]:
    """Return what is known of each dataset that was given.

    Raises:
        UsageError: one that the network needs was not.
        DataError: one is wrong.
    """
    uris: dict[Origin, str] = {"train": options.train}
    if options.eval:
        uris["eval"] = options.eval
    # Evaluation follows by itself where there is a set for it: better now than after days of training.
    actions = [planned.ACTION, *(["evaluate"] if options.eval and "evaluate" in found.actions else [])]
    sources = [source for action in actions for source in read_by(found, action, format_)]
    read = [(dataset_of(source, uris), source) for source in sources]
    return {
        origin: data.check(uri, [source for name, source in read if name == origin], found)
        for origin, uri in uris.items()
    }


def checkpoint(uri: str) -> str:
    """Return the URI of a checkpoint as plans have it: S3's and NGC's as they are, a file's path absolute.

    Raises:
        DataError: there is no such file.
        UsageError: it is another kind of URI, or holds a secret.
    """
    if "://" in uri:
        return data.location(uri, "--base-checkpoint")
    path = Path(uri).expanduser().absolute()
    if path.is_file():
        return str(path)
    if _NGC.fullmatch(uri):
        return uri
    raise DataError(
        f"--base-checkpoint: {path} is no file.",
        next_step="name a file, s3://BUCKET/PATH, or one of NGC: ORG/TEAM/NAME:VERSION",
    )


def _refuse_lost(found: CatalogEntry, options: TrainOptions) -> None:
    """Refuse to start from a port's checkpoint that is gone.

    Raises:
        DataError: it is.
    """
    lost = [base.default for base in found.base if base.default.startswith("/")]
    lost = [path for path in lost if not Path(path).is_file()]
    keys = {text.partition("=")[0] for text in options.settings}
    if lost and not options.base and not keys & {base.key for base in found.base}:
        raise DataError(
            f"{lost[0]} is gone.",
            why=f"the port of {found.name} left its converted weights there, and training starts from them",
            next_step=f"porter resume {shlex.quote(found.workspace)} --from 3, or --base-checkpoint URI",
        )
