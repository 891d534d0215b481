"""Follows the names of a model class through transformers and gathers the statements that it needs."""

from __future__ import annotations

import builtins
import functools
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import libcst as cst

from porter.records.transplant import LiftFacts, TweakName
from porter.transplant.clean import clean
from porter.transplant.configs import ByName
from porter.transplant.fold import AVAILABLE, Folder
from porter.transplant.parts import Parts
from porter.transplant.source import PACKAGE, Import, Module, Origin, Top, code_of, imports, used
from porter.transplant.tweaks import Tweaker

STANDINS = "standins"
SKIP = (
    "activations*",
    "cache_utils",
    "configuration_utils",
    "dependency_versions_*",
    "dynamic_module_utils",
    "feature_extraction*",
    "generation",
    "image_processing*",
    "image_transforms",
    "image_utils",
    "integrations",
    "loss",
    "modeling_flash_attention_utils",
    "modeling_layers",
    "modeling_utils",
    "models.*.configuration_*",
    "models.*.image_processing_*",
    "models.auto",
    "processing_utils",
    "quantizers",
    "tokenization*",
    "utils",
)
"""Modules whose source nobody needs: what of them models use has stand-ins, or is cleaned away."""

_PACKAGES = {*sys.stdlib_module_names, "numpy", "torch"}
_Place = tuple[str, int]


class LiftError(Exception):
    """The class cannot be lifted; says why."""


