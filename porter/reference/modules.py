"""Python modules of TAO clones as syntax trees, and the lookup of a symbol across them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from porter.errors import WorkspaceError
from porter.records.reference import PACKAGES, Release, Repo
from porter.reference.literals import NotLiteralError, evaluate
from porter.reference.release import newest_release
from porter.reference.source import Snapshot

_REEXPORTS = 8


class Module:
    """A module and what its top level defines.

    Args:
        name: dotted import path.
        path: file, relative to the clone.
        source: its bytes.
        where: how an error calls the clone.

    Raises:
        WorkspaceError: the file does not parse.
    """

    def __init__(self, name: str, path: str, source: bytes, where: str) -> None:
        self.name = name
        self.path = path
        self.source = source
        try:
            self.tree = ast.parse(source)
        except (SyntaxError, ValueError) as error:
            line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            raise WorkspaceError(
                f"{path}{line} of {where} does not parse as Python.",
                why=str(error),
                next_step="port from a commit in which the file is whole",
            ) from error

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.endswith("/__init__.py") else self.name.rpartition(".")[0]

    @cached_property
    def statements(self) -> tuple[ast.stmt, ...]:
        """The statements of the top level, also those under if and try."""
        return tuple(_top_level(self.tree.body))

    @cached_property
    def definitions(self) -> dict[str, ast.stmt]:
        """Classes, functions and assignments of the top level."""
        found: dict[str, ast.stmt] = {}
        for statement in self.statements:
            for name in _defines(statement):
                found[name] = statement
        return found

    @cached_property
    def imports(self) -> dict[str, str]:
        """The dotted name behind every name that the top level imports, also under if and try."""
        found: dict[str, str] = {}
        for statement in self.statements:
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    local = alias.asname or alias.name.partition(".")[0]
                    found[local] = alias.name if alias.asname else local
            elif isinstance(statement, ast.ImportFrom):
                origin = self._origin(statement)
                for alias in statement.names:
                    found[alias.asname or alias.name] = f"{origin}.{alias.name}"
        return found

    @cached_property
    def stars(self) -> tuple[str, ...]:
        """Modules whose whole content is imported."""
        return tuple(
            self._origin(statement)
            for statement in self.statements
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*"
        )

    @cached_property
    def constants(self) -> dict[str, Any]:
        """Literal values of top-level names."""
        found: dict[str, Any] = {}
        for name, statement in self.definitions.items():
            value = getattr(statement, "value", None)
            if isinstance(statement, ast.Assign | ast.AnnAssign) and value is not None:
                try:
                    found[name] = evaluate(value, found)
                except NotLiteralError:
                    continue
        return found

    def qualify(self, node: ast.expr) -> str:
        """Return the dotted name that an expression such as ``pl.Trainer`` stands for."""
        match node:
            case ast.Name(id=name) if name in self.imports:
                return self.imports[name]
            case ast.Name(id=name):
                return f"{self.name}.{name}" if name in self.definitions else name
            case ast.Attribute(value=value, attr=attr):
                return f"{self.qualify(value)}.{attr}"
            case ast.Call(func=func):
                return self.qualify(func)
        return ast.unparse(node)

    def _origin(self, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        parts = self.package.split(".")
        base = ".".join(parts[: len(parts) - statement.level + 1])
        return f"{base}.{statement.module}" if statement.module else base


@dataclass(frozen=True)
class Symbol:
    """A definition and the module that really holds it."""

    name: str
    module: Module
    node: ast.stmt

    @property
    def dotted(self) -> str:
        """Import path of the definition itself, not of a re-export."""
        return f"{self.module.name}.{self.name}"


class Sources:
    """The modules of one or more clones.

    Args:
        snapshots: the clones at hand.
        release: what the errors call the tree.
    """

    def __init__(self, snapshots: Mapping[Repo, Snapshot], release: Release) -> None:
        self.snapshots = dict(snapshots)
        self.release = release
        self._modules: dict[str, Module | None] = {}

    @property
    def label(self) -> str:
        """How messages call the release: ``tao-pytorch 7.0.1 (d99ff77)``."""
        version = self.release.version or "of unknown release"
        return f"{self.release.repo} {version} ({self.release.commit[:7]})"

    def snapshot_of(self, dotted: str) -> Snapshot | None:
        """Return the clone that would hold a module; None where it is not at hand."""
        repo = PACKAGES.get(dotted.partition(".")[0])
        return self.snapshots.get(repo) if repo else None

    def path_of(self, dotted: str) -> str | None:
        """Return the file of a module, or None where there is none."""
        snapshot = self.snapshot_of(dotted)
        stem = dotted.replace(".", "/")
        if snapshot is not None:
            for path in (f"{stem}.py", f"{stem}/__init__.py"):
                if path in snapshot.paths:
                    return path
        return None

    def module(self, dotted: str) -> Module | None:
        """Return a module, or None where no clone at hand has it."""
        if dotted not in self._modules:
            path, snapshot = self.path_of(dotted), self.snapshot_of(dotted)
            source = snapshot.read(path) if path and snapshot else None
            self._modules[dotted] = (
                None if source is None or path is None else Module(dotted, path, source, self.label)
            )
        return self._modules[dotted]

    def find(self, symbol: str) -> Symbol | None:
        """Return the definition of ``package.module:Name``, through re-exports; None if absent."""
        dotted, _, name = symbol.partition(":")
        for _ in range(_REEXPORTS):
            module = self.module(dotted)
            if module is None:
                return None
            if name in module.definitions:
                return Symbol(name=name, module=module, node=module.definitions[name])
            if name in module.imports:
                dotted, _, name = module.imports[name].rpartition(".")
                continue
            starred = (self.find(f"{origin}:{name}") for origin in module.stars)
            return next((found for found in starred if found is not None), None)
        return None

    def require(self, symbol: str) -> Symbol:
        """Return the definition of ``package.module:Name``.

        Raises:
            WorkspaceError: no clone has it; the text names file, symbol and release.
        """
        found = self.find(symbol)
        if found is None:
            dotted, _, name = symbol.partition(":")
            raise self.lacks(self.path_of(dotted) or dotted.replace(".", "/") + ".py", name)
        return found

    def require_class(self, symbol: str) -> tuple[Module, ast.ClassDef]:
        """Like :meth:`require`, for a class."""
        found = self.require(symbol)
        if not isinstance(found.node, ast.ClassDef):
            raise self.lacks(found.module.path, f"class {found.name}")
        return found.module, found.node

    def lacks(self, path: str, symbol: str) -> WorkspaceError:
        """Return the error for something that a port needs and this release does not have."""
        home = self.snapshots[self.release.repo]
        absent = not any(path in snapshot.paths for snapshot in self.snapshots.values())
        what = f"{self.label} has no {path}" if absent else f"{path} of {self.label} has no {symbol}"
        return WorkspaceError(
            f"{what}.",
            why=f"a port needs {symbol} from there, and porter does not guess where else it could be",
            next_step=f"git -C {home.clone} checkout {newest_release(self.release.repo)}",
        )


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """Return the named arguments of a call; ``**`` ones are left out."""
    return {item.arg: item.value for item in call.keywords if item.arg is not None}


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _top_level(statement.body)
            yield from _top_level(statement.orelse)
        elif isinstance(statement, ast.Try):
            yield from _top_level(statement.body)
            for handler in statement.handlers:
                yield from _top_level(handler.body)
            yield from _top_level(statement.orelse)


def _defines(statement: ast.stmt) -> tuple[str, ...]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.Assign(targets=targets):
            return tuple(target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            return (name,)
    return ()
