"""Living on a bundle alone: its parts where porter looks for them, and the way to the network shut."""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from pathlib import Path

from porter import cache, hub
from porter.bundle import manifest, repos
from porter.errors import SandboxError
from porter.hub import files
from porter.records.bundle import Bundle
from porter.records.reference import Repo
from porter.sandbox import environments

Progress = Callable[[str], None]

_WAYS_OUT = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PORTER_TAO_MIRROR")


def clone_places(bundle: Bundle) -> dict[Repo, str]:
    """Return where the clones of a bundle lie once :func:`use` has made them."""
    root = cache.root() / "bundles" / manifest.identity(bundle)
    return {item.repo: str(root / item.repo) for item in bundle.repos}


def use(folder: Path, progress: Progress = lambda _line: None, *, sets: Path | None = None) -> Bundle:
    """Check the bundle, put its parts in place, and keep porter and pip from any network.

    Nothing is fetched afterwards by this process and by those that it starts: the Hub's client is
    offline, pip has no index but the bundle's wheels, and no clone is made from a remote.

    Args:
        folder: of the bundle.
        progress: told what is being done.
        sets: folder of the requirement sets; None means the ones that ship with porter.

    Raises:
        WorkspaceError: a file of the bundle is missing or damaged.
        SandboxError: its wheels are of another Python than this machine would build with.
    """
    folder = folder.absolute()
    bundle = manifest.read(folder)
    shut(folder, bundle, os.environ)
    _bring_model(folder, bundle, progress)
    for repo, place in clone_places(bundle).items():
        bundled = next(item for item in bundle.repos if item.repo == repo)
        if not Path(place).is_dir():
            progress(f"making the clone of {repo}")
            manifest.check(folder, bundle, [bundled.file], progress)
            repos.unpack(bundled, folder, Path(place))
    _check_wheels(folder, bundle, progress, sets)
    return bundle


def shut(folder: Path, bundle: Bundle, variables: MutableMapping[str, str]) -> None:
    """Set *variables* so that nothing is fetched and pip finds the bundle's wheels."""
    for name in _WAYS_OUT:
        variables.pop(name, None)
    places = [item.folder for item in bundle.wheels] + ([bundle.embedded] if bundle.embedded else [])
    variables["HF_HUB_OFFLINE"] = "1"
    variables["PIP_NO_INDEX"] = "1"
    # As addresses: pip splits this variable at spaces.
    variables["PIP_FIND_LINKS"] = " ".join((folder / place).as_uri() for place in places)
    variables["PIP_CONFIG_FILE"] = os.devnull


def _bring_model(folder: Path, bundle: Bundle, progress: Progress) -> None:
    model = bundle.model
    place = hub.store(cache.root(), model.ref, model.sha)
    origin = folder / model.folder
    listed = manifest.select(bundle, [model.folder])
    names = [Path(file.path).relative_to(model.folder) for file in listed]
    missing = [name for name in names if not (place / name).exists()]
    if not missing:
        return
    manifest.check(folder, bundle, [f"{model.folder}/{name.as_posix()}" for name in missing], progress)
    # The listing last: with it the commit counts as known.
    for name in sorted(missing, key=lambda name: len(name.parts), reverse=True):
        files.adopt(origin / name, place / name)


def _check_wheels(folder: Path, bundle: Bundle, progress: Progress, sets: Path | None) -> None:
    for item in bundle.wheels:
        if environments.find(item.set, sets=sets) is not None:
            continue
        place = environments.locate(item.set, sets=sets)
        if place.key != item.key:
            raise SandboxError(
                f"the bundle's wheels of {item.set} do not fit this machine",
                why=f"they are for Python {item.python} on {item.machine} and the requirements of the porter "
                f"that fetched them; here it is Python {place.interpreter.minor} on "
                f"{place.interpreter.machine}",
                next_step=f"install Python {item.python}, or fetch the bundle on a machine like this one",
            )
        manifest.check(folder, bundle, [item.folder], progress)
    manifest.check(folder, bundle, [bundle.embedded] if bundle.embedded else [], progress)
