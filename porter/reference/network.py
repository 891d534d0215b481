"""What porter knows of a TAO network before it reads a clone: the data in ``references/networks``."""

from __future__ import annotations

import functools
from pathlib import PurePosixPath
from typing import Any

import msgspec

from porter.errors import UsageError
from porter.records.base import Record, Task
from porter.records.reference import Generated, Layout, SchemaPlan
from porter.resources import tree

_CONFIGS: dict[Layout, dict[str, str]] = {
    "core": {"config": "nvidia_tao_core.config", "deploy_config": "nvidia_tao_core.config"},
    "in-repo": {"config": "nvidia_tao_pytorch.config", "deploy_config": "nvidia_tao_deploy.config"},
}


class InputFacts(Record, frozen=True, kw_only=True):
    """What the network's own data pipeline always feeds a model.

    Attributes:
        multiple: of how many pixels the edges are.
    """

    channels: int = 3
    square: bool = False
    multiple: int = 1


class NetworkFile(Record, frozen=True, kw_only=True):
    """One file of the network; a port needs it unless it is optional."""

    role: str
    path: str
    optional: bool = False


class NetworkClasses(Record, frozen=True, kw_only=True):
    """The classes that generated code subclasses, as ``package.module:Name``."""

    pl_module: str
    data_module: str
    dataset: str


class ConfigPlace(Record, frozen=True, kw_only=True):
    """The top config class, and the module of the field helpers."""

    experiment: str
    types: str


class HookNames(Record, frozen=True, kw_only=True):
    """Methods of the Lightning module that generated code overrides."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


class CheckpointPlace(Record, frozen=True, kw_only=True):
    """Where the Lightning module states its checkpoint conventions.

    Attributes:
        tag_method, tag_key: where it tags them for TAO's weight loader; empty for a network that does not.
        adapter: key in the network's symbols; empty for none.
    """

    filename: str
    tag_method: str = ""
    tag_key: str = ""
    adapter: str = ""


class OnnxPlace(Record, frozen=True, kw_only=True):
    """The export script and its variables with the names of inputs and outputs."""

    script: str
    inputs: str
    outputs: str


class ImagesPlace(Record, frozen=True, kw_only=True):
    """The method of the dataset whose parameter defaults to the image suffixes."""

    method: str
    parameter: str


class BackbonesPlace(Record, frozen=True, kw_only=True):
    """The package whose modules register backbones, and the registry."""

    package: str
    registry: str


class DeployPlace(Record, frozen=True, kw_only=True):
    """What a port relies on in tao-deploy.

    Attributes:
        package: top-level package.
        neighbour: module whose licence header generated files follow.
        symbols: ``package.module:Name`` by role.
        hooks: parameters that must be there, by ``package.module:Class.method``.
        optional_hooks: methods that a release may lack.
        docs_tool, docs_page: the clone's own script that rewrites a page of its documentation.
    """

    package: str
    config_package: str
    neighbour: str
    config: ConfigPlace
    symbols: dict[str, str]
    hooks: dict[str, tuple[str, ...]]
    optional_hooks: tuple[str, ...] = ()
    docs_tool: str = ""
    docs_page: str = ""


class Network(Record, frozen=True, kw_only=True):
    """A TAO network that a port can follow; see ``references/networks/classification_pyt.toml``.

    Attributes:
        backbones: None for a network whose architectures are its own.
        architectures: classes of its own that a port may build in other sizes, as ``package.module:Name``.
        images: None where its dataset does not choose files by their endings.
    """

    name: str
    task: Task
    package: str
    config_package: str
    input: InputFacts
    generated: Generated
    files: tuple[NetworkFile, ...]
    classes: NetworkClasses
    symbols: dict[str, str]
    config: ConfigPlace
    schema: SchemaPlan
    hooks: HookNames
    checkpoint: CheckpointPlace
    onnx: OnnxPlace
    backbones: BackbonesPlace | None = None
    architectures: tuple[str, ...] = ()
    images: ImagesPlace | None = None
    deploy: DeployPlace | None = None


@functools.cache
def load_network(name: str, layout: Layout) -> Network:
    """Return a network with its config paths filled in for *layout*.

    Raises:
        UsageError: porter has no data for a network of that name.
    """
    folder = tree("references") / "networks"
    path = folder / f"{name}.toml"
    if name not in network_names():
        raise UsageError(
            f"porter cannot follow a TAO network named {name!r}.",
            why=f"it knows {', '.join(network_names())}",
            next_step="leave the reference to porter",
        )
    return msgspec.convert(_filled(msgspec.toml.decode(path.read_bytes()), layout), Network)


@functools.cache
def network_names() -> tuple[str, ...]:
    """Return the networks that porter can follow, sorted."""
    return tuple(sorted(path.stem for path in (tree("references") / "networks").glob("*.toml")))


def networks_for(task: Task, layout: Layout) -> tuple[Network, ...]:
    """Return the networks that do *task*: the candidates of phase 2."""
    every = (load_network(name, layout) for name in network_names())
    return tuple(network for network in every if network.task == task)


def config_root(layout: Layout) -> str:
    """Return the package that holds the config packages of tao-pytorch's networks."""
    return _CONFIGS[layout]["config"]


def deploy_config_root(layout: Layout) -> str:
    """Return likewise the package for tao-deploy."""
    return _CONFIGS[layout]["deploy_config"]


def _filled(value: Any, layout: Layout) -> Any:
    if isinstance(value, str):
        is_file = PurePosixPath(value).suffix in {".py", ".yaml"}
        for key, package in _CONFIGS[layout].items():
            value = value.replace("{" + key + "}", package.replace(".", "/") if is_file else package)
        return value
    if isinstance(value, list):
        return [_filled(item, layout) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, layout) for key, item in value.items()}
    return value