@dataclass
class Reached:
    """What was gathered.

    Attributes:
        statements: by module, and by their place in it.
        imports: of other packages.
        order: modules, each after those that it takes names from.
        names: by module, the module and the name there that a local name means, where they differ.
        tweaker: what was rewritten.
    """

    statements: dict[str, dict[int, Top]] = field(default_factory=dict)
    imports: dict[str, list[Import]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    names: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    tweaker: Tweaker = field(default_factory=lambda: Tweaker(()))


@functools.cache
def standins() -> Module:
    """Return the module of stand-ins."""
    return read(STANDINS, Path(__file__).with_name("standins.py").read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=8)
def read(name: str, text: str) -> Module:
    """Return a module with what surely does not run taken out at its top level."""
    own, foreign = imports(name, text)
    if own.pop("logging", None):
        # Their logging module is a thin cover of Python's.
        foreign["logging"] = [Import("logging")]
    module = Module(name, [], own, foreign)
    tree = cst.parse_module(text)
    tops = [part if isinstance(part, cst.If | cst.Try) else None for part in tree.body]
    if any(tops):
        folded = cst.Module(body=list(tree.body)).visit(folder(module))
        tree = tree.with_changes(body=folded.body)
    module.statements += [part for part in tree.body if isinstance(part, Top)]
    return module


def folder(module: Module) -> Folder:
    """Return what takes branches out that ask for optional packages."""
    flags = {
        local: AVAILABLE.get(origin.name, False)
        for local, origin in module.own.items()
        if origin.name.startswith("is_") and origin.name.endswith("_available")
    }
    return Folder(flags, {"TYPE_CHECKING": False})


class Reach:
    """Gathers statements by name, from a class on.

    Args:
        facts: the sources.
        tweaks: rewrites to apply.
    """

    def __init__(self, facts: LiftFacts, tweaks: Collection[TweakName]) -> None:
        self.facts = facts
        self.prefix = facts.architecture.partition("For")[0]
        absent = set(facts.modules) - set(facts.live)
        self.narrow = Folder({}, {}, absent)
        self.parts = Parts(facts, absent)
        self.built = {part.architecture: part.module for part in facts.parts.values()}
        self.modules: dict[str, Module] = {STANDINS: standins()}
        self.definitions: dict[str, dict[str, list[int]]] = {STANDINS: standins().definitions()}
        self.reached = Reached(tweaker=Tweaker(tweaks))
        self.uses: dict[str, set[str]] = {}
        self.standins_asked: set[str] = set()

    def gather(self, module: str, name: str) -> None:
        """Take in what defines a name of *module*, and all that this needs.

        Raises:
            LiftError: something in it cannot be had outside of transformers.
        """
        waiting = [(module, name)]
        done: set[tuple[str, str]] = set()
        while waiting:
            current = waiting.pop()
            if current in done:
                continue
            done.add(current)
            home, name = current
            for place in self._definitions(home).get(name, ()):
                waiting += self._take(home, place)
        self._order(module, set())

    def _take(self, home: str, place: int) -> list[tuple[str, str]]:
        kept = self.reached.statements.setdefault(home, {})
        if place in kept:
            return []
        statement = self._module(home).statements[place]
        if home != STANDINS:
            prepared = self._prepared(statement, home)
            if prepared is None:
                return []
            statement = prepared
        kept[place] = statement
        found = []
        for name in sorted(used(code_of(statement))):
            target = self._target(home, name)
            if target is None:
                continue
            found.append(target)
            self.uses.setdefault(home, set()).add(target[0])
            if target != (home, name):
                self.reached.names.setdefault(home, {})[name] = target
        return [(module, name) for module, name in found if module != STANDINS or self._ask(name)]

    def _ask(self, name: str) -> bool:
        """Note that a stand-in is needed; what it needs itself follows once it is known how much of it is."""
        self.standins_asked.add(name)
        return False

    def _prepared(self, statement: Top, home: str) -> Top | None:
        """Return a statement of transformers as the file will have it; None where nothing is left of it."""
        module = self._module(home)
        configs = {
            name
            for name, origin in module.own.items()
            if origin.name.endswith("Config") and ".configuration_" in origin.module
        }
        code = code_of(statement)
        flags = folder(module)
        passes: list[cst.CSTTransformer] = []
        # Most statements have nothing for most of them, and each costs a walk through the tree.
        if any(name in code for name in (*flags.calls, *flags.names)):
            passes.append(flags)
        if "isinstance(" in code:
            passes += [ByName(configs), self.narrow]
        if self.parts.wanted(code):
            passes.append(self.parts)
        passes += self.reached.tweaker.transformers(code)
        body: Sequence[cst.BaseStatement] = [statement]
        for each in passes:
            body = cst.Module(body=list(body)).visit(each).body  # type: ignore[arg-type]
        assert len(body) == 1
        assert isinstance(body[0], Top)
        return clean(body[0], module, self.prefix)

    def _target(self, home: str, name: str) -> tuple[str, str] | None:
        """Return where a name that *home* uses is defined; None for builtins and other packages."""
        module = self._module(home)
        if name in self.reached.tweaker.needs:
            return STANDINS, name
        if name in self._definitions(home):
            return home, name
        if name in module.own:
            return self._own_target(home, name, module.own[name])
        if name in self.built:
            return self.built[name], name
        if name in module.foreign:
            self._import(home, module.foreign[name])
            return None
        if hasattr(builtins, name) or name in {"__name__", "__file__", "__class__"}:
            return None
        raise LiftError(f"{home} does not say what {name} is")

    def _own_target(self, home: str, name: str, origin: Origin) -> tuple[str, str]:
        if origin.name in self.definitions[STANDINS]:
            return STANDINS, origin.name
        found = self._follow(origin)
        if found is None:
            where = origin.module.removeprefix(f"{PACKAGE}.")
            raise LiftError(f"{home.rpartition('.')[2]} needs {origin.name or where} of {where}")
        return found

    def _follow(self, origin: Origin) -> tuple[str, str] | None:
        """Return where a name is really defined: a package may only pass it on."""
        seen = set()
        while origin.module in self.facts.sources and origin not in seen:
            seen.add(origin)
            if origin.name in self._definitions(origin.module):
                return origin.module, origin.name
            passed = self._module(origin.module).own.get(origin.name)
            if passed is None:
                return None
            if passed.name in self.definitions[STANDINS]:
                return STANDINS, passed.name
            origin = passed
        return None

    def _import(self, home: str, found: list[Import]) -> None:
        for each in found:
            if each.module.partition(".")[0] not in _PACKAGES:
                raise LiftError(
                    f"{home.rpartition('.')[2]} needs the package {each.module.partition('.')[0]}"
                )
            listed = self.reached.imports.setdefault(each.local, [])
            if each not in listed:
                listed.append(each)

    def _module(self, name: str) -> Module:
        if name not in self.modules:
            self.modules[name] = read(name, self.facts.sources[name])
        return self.modules[name]

    def _definitions(self, name: str) -> Mapping[str, list[int]]:
        if name not in self.definitions:
            self.definitions[name] = self._module(name).definitions()
        return self.definitions[name]

    def _order(self, module: str, seen: set[str]) -> None:
        if module in seen:
            return
        seen.add(module)
        for other in sorted(self.uses.get(module, ())):
            self._order(other, seen)
        if module != STANDINS and module not in self.reached.order:
            self.reached.order.append(module)
