"""The commands about TAO's own networks: the catalog, packages of schemas, and training."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from porter.cli_options import Given
from porter.errors import UsageError
from porter.records.reference import Repo
from porter.ui import Ui


def models(given: Given) -> None:
    """List the catalog."""
    from porter.launch import catalog
    from porter.report import catalog as shown

    shown.show_models(catalog.rows(given.scope), as_json=_as_json(given))


def platforms(given: Given) -> None:
    """Show which platforms can be used."""
    from porter.launch.platforms import states
    from porter.report.platforms import show_platforms

    as_json = _as_json(given)
    show_platforms(states(given.one_platform), as_json=as_json)


def image(given: Given) -> None:
    """Show what runs an action."""
    from porter.launch import catalog
    from porter.report import catalog as shown

    shown.show_image(catalog.image(given.model, given.action), as_json=_as_json(given))


def skills_build(given: Given) -> None:
    """Write a network's package and show what is in it."""
    from porter.launch.build import build
    from porter.report import catalog as shown

    as_json = _as_json(given)
    made = build(given.model, _schema_clones(given), given.skill, Ui(quiet=as_json))
    shown.show_skill(made, as_json=as_json)


def train(given: Given) -> None:
    """Show the plan of a training; there is no launching yet."""
    from porter.launch import training
    from porter.records.training import Platform, TrainOptions
    from porter.report import training as shown

    as_json = _as_json(given)
    for option, value, known in (
        ("--platform", given.platform, get_args(Platform)),
        ("--automl", given.automl or "on", ("on", "off")),
    ):
        if value not in known:
            raise UsageError(f"{option} {value}: expected one of {', '.join(known)}.")
    for option, number in (("--gpus", given.gpus), ("--nodes", given.nodes)):
        if number is not None and number < 1:
            raise UsageError(f"{option} {number}: expected a number from 1 on.")
    if not given.plan_only:
        training.refuse_launch(given.model)
    options = TrainOptions(
        train=given.train_data,
        eval=given.eval_data,
        base=given.base_checkpoint,
        platform=given.platform,
        gpus=given.gpus or 0,
        nodes=given.nodes or 0,
        automl=given.automl or "default",
        image=given.image,
        settings=tuple(given.spec or ()),
    )
    made = training.prepare(given.model, options, _schema_clones(given), Ui(quiet=as_json))
    shown.show_plan(made, as_json=as_json)


def _schema_clones(given: Given) -> dict[Repo, str]:
    """Return the clones whose dataclasses are asked for."""
    clones: dict[Repo, str] = {}
    if given.tao_pytorch:
        clones["tao-pytorch"] = str(Path(given.tao_pytorch).expanduser().absolute())
    if given.tao_core:
        clones["tao-core"] = str(Path(given.tao_core).expanduser().absolute())
    return clones


def _as_json(given: Given) -> bool:
    if given.format not in ("text", "json"):
        raise UsageError(f"--format {given.format} is not a format.", why="formats: text, json")
    return bool(given.format == "json")
