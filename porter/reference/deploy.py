"""Reads from clones of tao-deploy and tao-core what a port into them relies on; syntax only."""

from __future__ import annotations

from pathlib import Path

from porter.errors import WorkspaceError
from porter.records.reference import CoreReference, DeployReference, Release, Repo
from porter.reference.config import read_config
from porter.reference.facts import methods
from porter.reference.modules import Sources
from porter.reference.names import console_scripts, network_folders
from porter.reference.network import DeployPlace, load_network
from porter.reference.reader import header_of
from porter.reference.source import Snapshot

SETUP_FILES = ("setup.py", "setup_l4t.py")


def read_deploy(
    clone: Path, release: Release, name: str, *, core: tuple[Path, str] | None = None
) -> DeployReference:
    """Return what a port of the network *name* relies on, as the commit of *release* has it.

    Args:
        clone: the tao-deploy clone.
        release: what it is; its commit is read.
        name: a network that ``references/networks`` describes.
        core: clone and commit of the tao-core that has the schemas, in the ``core`` layout.

    Raises:
        WorkspaceError: a symbol, method or parameter is not there; names file, symbol, release.
    """
    network = load_network(name, release.layout)
    place = network.deploy
    if place is None:
        raise WorkspaceError(f"porter has no data on how {name} is deployed.")
    snapshot = Snapshot(clone, release.commit)
    snapshots: dict[Repo, Snapshot] = {"tao-deploy": snapshot}
    if core is not None:
        snapshots["tao-core"] = Snapshot(*core)
    sources = Sources(snapshots, release)
    setups = {path: console_scripts(snapshot.text(path)) for path in SETUP_FILES if path in snapshot.paths}
    scripts = {name: target for found in setups.values() for name, target in found.items()}
    neighbour = sources.module(place.neighbour)
    if neighbour is None:
        raise sources.lacks(place.neighbour.replace(".", "/") + ".py", "its licence header")
    config = place.config_package.rpartition(".")[0].replace(".", "/")
    return DeployReference(
        release=release,
        config_package=place.config_package,
        config=read_config(sources, place.config.experiment, place.config.types),
        schema_plan=network.schema,
        symbols={role: sources.require(symbol).dotted for role, symbol in place.symbols.items()},
        hooks=_hooks(sources, place),
        setup_files=setups,
        networks=network_folders(snapshot, place.package, config, scripts),
        header=header_of(neighbour),
        schema_header=_schema_header(sources, place) or header_of(neighbour),
        docs_tool=place.docs_tool if {place.docs_tool, place.docs_page} <= snapshot.paths else "",
        docs_page=place.docs_page if {place.docs_tool, place.docs_page} <= snapshot.paths else "",
    )


def read_core(clone: Path, release: Release, name: str) -> CoreReference:
    """Return the schema that tao-core has of the network *name*, as the commit of *release* has it.

    Raises:
        WorkspaceError: it has none.
    """
    network = load_network(name, "core")
    snapshot = Snapshot(clone, release.commit)
    sources = Sources({"tao-core": snapshot}, release)
    config = read_config(sources, network.config.experiment, network.config.types)
    module = sources.require(network.config.experiment).module
    return CoreReference(
        release=release,
        config_package=network.config_package,
        config=config,
        schema_plan=network.schema,
        networks=snapshot.folders(network.config_package.rpartition(".")[0].replace(".", "/")),
        header=header_of(module),
    )


def _schema_header(sources: Sources, place: DeployPlace) -> tuple[str, ...]:
    config = sources.module(place.config.experiment.partition(":")[0])
    return header_of(config) if config is not None else ()


def _hooks(sources: Sources, place: DeployPlace) -> tuple[str, ...]:
    for hook, wanted in place.hooks.items():
        symbol, _, method = hook.rpartition(".")
        module, node = sources.require_class(symbol)
        function = methods(node).get(method)
        if function is None:
            raise sources.lacks(module.path, f"method {node.name}.{method}")
        given = {item.arg for item in (*function.args.args, *function.args.kwonlyargs)}
        for parameter in wanted:
            if parameter not in given:
                raise sources.lacks(module.path, f"parameter {parameter} of {node.name}.{method}")
    found = [hook.partition(":")[2] for hook in place.hooks]
    for hook in place.optional_hooks:
        symbol, _, method = hook.rpartition(".")
        if method in methods(sources.require_class(symbol)[1]):
            found.append(hook.partition(":")[2])
    return tuple(found)
