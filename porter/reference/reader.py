"""Reads a TAO network from the clones into a :class:`Reference`; syntax only, nothing is imported."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from porter.records.reference import (
    PACKAGES,
    BackboneEntry,
    ClassFacts,
    ConfigClass,
    HydraRunner,
    Reference,
    Release,
    Repo,
    SourceFile,
)
from porter.reference.config import read_config
from porter.reference.facts import (
    attribute_value,
    class_facts,
    default_of,
    hydra_runner,
    local_value,
    methods,
    stored_item,
)
from porter.reference.literals import literal_or_none
from porter.reference.modules import Module, Sources, keywords
from porter.reference.names import console_scripts, network_folders
from porter.reference.network import Network, config_root, load_network
from porter.reference.registry import read_classes, read_registry
from porter.reference.source import Snapshot

_YEAR = re.compile(r"(?<=\(c\) )(?:\d{4}-)?\d{4}")
_SETUP = "setup.py"


def read_reference(
    clone: Path,
    release: Release,
    name: str = "classification_pyt",
    *,
    others: Mapping[Repo, Path] | None = None,
    commits: Mapping[Repo, str] | None = None,
) -> Reference:
    """Return the network *name* as the commit of *release* has it.

    Args:
        clone: the tao-pytorch clone.
        release: what it is; its commit is read, so uncommitted changes make no difference.
        name: a network that ``references/networks`` describes.
        others: further clones (tao-deploy, tao-core); files of a repository that is not given are
            recorded as absent.
        commits: the commit at which each of them is read; HEAD where it is not given.

    Raises:
        WorkspaceError: a file or symbol that a port needs is not there; names file, symbol, release.
        UsageError: porter has no data for *name*.
    """
    network = load_network(name, release.layout)
    snapshots: dict[Repo, Snapshot] = {
        repo: Snapshot(path, (commits or {}).get(repo, "HEAD")) for repo, path in (others or {}).items()
    }
    snapshots[release.repo] = Snapshot(clone, release.commit)
    return _Reader(Sources(snapshots, release), network).read()


class _Reader:
    def __init__(self, sources: Sources, network: Network) -> None:
        self.sources = sources
        self.network = network
        self.home = sources.snapshots[sources.release.repo]

    def read(self) -> Reference:
        network, sources = self.network, self.sources
        files = self._files()
        module, node = sources.require_class(network.classes.pl_module)
        pl_module = class_facts(module, node)
        setup = self.home.text(_SETUP)
        scripts = console_scripts(setup)
        package, _, _ = network.package.partition(".")
        place = network.backbones
        backbones = read_registry(sources, place.package, place.registry) if place else ()
        return Reference(
            name=network.name,
            task=network.task,
            release=sources.release,
            package=network.package,
            config_package=network.config_package,
            files=files,
            pl_module=pl_module,
            data_module=self._class(network.classes.data_module),
            dataset=self._class(network.classes.dataset),
            symbols=self._symbols(),
            exporter_pinned=self._exporter_pinned(),
            hooks=self._hooks(module, pl_module),
            config=self._config(),
            schema_plan=network.schema,
            generated=network.generated,
            scripts=self._scripts(),
            checkpoint_filename=self._text(module, attribute_value(node, network.checkpoint.filename)),
            tao_model=self._tao_model(module, node),
            tags=self._tags(),
            onnx_inputs=self._onnx(network.onnx.inputs),
            onnx_outputs=self._onnx(network.onnx.outputs),
            image_suffixes=self._suffixes(),
            console_scripts=scripts,
            networks=self._networks(package, scripts),
            backbones=backbones,
            backbone_classes=read_classes(sources, self._built(backbones)),
            header=header_of(module),
            schema_header=self._schema_header(module),
        )

    def _built(self, backbones: Sequence[BackboneEntry]) -> list[str]:
        """Return the import paths of the classes that the registry and the network itself build."""
        own = [self.sources.require(symbol).dotted for symbol in self.network.architectures]
        return [*own, *(entry.target for entry in backbones if entry.target)]

    def _networks(self, package: str, scripts: dict[str, str]) -> tuple[str, ...]:
        """Return the names that are taken, those of schemas in tao-core among them."""
        root = config_root(self.sources.release.layout)
        names = set(network_folders(self.home, package, root.replace(".", "/"), scripts))
        holder = self.sources.snapshot_of(root)
        if holder is not None and holder is not self.home:
            names |= set(holder.folders(root.replace(".", "/")))
        return tuple(sorted(names))

    def _schema_header(self, module: Module) -> tuple[str, ...]:
        config = self.sources.module(self.network.config.experiment.partition(":")[0])
        return (header_of(config) if config is not None else ()) or header_of(module)

    def _files(self) -> tuple[SourceFile, ...]:
        found = []
        for item in self.network.files:
            repo = PACKAGES[item.path.partition("/")[0]]
            snapshot = self.sources.snapshots.get(repo)
            content = snapshot.read(item.path) if snapshot else None
            if content is None and snapshot is not None and not item.optional:
                raise self.sources.lacks(item.path, f"the {item.role} file")
            sha256 = "" if content is None else hashlib.sha256(content).hexdigest()
            found.append(
                SourceFile(role=item.role, path=item.path, present=content is not None, sha256=sha256)
            )
        return tuple(found)

    def _class(self, symbol: str) -> ClassFacts:
        return class_facts(*self.sources.require_class(symbol))

    def _exporter_pinned(self) -> bool:
        symbol = self.network.symbols.get("onnx_exporter")
        if symbol is None:
            return True
        body = ast.walk(self.sources.require(symbol).node)
        return any(isinstance(node, ast.keyword) and node.arg == "dynamo" for node in body)

    def _symbols(self) -> dict[str, str]:
        return {key: self.sources.require(symbol).dotted for key, symbol in self.network.symbols.items()}

    def _hooks(self, module: Module, facts: ClassFacts) -> tuple[str, ...]:
        own = {method.name for method in facts.methods}
        for hook in self.network.hooks.required:
            if hook not in own:
                raise self.sources.lacks(module.path, f"method {facts.name}.{hook}")
        return tuple(
            hook for hook in (*self.network.hooks.required, *self.network.hooks.optional) if hook in own
        )

    def _config(self) -> tuple[ConfigClass, ...]:
        place = self.network.config
        if self.sources.snapshot_of(place.experiment) is None:
            return ()
        return read_config(self.sources, place.experiment, place.types)

    def _scripts(self) -> tuple[HydraRunner, ...]:
        runners = []
        for item in self.network.files:
            module = self.sources.module(item.path.removesuffix(".py").replace("/", "."))
            if (
                not item.path.startswith(f"{self.network.package.replace('.', '/')}/scripts/")
                or module is None
            ):
                continue
            read = hydra_runner(module, module.name.rpartition(".")[2])
            if read is None:
                raise self.sources.lacks(item.path, "function decorated by hydra_runner and monitor_status")
            facts, folder = read
            spec = f"{self.network.package.replace('.', '/')}/{folder}/{facts.config_name}.yaml"
            runners.append(
                HydraRunner(
                    script=facts.script,
                    config_name=facts.config_name,
                    spec_present=spec in self.home.paths,
                    mode=facts.mode,
                    schema_module=facts.schema_module,
                )
            )
        return tuple(runners)

    def _text(self, module: Module, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise self.sources.lacks(module.path, f"literal self.{self.network.checkpoint.filename}")
        return value

    def _tao_model(self, module: Module, node: ast.ClassDef) -> str:
        """Return the tag that its checkpoints carry; empty for a network that writes none."""
        place = self.network.checkpoint
        if not place.tag_method:
            return ""
        method = methods(node).get(place.tag_method)
        value = None if method is None else stored_item(method, place.tag_key)
        if not isinstance(value, str):
            raise self.sources.lacks(module.path, f'literal checkpoint["{place.tag_key}"]')
        return value

    def _tags(self) -> dict[str, str]:
        """Return prefix by tag of every ``adapter.add("tag", "prefix")``."""
        if not self.network.checkpoint.adapter:
            return {}
        symbol = self.sources.require(self.network.symbols[self.network.checkpoint.adapter])
        tags: dict[str, str] = {}
        for call in ast.walk(symbol.module.tree):
            match call:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr="add"), args=arguments) if (
                    owner == symbol.name
                ):
                    named = {key: literal_or_none(value) for key, value in keywords(call).items()}
                    given = [literal_or_none(item) for item in arguments]
                    order = ("model_name", "prefix", "model_type")
                    named |= dict(zip(order, given, strict=False))
                    kind = named.get("model_type")
                    tag = f"{named.get('model_name')}:{kind}" if kind else str(named.get("model_name"))
                    tags[tag] = str(named.get("prefix"))
        return tags

    def _onnx(self, variable: str) -> tuple[str, ...]:
        module = self.sources.module(self.network.onnx.script)
        names = None if module is None else local_value(module.tree, variable)
        if module is None or not isinstance(names, list) or not names:
            path = self.network.onnx.script.replace(".", "/") + ".py"
            raise self.sources.lacks(path, f"literal list {variable}")
        return tuple(str(name) for name in names)

    def _suffixes(self) -> tuple[str, ...]:
        """Return the endings of the images that its dataset reads; of some it reads every file."""
        place = self.network.images
        if place is None:
            return ()
        module, node = self.sources.require_class(self.network.classes.dataset)
        method = methods(node).get(place.method)
        suffixes = None if method is None else default_of(method, place.parameter)
        if not isinstance(suffixes, list):
            raise self.sources.lacks(module.path, f"default of {place.method}({place.parameter})")
        return tuple(str(suffix) for suffix in suffixes)


def header_of(module: Module) -> tuple[str, ...]:
    """Return the comment lines that open a file, the year of the copyright as ``{year}``."""
    lines = []
    for line in module.source.decode("utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("#!"):
            lines.append(_YEAR.sub("{year}", line))
    return tuple(lines)
