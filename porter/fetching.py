"""What `porter fetch` does, and what `--bundle` changes about the options of a port."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import msgspec

from porter import bundle, cache, clones, cloning
from porter.bundle import Wanted
from porter.cli_options import Given
from porter.embedded import materialise
from porter.errors import UsageError
from porter.hub import address
from porter.records.bundle import Bundle
from porter.records.options import PortOptions
from porter.records.reference import Release, Repo
from porter.reference.release import read_release
from porter.runtimes import REHEARSAL
from porter.ui import Ui

_ALWAYS: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")
_IF_AT_HAND: tuple[Repo, ...] = ("tao-core", "tao-dataservices")


def fetch(given: Given, options: PortOptions, folder: Path) -> Bundle:
    """Make the bundle; clones that nobody gave come from porter's cache, or are cloned into it.

    Args:
        given: the options of the command.
        options: what a port would be told.
        folder: of the bundle.
    """
    bundle.refuse_folder(options.source, options.revision)
    ui = Ui(quiet=given.json)
    found: dict[Repo, str] = {}
    if not options.embedded:
        for repo in (*_ALWAYS, *_IF_AT_HAND):
            if repo in options.clones or repo in _ALWAYS or clones.is_at_hand(repo):
                found[repo] = str(_clone(repo, options.clones.get(repo), ui))
    release = _release(found, options, ui)
    bases: dict[Repo, str] = {repo: options.bases[repo] for repo in get_args(Repo) if repo in options.bases}
    with ui.working(f"fetching {options.source}"):
        return bundle.fetch(
            Wanted(
                ref=options.source,
                revision=options.revision,
                clones=found,
                base=options.base,
                bases=bases,
                sets=tuple(name for name in dict.fromkeys((release.environment, REHEARSAL)) if name),
                packages=(*materialise.PACKAGES, *(() if "tao-core" in found else _schemas(release))),
            ),
            folder,
            ui.progress,
        )


def _clone(repo: Repo, given: str | None, ui: Ui) -> Path:
    if given or clones.is_at_hand(repo):
        return clones.locate(repo, given)
    with ui.working(f"cloning {repo}"):
        return cloning.ensure(repo, ui.progress)


def _release(found: Mapping[Repo, str], options: PortOptions, ui: Ui) -> Release:
    """Return what a port into these clones is a port to: it says which environments it needs."""
    if "tao-pytorch" not in found:
        kit = materialise.materialise_tao_pytorch(cache.root(), progress=ui.progress)
        return read_release("tao-pytorch", kit)
    clone = Path(found["tao-pytorch"])
    base = options.bases.get("tao-pytorch", options.base)
    return read_release("tao-pytorch", clone, revision=clones.resolve(clone, base))


def _schemas(release: Release) -> tuple[materialise.Package, ...]:
    """Return the wheel that stands in for a clone of tao-core, where the release has its schemas there."""
    package = materialise.core_package(release)
    return (package,) if package else ()


def with_bundle(options: PortOptions, folder: Path) -> PortOptions:
    """Return the options of a port that lives on the bundle: its model at its commit, its clones.

    Raises:
        UsageError: the options name another model, or another revision of it.
        WorkspaceError: there is no whole bundle.
    """
    found = bundle.read(folder)
    model = found.model
    if options.source:
        named = address.parse(options.source, options.revision)
        if named.ref.lower() not in (model.ref.lower(), model.asked.lower()):
            raise UsageError(
                f"The bundle {folder} does not hold {options.source}.",
                why=f"it holds {model.ref} at {model.sha[:12]}",
                next_step="leave the model out, or give another --bundle",
            )
        if named.revision not in (None, model.revision, model.sha):
            raise UsageError(
                f"The bundle {folder} does not hold {model.ref} at {named.revision}.",
                why=f"it holds {model.sha[:12]}" + (f", {model.revision}" if model.revision else ""),
                next_step="leave --revision out, or give another --bundle",
            )
    places = {} if options.embedded else dict(bundle.clone_places(found))
    # The clones start where they were fetched at, unless the command line says otherwise.
    bases = {
        item.repo: item.base
        for item in found.repos
        if item.repo not in options.clones and options.base == PortOptions(source="").base
    }
    return msgspec.structs.replace(
        options,
        source=model.ref,
        revision=model.sha,
        clones={**places, **options.clones},
        bases={**bases, **options.bases},
        bundle=str(folder),
    )
