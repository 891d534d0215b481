"""Another request for a port that is there: what of it may change, and what it is then."""

from __future__ import annotations

import shlex

import msgspec

from porter.errors import WorkspaceError
from porter.records.options import PortOptions
from porter.workspace import Workspace

_FIXED = ("source", "name", "task", "embedded", "branch", "base")
_UNSET = PortOptions(source="")


def renew(workspace: Workspace, given: PortOptions) -> PortOptions:
    """Return the options of the port in *workspace* with what *given* says anew.

    What is not given stays as it is. Settings, clones and images are added to those that are there; revision,
    data, strategy, bundle and engine replace theirs.

    Raises:
        WorkspaceError: something is asked for that makes another port of it.
    """
    there = workspace.load()
    differing = [
        f"{name} is {getattr(there, name)!r} there and {getattr(given, name)!r} here"
        for name in _FIXED
        if getattr(given, name) not in (getattr(_UNSET, name), getattr(there, name))
    ]
    differing += [
        f"base of {repo} is {there.bases[repo]!r} there and {base!r} here"
        for repo, base in given.bases.items()
        if there.bases.get(repo, base) != base
    ]
    if there.embedded and given.clones:
        differing.append("it is a port into the embedded kit, and clones are given here")
    if differing:
        raise WorkspaceError(
            f"{workspace.root} is the workspace of a port with other options",
            why="; ".join(differing),
            next_step=f"porter resume {shlex.quote(str(workspace.root))}, or choose another --workspace",
        )
    return msgspec.structs.replace(
        there,
        revision=given.revision or there.revision,
        data=given.data or there.data,
        strategy=given.strategy or there.strategy,
        bundle=given.bundle or there.bundle,
        engine=there.engine if given.engine == "auto" else given.engine,
        images={**there.images, **given.images},
        settings={**there.settings, **given.settings},
        clones={**there.clones, **given.clones},
        bases={**there.bases, **given.bases},
    )


def changes(old: PortOptions, new: PortOptions) -> tuple[str, ...]:
    """Say what differs, one line each."""
    said = [
        f"{name}: {getattr(old, name) or 'none'} -> {getattr(new, name)}"
        for name in ("revision", "data", "strategy", "bundle", "engine")
        if getattr(old, name) != getattr(new, name)
    ]
    for kind, before, after in (
        ("set", old.settings, new.settings),
        ("clone", old.clones, new.clones),
        ("base", old.bases, new.bases),
        ("image", old.images, new.images),
    ):
        said += [
            f"{kind} {key}: {before.get(key, 'none' if kind in ('clone', 'image') else 'default')} -> {value}"
            for key, value in after.items()
            if before.get(key) != value
        ]
    return tuple(said)
