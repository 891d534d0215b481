"""The commands about the catalog of TAO's networks, and about packages of their schemas."""

from __future__ import annotations

from pathlib import Path

from porter.cli_options import Given
from porter.errors import UsageError
from porter.records.reference import Repo
from porter.ui import Ui


def models(given: Given) -> None:
    """List the catalog."""
    from porter.launch import catalog
    from porter.report import catalog as shown

    shown.show_models(catalog.rows(given.scope), as_json=as_json(given))


def platforms(given: Given) -> None:
    """Show which platforms can be used."""
    from porter.launch.platforms import states
    from porter.report.platforms import show_platforms

    quiet = as_json(given)
    show_platforms(states(given.one_platform), as_json=quiet)


def image(given: Given) -> None:
    """Show what runs an action."""
    from porter.launch import catalog
    from porter.report import catalog as shown

    shown.show_image(catalog.image(given.model, given.action), as_json=as_json(given))


def skills_build(given: Given) -> None:
    """Write a network's package and show what is in it."""
    from porter.launch.build import build
    from porter.report import catalog as shown

    quiet = as_json(given)
    made = build(given.model, schema_clones(given), given.skill, Ui(quiet=quiet))
    shown.show_skill(made, as_json=quiet)


def schema_clones(given: Given) -> dict[Repo, str]:
    """Return the clones whose dataclasses are asked for."""
    clones: dict[Repo, str] = {}
    if given.tao_pytorch:
        clones["tao-pytorch"] = str(Path(given.tao_pytorch).expanduser().absolute())
    if given.tao_deploy:
        clones["tao-deploy"] = str(Path(given.tao_deploy).expanduser().absolute())
    if given.tao_core:
        clones["tao-core"] = str(Path(given.tao_core).expanduser().absolute())
    return clones


def as_json(given: Given) -> bool:
    """Return whether one JSON document was asked for.

    Raises:
        UsageError: there is no such format.
    """
    if given.format not in ("text", "json"):
        raise UsageError(f"--format {given.format} is not a format.", why="formats: text, json")
    return bool(given.format == "json")
